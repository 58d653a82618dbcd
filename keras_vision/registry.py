"""Names, model cards and construction by name. Families register here when imported."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import functools
import importlib.resources
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.preprocessing import Preprocessing

CATALOGUE = "catalogue.json"


@dataclasses.dataclass(frozen=True)
class Paper:
    """Where an architecture was published; `arxiv` is empty for a paper that is not there."""

    title: str
    authors: str
    year: int
    arxiv: str


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A public file of trained weights.

    Attributes:
        name: what `weights=` calls it, such as "imagenet".
        file: file name; the suffix picks the reader.
        url: public address it is fetched from.
        hash: "sha256:...", or another of hashlib's, of the whole file.
        classes: number of classes of its classifier.
        preprocessing: what its training used.
        source: who trained it, on what.
        licence: terms, as stated at the source.
        settings: of the model's table, where the file's network differs from the row.
        agreement: form of a quantised file, such as "int8", to the least share of top-1 answers that an export asks to
            stay the same with these weights, where what was measured is below the usual 98 %.
    """

    name: str
    file: str
    url: str
    hash: str
    classes: int
    preprocessing: Preprocessing
    source: str
    licence: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    agreement: dict[str, float] = dataclasses.field(default_factory=dict)

    def answers_to(self, weights: Any) -> bool:
        """Whether `weights=` means this file: its name, or a path that ends in the file's name."""
        is_path = isinstance(weights, str | os.PathLike)
        return weights == self.name or (is_path and os.path.basename(weights) == self.file)


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What one should know of a model before using it. Counts are computed from the built graph.

    Attributes:
        name: constructor's name.
        family: module of the family, such as "squeezenet".
        paper: publication; `table` is the place in it.
        parameters: all weights, batch-norm statistics included; `trainable_parameters` without them.
        multiply_adds: of convolutions and dense layers for one image at `input_shape`; None for an open size.
        input_shape: (height, width, channels); None for an open size.
        output: "probability", "logit", or "features".
        preprocessing: how a photograph becomes the input.
        weights: public files that `weights=` accepts by name.
        loaded: the weights this instance was built with; None for random ones.
        licence: of the code that builds the architecture.
        deviations: where this differs from the paper, and why.
        task: what the outputs mean: "classification", one vector for an image, "segmentation", one for each pixel,
            "edges", one number for each pixel, "generation", an image that is drawn, or "captioning", words.
        agreement: as of the weights that were loaded (`WeightsFile`).
    """

    name: str
    family: str
    paper: Paper
    table: str
    parameters: int
    trainable_parameters: int
    multiply_adds: int | None
    input_shape: tuple[int | None, int | None, int]
    output: str
    preprocessing: Preprocessing
    weights: tuple[WeightsFile, ...] = ()
    loaded: str | None = None
    licence: str = "Apache-2.0"
    deviations: tuple[str, ...] = ()
    task: str = "classification"
    agreement: dict[str, float] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """The inverse of `to_dict`.

        Raises:
            KerasVisionError: the values do not describe a model.
        """
        try:
            files = tuple(
                WeightsFile(**{**w, "preprocessing": Preprocessing.from_dict(w["preprocessing"])})
                for w in values["weights"]
            )
            parts = {
                "paper": Paper(**values["paper"]),
                "preprocessing": Preprocessing.from_dict(values["preprocessing"]),
                "weights": files,
                "input_shape": tuple(values["input_shape"]),
                "deviations": tuple(values["deviations"]),
            }
            return cls(**{**values, **parts})
        except (KeyError, TypeError) as error:
            raise KerasVisionError(f"not a model card: {error}.") from error


@dataclasses.dataclass(frozen=True)
class Entry:
    """One registered model.

    Attributes:
        name: constructor's name.
        construct: the constructor.
        weights: public files.
        head_layers: name prefixes of the layers after its trunk.
        task: as on the model's card.
        read: arrays of a weight file, by a name of `weights` or by path, under this package's names; None where
            no other network starts from them.
    """

    name: str
    construct: Callable[..., Any]
    weights: tuple[WeightsFile, ...]
    head_layers: tuple[str, ...]
    task: str = "classification"
    read: Callable[[Any], dict[str, Any]] | None = None

    @property
    def default_weights(self) -> str | None:
        """What `weights=` is by default: "imagenet" if there is such a file."""
        return next((file.name for file in self.weights if file.name == "imagenet"), None)


_ENTRIES: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Add a model under its name; a family calls this once per row of its table.

    Raises:
        KerasVisionError: another model already answers to the name.
    """
    key = _key(entry.name)
    if key in _ENTRIES:
        raise KerasVisionError(f"two models answer to {entry.name!r}: choose another name.")
    _ENTRIES[key] = entry


def find(name: str) -> Entry:
    """The entry of a model's name; case, "_" and "-" do not matter.

    Raises:
        KerasVisionError: no such model; the message suggests the nearest names.
    """
    if _key(name) in _ENTRIES:
        return _ENTRIES[_key(name)]
    near = [_ENTRIES[k].name for k in difflib.get_close_matches(_key(name), _ENTRIES, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(list_models())}."
    raise KerasVisionError(f"no model is called {name!r}. {hint}")


def create_model(name: str, **kwargs: Any) -> Any:
    """Build a model by name, such as ``create_model("inception_v3", classes=10)``.

    Args:
        name: constructor's name or its snake_case, any case.
        **kwargs: the constructor's arguments.

    Returns:
        A `keras_vision.model.VisionModel`, which is a functional `keras.Model`.

    Raises:
        KerasVisionError: unknown name or argument.
    """
    return find(name).construct(**kwargs)


def list_models(pattern: str = "*", pretrained: bool = False, task: str | None = None) -> list[str]:
    """Names of the models whose name matches a shell pattern (any case), sorted.

    Args:
        pattern: such as "squeeze*".
        pretrained: only those with a public file of trained weights.
        task: only those of this one: "classification", "segmentation" or "edges"; None for all.
    """
    names = [e.name for e in _ENTRIES.values() if (e.weights or not pretrained) and task in (None, e.task)]
    return sorted(name for name in names if matches(name, pattern))


@functools.cache
def model_card(name: str) -> ModelCard:
    """The card of a model at its default size, with counts computed by building it once.

    Raises:
        KerasVisionError: no such model.
    """
    return find(name).construct(weights=None).card


@functools.cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Main figures of every model by name, from a file, so that listing builds no network and imports no Keras.

    `catalogue_entry` says what there is of each; tests compare the file with the built models.
    """
    return json.loads(importlib.resources.files("keras_vision").joinpath(CATALOGUE).read_text(encoding="utf-8"))


def catalogue_entry(card: ModelCard) -> dict[str, Any]:
    """What `catalogue` holds of a model."""
    return {
        "paper": f"{card.paper.authors.partition(',')[0]}, {card.paper.year}",
        "arxiv": card.paper.arxiv,
        "task": card.task,
        "input": list(card.input_shape),
        "parameters": card.parameters,
        "multiply_adds": card.multiply_adds,
        "weights": [file.name for file in card.weights],
    }


def matches(name: str, pattern: str) -> bool:
    """Whether a model's name matches a shell pattern; case, "_" and "-" do not matter."""
    return fnmatch.fnmatchcase(_key(name), _key(pattern))


def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
