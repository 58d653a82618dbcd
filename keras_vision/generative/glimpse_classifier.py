"""The differentiable RAM of DRAW's section 4.1: a classifier that looks at an image by glimpses.

An LSTM reads a patch of 12 x 12 filters in each step, where its state before places them; after the last step a
softmax layer gives the digit. It learns where to look by back-propagation alone.

Deviations: the first window is a learned one, the bias of the map from the state, which is 0 then. An untrained
network's filters are half their distance wide, not one pixel: grids over the whole of 100 x 100 pixels that see one
pixel in 81 do not tell where to look. The map to the window has a factor of 0.2, without which Adam moves eight
windows out of the image.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision.errors import KerasVisionError
from keras_vision.generative.draw import PAPER
from keras_vision.generative.nats import checked_images
from keras_vision.layers import ReadAttention
from keras_vision.model import VisionModel
from keras_vision.registry import ModelCard
from keras_vision.runtime.preprocessing import Preprocessing

TABLE: dict[str, dict[str, Any]] = {  # Table 3, first row; Table 1 has both numbers of glimpses
    "cluttered_mnist": dict(image_shape=(100, 100, 1), steps=8, units=256, patch=12),
    "cluttered_mnist_4": dict(image_shape=(100, 100, 1), steps=4, units=256, patch=12),
}

SPREAD = 0.5  # of an untrained network's filters, in distances between them
GAIN = 0.2  # of the map to the window: Adam's steps move windows by a fifth of what they move all else


@keras.saving.register_keras_serializable("keras_vision")
class GlimpseCell(layers.Layer):
    """A glimpse, and a step of the LSTM: for `keras.layers.RNN`, whose inputs `(n, 1)` only count the steps.

    The states are the image `(n, B * A * c)`, h and c `(n, units)`; what comes out is h.

    Args:
        image_shape: B, A and c.
        units: of the LSTM.
        patch: N, side of the glimpse in filters.
        precision: dtype policy of the LSTM; None for the global one.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        units: int,
        patch: int,
        precision: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.image_shape, self.units, self.patch = tuple(image_shape), units, patch
        self.precision = keras.dtype_policies.get(precision or keras.config.dtype_policy()).name
        self.read = ReadAttention(patch, SPREAD, GAIN, name="read")
        self.lstm = layers.LSTMCell(units, name="lstm", dtype=self.precision)
        self.state_size = [math.prod(self.image_shape), units, units]
        self.output_size = units

    def build(self, steps_shape: tuple) -> None:
        batch = steps_shape[0]
        self.read.build((batch, *self.image_shape), (batch, self.units))
        self.lstm.build((batch, self.patch * self.patch * self.image_shape[2]))

    def call(self, step: Any, states: Any) -> tuple[Any, list[Any]]:
        image, h, c = states
        glimpse = self.read(ops.reshape(ops.stop_gradient(image), (-1, *self.image_shape)), h)
        _, (h, c) = self.lstm(glimpse, [h, c])
        h, c = ops.cast(h, "float32"), ops.cast(c, "float32")
        return h, [image, h, c]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("image_shape", "units", "patch", "precision")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("keras_vision")
