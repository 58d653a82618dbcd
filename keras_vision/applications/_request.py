"""One constructor call of a family: its arguments checked, the graph built, the weights loaded, the card filled in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, counts
from keras_vision.registry import ModelCard, WeightsFile
from keras_vision.weights import load_pretrained, read, resolve

if TYPE_CHECKING:
    from keras_vision.applications._family import Family

Arrays = dict[str, np.ndarray]
_POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
_OUTPUTS = {"softmax": "probability", "sigmoid": "probability", "linear": "logit", None: "logit"}


@dataclasses.dataclass(frozen=True)
class Request:
    """The checked arguments of one constructor call."""

    family: Family
    row: str
    include_top: bool
    input_tensor: Any
    input_shape: tuple[int | None, int | None, int] | None
    pooling: str | None
    classes: int | None
    activation: str | None
    name: str
    output_stride: int | None
    given: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The row's settings with the caller's in their place."""
        return {**self.family.table[self.row], **self.given}

    def build(self, weights: str | Path | None) -> VisionModel:
        """Check, build the trunk, read the weights, add the head, load."""
        self._check()
        shape = self._shape()
        inputs, x = self._trunk(shape)
        arrays, file, source = self._read(weights)
        if self.include_top:
            try:
                x = self.family.head(x, self._classes(arrays), self.activation, **self.settings)
            except ValueError as error:
                raise self._too_small(shape, error) from error
        elif self.pooling is not None:
            x = _POOLINGS[self.pooling](name=f"{self.pooling}_pool")(x)
        model = VisionModel(inputs, x, name=self.name)
        if self.output_stride is not None:
            model = graph.dilate(model, self.output_stride)
        if source is not None:
            family = self.family
            load_pretrained(model, arrays, family.head_layers, family.classifiers, self.classes, source)
        return model.with_card(self._card(model, file, source))

    def _check(self) -> None:
        row = self.family.table[self.row]
        if unknown := set(self.given) - set(row):
            raise KerasVisionError(f"{self.row} takes no {sorted(unknown)}; its own settings are {sorted(row)}.")
        if self.pooling not in (None, "avg", "max"):
            raise KerasVisionError(f"pooling={self.pooling!r}; accepted: None, 'avg', 'max'.")
        if self.include_top and self.pooling is not None:
            raise KerasVisionError("pooling is for include_top=False; the classifier has its own.")
        if not self.include_top and self.given.get("auxiliary") is not None:
            raise KerasVisionError(
                f"auxiliary={self.given['auxiliary']!r} is a side classifier: needs include_top=True."
            )
        if self.activation not in _OUTPUTS:
            raise KerasVisionError(
                f"classifier_activation={self.activation!r}; accepted: 'softmax', 'sigmoid', None (logits)."
            )
        if self.classes is not None and (not isinstance(self.classes, int | np.integer) or self.classes < 1):
            raise KerasVisionError(f"classes={self.classes!r}; give the number of classes, at least 1.")

    def _shape(self) -> tuple[int | None, int | None, int]:
        if self.input_tensor is not None:
            if not isinstance(self.input_tensor, keras.KerasTensor) or len(self.input_tensor.shape) != 4:
                raise KerasVisionError("input_tensor must be a symbolic image batch, such as keras.Input((h, w, 3)).")
            shape = tuple(self.input_tensor.shape[1:])
            if self.input_shape is not None and tuple(self.input_shape) != shape:
                raise KerasVisionError(f"input_shape={self.input_shape} and input_tensor of {shape} differ; give one.")
        elif self.input_shape is None:
            channels = self.family.preprocessing.channels
            size = self.settings.get("size") or self.family.preprocessing.size[0]
            shape = (size, size, channels) if self.include_top else (None, None, channels)
        else:
            shape = self.input_shape
        if not isinstance(shape, tuple | list) or len(shape) != 3 or not isinstance(shape[2], int) or shape[2] < 1:
            raise KerasVisionError(f"input_shape={shape}; give (height, width, channels), channels last.")
        if any(size is not None and (not isinstance(size, int) or size < 1) for size in shape[:2]):
            raise KerasVisionError(f"input_shape={shape}; height and width are positive numbers of pixels, or None.")
        if self.include_top and None in shape and not self.family.open_size:
            raise KerasVisionError(f"input_shape={shape} leaves the size open; that needs include_top=False.")
        return shape[0], shape[1], shape[2]

    def _read(self, weights: str | Path | None) -> tuple[Arrays, WeightsFile | None, str | None]:
        if weights is None:
            return {}, None, None
        known = self.family.weights.get(self.row, ())
        path, file = resolve(weights, known)
        arrays = self.family.convert(read(path, self.family.readers), self.settings)
        return arrays, file, file.source if file else path.name

    def _classes(self, arrays: Arrays) -> int:
        if self.classes is not None:
            return int(self.classes)
        for key in arrays:
            if key.startswith(self.family.classifiers) and key.rpartition("/")[2] in ("bias", "1"):
                return arrays[key].shape[0]
        return self.family.classes

    def _trunk(self, shape: tuple[int | None, int | None, int]) -> tuple[Any, Any]:
        """The model's inputs and the trunk's output."""
        inputs = self.input_tensor if self.input_tensor is not None else keras.Input(shape, name="image")
        try:
            x = self.family.trunk(inputs, **self.settings)
        except ValueError as error:  # Keras: "computed output size would be negative"
            raise self._too_small(shape, error) from error
        return graph.sources(inputs), x

    def _too_small(self, shape: tuple[int | None, int | None, int], error: ValueError) -> ValueError:
        """What to raise for a graph that could not be built: its smallest input, if that is why."""
        if isinstance(error, KerasVisionError):
            return error
        image = keras.Input((None, None, shape[2]))
        x = self.family.trunk(image, **self.settings)
        if self.include_top:
            with contextlib.suppress(ValueError):  # a dense head fits one size; its trunk is what can be too small
                x = self.family.head(x, 1, self.activation, **self.settings)
        least = graph.minimum_size(keras.Model(image, x))
        if all(size is None or size >= low for size, low in zip(shape, least, strict=False)):
            return error
        return KerasVisionError(
            f"input_shape={shape} is too small for {self.row}: at least {least[0]} x {least[1]} pixels."
        )

    def _card(self, model: VisionModel, file: WeightsFile | None, source: str | None) -> ModelCard:
        height, width, channels = keras.tree.flatten(model.inputs)[0].shape[1:]
        spec = file.preprocessing if file else self.family.preprocessing
        spec = spec.for_input(height or spec.size[0], width or spec.size[1], channels)
        known = self.family.weights.get(self.row, ())
        return ModelCard(
            name=self.row,
            family=self.family.name,
            paper=self.family.paper,
            table=self.family.table_in_paper,
            **counts(model),
            input_shape=(height, width, channels),
            output=_OUTPUTS[self.activation] if self.include_top else "features",
            preprocessing=spec,
            weights=known,
            loaded=source,
            deviations=self.family.deviations,
            agreement=file.agreement if file else {},
        )
