"""The functional model that every constructor returns: a `keras.Model` that keeps its card and its labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.registry import ModelCard
from keras_vision.runtime.preprocessing import Preprocessing


@keras.saving.register_keras_serializable("keras_vision")
class VisionModel(keras.Model):
    """A functional `keras.Model` with a model card and class labels, both kept in the `.keras` file.

    Attributes:
        card: the `ModelCard` of this instance.
        labels: names of the classes in the order of the output, or None.
    """

    def __init__(self, *args: Any, card: ModelCard | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)  # with *args and **kwargs, Keras treats the class as functional
        self._card = card
        self._labels: tuple[str, ...] | None = None
        self._least: tuple[int, int] | None = None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """As any functional model; where the size is open, images too small for a classifier are an error here.

        Raises:
            KerasVisionError: they are. TensorFlow would end the process over a pooling that has no cell left.
        """
        self._check_size(keras.tree.flatten(inputs)[0].shape)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def _check_size(self, shape: tuple[int | None, ...]) -> None:
        declared = keras.tree.flatten(self.inputs)[0].shape
        if (
            not (len(shape) == len(declared) == 4)
            or None not in declared[1:3]
            or self._card is None
            or self._card.task != "classification"
        ):
            return
        if self._least is None:
            self._least = graph.minimum_size(self)
        graph.check_size(self.name, shape[1:3], self._least)

    @property
    def card(self) -> ModelCard:
        if self._card is None:
            raise KerasVisionError(
                f"{self.name} carries no model card: it was not built by a keras_vision constructor."
            )
        return self._card

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photograph becomes this model's input."""
        return self.card.preprocessing

    @property
    def labels(self) -> tuple[str, ...] | None:
        return self._labels

    @labels.setter
    def labels(self, labels: Sequence[str] | None) -> None:
        classes = keras.tree.flatten(self.outputs)[0].shape[-1]
        if labels is not None and len(labels) != classes:
            raise KerasVisionError(f"{len(labels)} labels for a model of {classes} classes.")
        self._labels = None if labels is None else tuple(str(label) for label in labels)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["card"] = None if self._card is None else self._card.to_dict()
        config["labels"] = None if self._labels is None else list(self._labels)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> VisionModel:
        config = dict(config)
        card, labels = config.pop("card", None), config.pop("labels", None)
        model = super().from_config(config, custom_objects=custom_objects)
        model._card = None if card is None else ModelCard.from_dict(card)
        model.labels = labels
        return model

    def with_card(self, card: ModelCard) -> VisionModel:
        """This model, carrying the card."""
        self._card = card
        return self


def counts(model: VisionModel) -> dict[str, Any]:
    """The counts on a model's card."""
    return dict(
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        multiply_adds=graph.multiply_adds(model),
    )


def normalize(x: Any, preprocessing: Preprocessing) -> Any:
    """`Preprocessing.normalize` on tensors of any Keras backend; works inside a graph."""
    x = keras.ops.cast(x, "float32")
    if preprocessing.color == "BGR":
        x = keras.ops.flip(x, axis=-1)
    return (x - np.array(preprocessing.mean, "float32")) / np.array(preprocessing.std, "float32")


@dataclasses.dataclass(frozen=True)
class Tap:
    """A feature map one can ask for by name.

    Attributes:
        name: the layer's name in the paper.
        shape: (height, width, channels) of the map; None for an open size.
        stride: (vertical, horizontal) distance between neighbouring cells, in input pixels.
        receptive_field: (height, width) of the input that one cell sees, in pixels.
    """

    name: str
    shape: tuple[int | None, int | None, int]
    stride: tuple[int, int]
    receptive_field: tuple[int, int]

    @property
    def channels(self) -> int:
        """Number of channels of the map."""
        return self.shape[2]


_NOT_TAPS = (
    "_conv",
    "_bn",
    "_pad",
    "_relu",
)  # the parts of a named layer; its last part carries the name itself


def taps(model: keras.Model) -> dict[str, Tap]:
    """Feature maps of a model by the paper's layer names, in the order of computation.

    Returns:
        Name to `Tap`; parts inside a named layer (padding, batch norm before its ReLU) are left out.
    """
    found = {}
    for layer, (vertical, horizontal) in graph.feature_maps(model):
        if isinstance(layer, keras.layers.InputLayer | keras.layers.Dropout) or layer.name.endswith(_NOT_TAPS):
            continue
        found[layer.name] = Tap(
            layer.name,
            tuple(graph.call_of(layer)[1].shape[1:]),
            (vertical.stride, horizontal.stride),
            (vertical.receptive_field, horizontal.receptive_field),
        )
    return found