class Zeros(layers.Layer):
    """Zeros of a shape for each image of a batch: the count of steps, and states before the first.

    Args:
        shape: without the batch.
    """

    def __init__(self, shape: tuple[int, ...], **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.shape = tuple(shape)

    def call(self, batch: Any) -> Any:
        return ops.zeros((ops.shape(batch)[0], *self.shape))

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable("keras_vision")
class GlimpseModel(VisionModel):
    """What `GlimpseClassifier` returns: images `(n, B, A, c)` in [0, 1] to classes `(n, k)`."""

    @functools.cached_property
    def states(self) -> keras.Model:
        """From images to h after each glimpse, `(n, T, units)`."""
        return keras.Model(self.input, self.get_layer("glimpses").output)

    def windows(self, images: Any) -> np.ndarray:
        """Where each glimpse looks, `(n, T, 4)`: y, x, distance and standard deviation of the filters, in pixels.

        The first pixel's centre is 1. The outermost filters are `(patch - 1) / 2` distances from the centre.

        Raises:
            KerasVisionError: images of another shape, or with values outside [0, 1].
        """
        cell = self.get_layer("glimpses").cell
        h = self.states.predict(checked_images(images, cell.image_shape), batch_size=64, verbose=0)
        before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
        seen = cell.read.window(before.reshape(-1, cell.units))
        y, x, stride, variance = (ops.convert_to_numpy(value) for value in seen[:4])
        return np.stack([y, x, stride, np.sqrt(variance)], axis=-1).reshape(*h.shape[:2], 4)


def GlimpseClassifier(
    row: str = "cluttered_mnist",
    *,
    image_shape: tuple[int, int, int] | None = None,
    steps: int | None = None,
    units: int | None = None,
    patch: int | None = None,
    classes: int = 10,
    classifier_activation: str | None = "softmax",
    unroll: bool = False,
    name: str = "GlimpseClassifier",
) -> GlimpseModel:
    """The differentiable RAM as a functional model over one `keras.layers.RNN`.

    Args:
        row: of Tables 1 and 3, a name in `TABLE`, whose values the next four take the place of.
        image_shape: height, width, channels.
        steps: T, glimpses.
        units: of the LSTM.
        patch: side of a glimpse, in filters.
        classes: number of them.
        classifier_activation: of the last layer; None for logits.
        unroll: whether the steps are laid out one after the other in place of a loop.
        name: of the model.

    Raises:
        KerasVisionError: no such row, no glimpses, a patch of one filter, or larger than the image.

    Source: section 4.1, Tables 1 and 3.
    """
    if row not in TABLE:
        raise KerasVisionError(f"row={row!r}; accepted: {', '.join(TABLE)}.")
    given = dict(image_shape=image_shape, steps=steps, units=units, patch=patch)
    settings = {**TABLE[row], **{key: value for key, value in given.items() if value is not None}}
    steps = settings.pop("steps")
    if not isinstance(steps, int) or steps < 1 or classes < 1:
        raise KerasVisionError(f"steps={steps!r}, classes={classes!r}; give whole numbers from 1.")
    cell = GlimpseCell(**settings, name="cell")
    image = keras.Input(cell.image_shape, name="image")
    pixels = layers.Flatten(name="pixels", dtype="float32")(image)
    states = [pixels, *(Zeros((cell.units,), name=f"{part}_0")(image) for part in "hc")]
    glimpses = layers.RNN(cell, return_sequences=True, unroll=unroll, dtype="float32", name="glimpses")
    h = glimpses(Zeros((steps, 1), name="steps")(image), initial_state=states)
    last = ops.take(h, steps - 1, axis=1)
    outputs = layers.Dense(classes, classifier_activation, name="predictions", dtype="float32")(last)
    model = GlimpseModel(image, outputs, name=name)
    return model.with_card(_card(model, cell.image_shape, classifier_activation))


def _card(model: GlimpseModel, shape: tuple[int, ...], activation: str | None) -> ModelCard:
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    color = "L" if shape[2] == 1 else "RGB"
    scale = dict(mean=(0.0,) * shape[2], std=(255.0,) * shape[2])
    return ModelCard(
        name="GlimpseClassifier",
        family="glimpse_classifier",
        paper=PAPER,
        table="Table 3",
        parameters=trained,
        trainable_parameters=trained,
        multiply_adds=None,
        input_shape=(shape[0], shape[1], shape[2]),
        output="logit" if activation is None else "probability",
        preprocessing=Preprocessing((shape[0], shape[1]), None, color=color, **scale),
        deviations=("the first window is learned", "filters start half their distance wide"),
    )
