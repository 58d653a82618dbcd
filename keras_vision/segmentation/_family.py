"""The builder of the segmentation networks: one signature, any classifier as backbone, heads, weights, card."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, counts
from keras_vision.registry import Entry, ModelCard, Paper, WeightsFile, register
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.segmentation._backbone import Arrays, Backbone
from keras_vision.weights import from_channels_first, load_pretrained, read, resolve

Shape = tuple[int | None, int | None, int]
Heads = Mapping[str, int]  # name of each output to its number of classes; a single one is called ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One paper's segmentation networks.

    Attributes:
        name: module of the family.
        paper, table_in_paper, deviations: for the model cards.
        table: row name to `backbone` and the settings of `network`; any of them can be given as a keyword.
        network: ``(image, backbone, heads, **settings) -> {head: logits}``.
        head_layers: name prefixes of the layers after the backbone's trunk.
        classifiers: of those, the ones whose width is the number of classes.
        preprocessing: of the release's weights, by backbone.
        weights: row name to its public files.
        convert: names of released files to this family's, ``(arrays, settings) -> arrays``.
    """

    name: str
    paper: Paper
    table_in_paper: str
    table: Mapping[str, Mapping[str, Any]]
    network: Callable[..., dict[str, Any]]
    head_layers: tuple[str, ...]
    classifiers: tuple[str, ...]
    preprocessing: Mapping[str, Preprocessing]
    weights: Mapping[str, tuple[WeightsFile, ...]] = dataclasses.field(default_factory=dict)
    convert: Callable[[Arrays, Mapping[str, Any]], Arrays] = lambda arrays, settings: from_channels_first(arrays, {})
    deviations: tuple[str, ...] = ()

    def constructor(self, row: str) -> Callable[..., VisionModel]:
        """The public constructor of a row, registered under the row's name."""

        def construct(
            weights: str | Path | None = None,
            input_shape: Shape = (None, None, 3),
            classes: int | Heads | None = None,
            name: str | None = None,
            *,
            backbone: str | None = None,
            backbone_weights: str | Path | None = None,
            **settings: Any,
        ) -> VisionModel:
            backbone = backbone or self.table[row]["backbone"]
            source = Backbone.of(backbone, backbone_weights, self.preprocessing)
            return self._build(row, source, weights, input_shape, classes, name or row.lower(), settings)

        construct.__name__ = construct.__qualname__ = row
        construct.__module__ = f"keras_vision.segmentation.{self.name}"
        construct.__doc__ = _docstring(self, row)
        register(Entry(row, construct, self.weights.get(row, ()), self.head_layers, task="segmentation"))
        return construct

    def _build(
        self, row: str, backbone: Backbone, weights: Any, shape: Shape, classes: Any, name: str, given: dict[str, Any]
    ) -> VisionModel:
        if weights is not None and backbone.weights is not None:
            raise KerasVisionError("weights= holds the whole network: leave backbone_weights out, or weights.")
        settings = {key: value for key, value in self.table[row].items() if key != "backbone"}
        if unknown := set(given) - set(settings):
            raise KerasVisionError(f"{row} takes no {sorted(unknown)}; its own settings are {sorted(settings)}.")
        settings |= given
        arrays, file, source = self._read(row, weights, settings)
        heads = _heads(classes, arrays, self.classifiers)
        outputs = self.network(keras.Input(_checked(shape), name="image"), backbone, heads, **settings)
        model = VisionModel(graph.sources(next(iter(outputs.values()))), outputs.get("", outputs), name=name)
        if source is not None:
            prefixes = tuple(f"{head}_" for head in heads if head)
            asked = None if classes is None else next(iter(heads.values()))
            layers = ((*self.head_layers, *prefixes), (*self.classifiers, *prefixes))
            load_pretrained(model, arrays, *layers, asked, source)
        spec = file.preprocessing if file else backbone.preprocessing
        return model.with_card(self._card(model, row, spec, source, backbone))

    def _read(
        self, row: str, weights: Any, settings: Mapping[str, Any]
    ) -> tuple[Arrays, WeightsFile | None, str | None]:
        if weights is None:
            return {}, None, None
        path, file = resolve(weights, self.weights.get(row, ()))
        return self.convert(read(path, {}), settings), file, file.source if file else path.name

    def _card(
        self, model: VisionModel, row: str, spec: Preprocessing, source: str | None, backbone: Backbone
    ) -> ModelCard:
        height, width, channels = keras.tree.flatten(model.inputs)[0].shape[1:]
        started = None if backbone.weights is None else f"trunk: {backbone.card.loaded}"
        return ModelCard(
            name=row,
            family=self.name,
            paper=self.paper,
            table=self.table_in_paper,
            **counts(model),
            input_shape=(height, width, channels),
            output="probability" if any(layer.name.endswith("crf") for layer in model.layers) else "logit",
            preprocessing=spec.for_input(height or spec.size[0], width or spec.size[1], channels),
            weights=self.weights.get(row, ()),
            loaded=source or started,
            deviations=self.deviations,
            task="segmentation",
        )


def _heads(classes: Any, arrays: Arrays, classifiers: tuple[str, ...]) -> Heads:
    """Number of classes of each output; by default that of the weights, or PASCAL VOC's 21."""
    if classes is None:
        biases = [a for key, a in arrays.items() if key.startswith(classifiers) and key.endswith("/bias")]
        classes = biases[0].shape[0] if biases else 21
    heads = dict(classes) if isinstance(classes, Mapping) else {"": classes}
    if not heads or not all(isinstance(n, int | np.integer) and n > 0 for n in heads.values()):
        raise KerasVisionError(f"classes={classes!r}; give the number of classes, or one for each named output.")
    return {head: int(n) for head, n in heads.items()}


def _checked(shape: Any) -> Shape:
    sizes = shape if isinstance(shape, tuple | list) and len(shape) == 3 else (0, 0, 0)
    whole = all(isinstance(size, int) and size > 0 for size in sizes if size is not None)
    if not whole or sizes[2] is None:
        raise KerasVisionError(f"input_shape={shape}; give (height or None, width or None, channels), channels last.")
    return sizes[0], sizes[1], sizes[2]


def _docstring(family: Family, row: str) -> str:
    settings = ", ".join(f"{key}={value!r}" for key, value in family.table[row].items() if key != "backbone")
    return f"""{row} of "{family.paper.title}" ({family.paper.authors}, {family.paper.year}), {family.table_in_paper}.

    Args:
        weights: of the whole network: None, the path of a weight file, or a name of the model card.
        input_shape: (height, width, channels) of the image; height and width may be None, for any size.
        classes: number of classes; None takes the weights' own, else 21. Or one for each of several outputs, by name.
        name: of the model.
        backbone: name of a classifier, whose trunk comes first. Default: {family.table[row]["backbone"]!r}.
        backbone_weights: None (random), the path of a classifier's weight file, or a name of the classifier's card.
        **settings: columns of the family's table, here {settings}.

    Returns:
        A `VisionModel` (functional `keras.Model`): pixels, normalised as its `preprocessing` says, to logits
        `(n, h, w, classes)`; with several outputs a dict of them.

    Raises:
        KerasVisionError: arguments that do not go together, an unknown setting or backbone.
        WeightsError: the weights cannot be found or do not fit.
    """
