"""The one builder of all classifiers: Keras Applications' signature, checks, weights, taps and output stride.

A model file gives a table of rows and the functions ``trunk(x, **row)`` and ``head(x, classes, activation, **row)``;
everything that does not depend on the paper happens here. Images are channels-last throughout.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision import graph
from keras_vision.applications._request import Arrays, Request
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, counts, normalize
from keras_vision.model import taps as taps_of
from keras_vision.registry import Entry, Paper, WeightsFile, register
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.weights import read, resolve


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One paper's models.

    Attributes:
        name: module of the family.
        paper, table_in_paper, deviations: for the model cards.
        table: row name to the settings of `trunk` and `head`; any of them can be given as a keyword.
        trunk: ``(x, **settings) -> x``, layers named as in the paper.
        head: ``(x, classes, activation, **settings) -> outputs``.
        classifiers: name prefixes of the layers whose width is the number of classes.
        head_layers: name prefixes of all layers of the head; those of the classifiers unless there are more.
        preprocessing: of the default input size.
        classes: of a classifier with random weights, unless the caller says otherwise.
        weights: row name to its public files.
        readers: suffix to reader, for file formats that only this family has.
        convert: names of other packages' files to this family's, ``(arrays, settings) -> arrays``.
        open_size: whether the classifier takes images of any size, so that `input_shape` may leave height and width
            open with the top, too.
    """

    name: str
    paper: Paper
    table_in_paper: str
    table: Mapping[str, Mapping[str, Any]]
    trunk: Callable[..., Any]
    head: Callable[..., Any]
    classifiers: tuple[str, ...]
    preprocessing: Preprocessing
    head_layers: tuple[str, ...] = ()
    classes: int = 1000
    weights: Mapping[str, tuple[WeightsFile, ...]] = dataclasses.field(default_factory=dict)
    readers: Mapping[str, Callable[[Path], Arrays]] = dataclasses.field(default_factory=dict)
    convert: Callable[[Arrays, Mapping[str, Any]], Arrays] = lambda arrays, settings: arrays
    deviations: tuple[str, ...] = ()
    open_size: bool = False

    def __post_init__(self) -> None:
        if not self.head_layers:
            object.__setattr__(self, "head_layers", self.classifiers)

    def constructor(self, row: str) -> Callable[..., VisionModel]:
        """The public constructor of a row, registered under the row's name."""
        files = self.weights.get(row, ())
        default = "imagenet" if any(file.name == "imagenet" for file in files) else None

        def construct(
            include_top: bool = True,
            weights: str | Path | None = default,
            input_tensor: Any = None,
            input_shape: tuple[int | None, int | None, int] | None = None,
            pooling: str | None = None,
            classes: int | None = None,
            classifier_activation: str | None = "softmax",
            name: str | None = None,
            *,
            features_only: bool = False,
            taps: Collection[str] | None = None,
            output_stride: int | None = None,
            **settings: Any,
        ) -> VisionModel:
            if taps is not None and not features_only:
                raise KerasVisionError("taps= names the outputs of features_only=True; give both, or neither.")
            if features_only and pooling is not None:
                raise KerasVisionError("features_only=True returns whole feature maps; leave pooling out.")
            chosen = next((file for file in files if file.answers_to(weights)), None)
            if chosen is not None:
                settings = {**chosen.settings, **settings}
            request = Request(
                self, row, include_top and not features_only, input_tensor, input_shape, pooling,
                classes, classifier_activation, name or row.lower(), output_stride, settings,
            )  # fmt: skip
            model = request.build(weights)
            return _features(model, taps) if features_only else model

        construct.__name__ = construct.__qualname__ = row
        construct.__module__ = f"keras_vision.applications.{self.name}"
        construct.__doc__ = _docstring(self, row, default)
        register(Entry(row, construct, files, self.head_layers, read=functools.partial(self.read, row)))
        return construct

    def read(self, row: str, weights: str | Path) -> Arrays:
        """Arrays of a weight file of a row, by a known name or by path, under the paper's names, the head's too."""
        path, file = resolve(weights, self.weights.get(row, ()))
        settings = {**self.table[row], **(file.settings if file else {})}
        return self.convert(read(path, self.readers), settings)

    def preprocess_input(self, x: Any, data_format: str | None = None) -> Any:
        """RGB pixels in 0–255 to what the family's public weights expect.

        Args:
            x: `(..., 3)` array or tensor; left unchanged.
            data_format: only "channels_last" (or None) is accepted.
        """
        if data_format not in (None, "channels_last"):
            raise KerasVisionError(f"data_format={data_format!r}; keras_vision is channels_last only.")
        if isinstance(x, np.ndarray):
            return self.preprocessing.normalize(x)
        return normalize(x, self.preprocessing)

    def decode_predictions(self, preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
        """ImageNet probabilities `(n, 1000)` to the `top` classes of each image as (wnid, name, probability).

        The class names come from Keras' own index file, fetched once.

        Raises:
            KerasVisionError: the shape is not (n, 1000), or the index file can be had neither locally nor online.
        """
        shape = np.shape(preds)
        if len(shape) != 2 or shape[1] != 1000:
            raise KerasVisionError(f"predictions of shape {shape}; decode_predictions takes ImageNet's (n, 1000).")
        try:
            return keras.applications.imagenet_utils.decode_predictions(np.asarray(preds), top=top)
        except Exception as error:  # Keras wraps every network failure in a bare Exception
            raise KerasVisionError(
                f"imagenet_class_index.json could not be fetched ({error}); put it into ~/.keras/models."
            ) from error


def layer_output(x: Any, name: str) -> Any:
    """The output of a named layer among those that `x` was computed from, for heads that branch off on the way."""
    return next(graph.call_of(op)[1] for op in graph.ancestors(x) if op.name == name)


def _features(model: VisionModel, names: Collection[str] | None) -> VisionModel:
    """A model that returns the named feature maps in a dict; by default the last map of each stride."""
    known = taps_of(model)
    if names is None:
        names = list({tap.stride: tap.name for tap in known.values()}.values())
    outputs = {}
    for name in [names] if isinstance(names, str) else names:
        layer = name.replace("/", "_")  # Keras allows no "/" in a layer's name
        if layer not in known:
            near = difflib.get_close_matches(layer, known, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise KerasVisionError(f"{model.name} has no tap {name!r}.{hint} Known: {', '.join(known)}.")
        outputs[name] = graph.call_of(model.get_layer(layer))[1]
    features = VisionModel(model.input, outputs, name=model.name)
    return features.with_card(dataclasses.replace(model.card, **counts(features)))


def _docstring(family: Family, row: str, default: str | None) -> str:
    settings = ", ".join(f"{key}={value!r}" for key, value in family.table[row].items())
    sizes = "for images of any size" if family.open_size else "without the top"
    return f"""{row} of "{family.paper.title}" ({family.paper.authors}, {family.paper.year}), {family.table_in_paper}.

    Args:
        include_top: whether to add the classifier.
        weights: None (random), the path of a weight file, or a name of the model card. Default: {default!r}.
        input_tensor: symbolic image batch `(n, h, w, c)` to build on, in place of a new input.
        input_shape: (height, width, channels); height and width may be None {sizes}.
        pooling: without the top: None `(n, h, w, c)`, "avg" or "max" `(n, c)`.
        classes: number of classes; None takes the weights' own, else {family.classes}. Another number than the weights'
            gets a new classifier, with a `KerasVisionWarning`.
        classifier_activation: "softmax", "sigmoid", or None for logits.
        name: of the model.
        features_only: return a dict of feature maps, by the names in `taps`, in place of the classifier.
        taps: names of layers of the paper; by default the last map of each stride.
        output_stride: stop shrinking at this stride and go on with atrous convolution.
        **settings: columns of the family's table, here {settings}.

    Returns:
        A `VisionModel` (functional `keras.Model`): pixels after `preprocess_input` to `(n, classes)`.

    Raises:
        KerasVisionError: arguments that do not go together, an input below the smallest size, an unknown tap.
        WeightsError: the weights cannot be found or do not fit.
    """
