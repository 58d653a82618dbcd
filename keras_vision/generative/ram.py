"""The arms that DRAW's Table 1 compares with: RAM, whose glimpses are hard, and a convolutional network.

RAM (Mnih et al., 2014, "Recurrent Models of Visual Attention") looks at squares of several sizes around a place that
it draws from a normal distribution, and learns where to look by REINFORCE. Widths of its layers, the deviation of
places and the convolutional network's layers are from memory; the first place is the centre.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from keras_vision.errors import KerasVisionError
from keras_vision.generative.draw_cell import StandardNormal
from keras_vision.generative.glimpse_classifier import Zeros
from keras_vision.ops import draw_attention

_GLIMPSE = 128  # features of what is seen, and of where
_DEVIATION = 0.1  # of places, of half the image


def squares(images: Any, places: Any, patch: int, scales: int) -> Any:
    """Squares around places, each averaged to `patch` x `patch` cells: `(n, patch * patch * scales * c)`.

    Args:
        images: `(n, B, A, c)`; outside them is 0.
        places: y and x, `(n, 2)`, from -1 to 1 within the image.
        patch: cells along a side. The first square has `patch` pixels along a side, each further one twice as many.
        scales: squares.
    """
    size = tuple(images.shape[1:3])
    centre = (places + 1) / 2 * ops.convert_to_tensor([float(length) for length in size])
    ones = ops.ones_like(places[:, 0])
    seen = []
    for scale in range(scales):
        along_y, along_x = (box_bank(centre[:, axis], patch * 2**scale, patch, size[axis]) for axis in (0, 1))
        seen.append(draw_attention.read(images, along_y, along_x, ones))
    return ops.reshape(ops.concatenate(seen, axis=-1), (-1, patch * patch * scales * images.shape[-1]))


def box_bank(centre: Any, width: float, cells: int, size: int) -> Any:
    """Along one axis, the share of each pixel in each cell's mean, `(n, cells, size)`.

    Args:
        centre: of all cells together, `(n,)`, in pixels from the image's edge.
        width: of all cells together, in pixels.
        cells: number of them; size: pixels of the image. What lies outside counts as 0.
    """
    each = width / cells
    begin = (centre[:, None] - width / 2 + each * ops.arange(cells, dtype="float32"))[..., None]
    pixels = ops.arange(size, dtype="float32")
    common = ops.minimum(begin + each, pixels + 1) - ops.maximum(begin, pixels)
    return ops.clip(common, 0.0, 1.0) / each


@keras.saving.register_keras_serializable("keras_vision")
class RAMCell(layers.Layer):
    """A glimpse at a place, a step of the LSTM, and the next place: for `keras.layers.RNN`.

    Call with noise `(n, 2)` and the states image, h, c, place. What comes out is h, the logarithm of the next place's
    density but for a constant, and the expected reward, `(n, units + 2)`. In inference, places are the means.

    Args:
        image_shape: B, A and c.
        units: of the LSTM.
        patch, scales: of `squares`.
    """

    def __init__(self, image_shape: tuple[int, int, int], units: int, patch: int, scales: int, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.image_shape, self.units, self.patch, self.scales = tuple(image_shape), units, patch, scales
        settings = dict(dtype="float32")
        self.what = layers.Dense(_GLIMPSE, "relu", name="what", **settings)
        self.where = layers.Dense(_GLIMPSE, "relu", name="where", **settings)
        self.both = layers.Dense(units, "relu", name="both", **settings)
        self.lstm = layers.LSTMCell(units, name="lstm", **settings)
        self.place = layers.Dense(2, "tanh", name="place", **settings)
        self.reward = layers.Dense(1, name="reward", **settings)
        self.state_size = [math.prod(self.image_shape), units, units, 2]
        self.output_size = units + 2

    def build(self, noise_shape: tuple) -> None:
        batch = noise_shape[0]
        self.what.build((batch, self.patch * self.patch * self.scales * self.image_shape[2]))
        self.where.build((batch, 2))
        self.both.build((batch, 2 * _GLIMPSE))
        for layer in (self.lstm, self.place, self.reward):
            layer.build((batch, self.units))

    def call(self, noise: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        image, h, c, place = states
        seen = squares(ops.reshape(image, (-1, *self.image_shape)), place, self.patch, self.scales)
        both = self.both(ops.concatenate([self.what(seen), self.where(place)], axis=-1))
        _, (h, c) = self.lstm(both, [h, c])
        fixed = ops.stop_gradient(h)  # places and the expected reward do not teach the LSTM
        mean = self.place(fixed)
        drawn = ops.stop_gradient(mean + (_DEVIATION if training else 0.0) * noise)
        density = -ops.sum((drawn - mean) ** 2, axis=-1, keepdims=True) / (2 * _DEVIATION**2)
        return ops.concatenate([h, density, self.reward(fixed)], axis=-1), [image, h, c, ops.clip(drawn, -1.0, 1.0)]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("image_shape", "units", "patch", "scales")}
        return {**super().get_config(), **own}


def RAM(
    image_shape: tuple[int, int, int] = (100, 100, 1),
    steps: int = 8,
    units: int = 256,
    patch: int = 12,
    scales: int = 4,
    classes: int = 10,
    seed: int | None = None,
    name: str = "RAM",
) -> keras.Model:
    """RAM: images `(n, B, A, c)` in [0, 1] to `(n, k + 2 (T - 1))`: logits, densities of places, expected rewards.

    Args:
        image_shape: height, width, channels.
        steps: T, glimpses.
        units: of the LSTM.
        patch: cells along the side of a square.
        scales: squares of a glimpse.
        classes: number of them.
        seed: of the places in training.
        name: of the model.

    Raises:
        KerasVisionError: no glimpses, or squares of no cells.
    """
    if min(steps, units, patch, scales, classes) < 1:
        raise KerasVisionError(f"RAM of steps={steps}, patch={patch}, scales={scales}; give whole numbers from 1.")
    cell = RAMCell(image_shape, units, patch, scales, name="cell")
    image = keras.Input(image_shape, name="image")
    pixels = layers.Flatten(name="pixels")(image)
    states = [
        pixels,
        *(Zeros((width,), name=f"{part}_0")(image) for part, width in dict(h=units, c=units, place=2).items()),
    ]
    noise = StandardNormal(steps, 2, seed, name="noise")(image)
    found = layers.RNN(cell, return_sequences=True, name="glimpses")(noise, initial_state=states)
    logits = layers.Dense(classes, name="logits")(found[:, -1, :units])
    densities, rewards = found[:, :-1, units], found[:, :-1, units + 1]
    return keras.Model(image, ops.concatenate([logits, densities, rewards], axis=-1), name=name)


@keras.saving.register_keras_serializable("keras_vision")
class RAMLoss(keras.losses.Loss):
    """Cross-entropy of the class, REINFORCE for the places with a learned baseline, and the baseline's squared error.

    The reward is 1 for a right class and 0 for a wrong one, after the last glimpse.

    Args:
        classes: number of them, which are the first columns of what the network gives.
    """

    def __init__(self, classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        logits, rest = y_pred[:, : self.classes], y_pred[:, self.classes :]
        densities, expected = ops.split(rest, 2, axis=-1)
        reward = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(labels, "int64")), "float32")[:, None]
        better = ops.stop_gradient(reward - expected)
        reinforced = -ops.sum(better * densities, axis=-1) + ops.sum((reward - expected) ** 2, axis=-1)
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True) + reinforced

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


def ConvolutionalBaseline(
    image_shape: tuple[int, int, int] = (100, 100, 1), classes: int = 10, name: str = "ConvolutionalBaseline"
) -> keras.Model:
    """Table 1's convolutional network of two layers, to logits `(n, classes)`: 10 x 10 filters, then all connected."""
    return keras.Sequential(
        [
            keras.Input(image_shape, name="image"),
            layers.Conv2D(8, 10, strides=5, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(256, "relu", name="hidden"),
            layers.Dense(classes, name="logits"),
        ],
        name=name,
    )
