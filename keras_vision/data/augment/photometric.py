"""Photometric changes: colours and hidden parts. Each is `(pixels, seed) -> pixels`, float32 `(h, w, 3)` in 0–255."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.augment.arguments import at_least, count, probability, span
from keras_vision.errors import KerasVisionError

# Of the covariance of ImageNet's RGB pixels on the scale 0–1, largest first; one eigenvector per column.
# The values of fb.resnet.torch (datasets/imagenet.lua), which most later work took over.
IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclasses.dataclass(frozen=True)
class ColorDistortion:
    """Inception's photometric distortion: brightness, saturation, hue and contrast, in random order.

    That there is one is said by Szegedy et al. (arXiv 1409.4842, section 6), after Howard (arXiv 1312.5402, section
    2.2: factors from 0.5 to 1.5 in random order). The defaults are those of TF-slim's `inception_preprocessing`, which
    takes one of four orders; here all 24 are as likely. Clipped to 0–255 at the end, as there.

    Attributes:
        brightness: largest change, added, in grey levels.
        saturation: range of the factor of the saturation.
        hue: largest turn of the hue, as a share of the full circle, at most 0.5.
        contrast: range of the factor of the distance to the channel's mean.

    Raises:
        KerasVisionError: a range makes no sense.
    """

    brightness: float = 32.0
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 0.2
    contrast: tuple[float, float] = (0.5, 1.5)

    def __post_init__(self) -> None:
        at_least("brightness", self.brightness, 0)
        span("saturation", self.saturation, zero=True)
        span("hue", (0, self.hue), 0.5, zero=True)
        span("contrast", self.contrast, zero=True)

    def __call__(self, pixels: Any, seed: Any) -> Any:
        _check_rgb(pixels, "the colour distortion")
        low_high = self._changes()
        amounts, keys = tf.unstack(tf.random.stateless_uniform([2, len(low_high)], seed))
        order = tf.argsort(keys)
        for step in range(len(low_high)):
            ways = [
                functools.partial(change, pixels, low + (high - low) * amounts[number])
                for number, (change, low, high) in enumerate(low_high)
            ]
            pixels = tf.switch_case(order[step], ways)
        return tf.clip_by_value(pixels, 0.0, 255.0)

    def scaled(self, strength: float) -> ColorDistortion:
        """All of it weaker: 0 changes nothing, 1 is this distortion.

        Raises:
            KerasVisionError: a strength outside of 0 to 1.
        """
        if not 0 <= strength <= 1:
            raise KerasVisionError(f"distortion={strength!r}; give a number from 0 to 1.")

        def around_one(ends: tuple[float, float]) -> tuple[float, float]:
            return 1 + (ends[0] - 1) * strength, 1 + (ends[1] - 1) * strength

        saturation, contrast = around_one(self.saturation), around_one(self.contrast)
        return ColorDistortion(self.brightness * strength, saturation, self.hue * strength, contrast)

    def _changes(self) -> list[tuple[Callable[[Any, Any], Any], float, float]]:
        """The changes that do something, and the ranges of their amounts."""
        changes = [
            (tf.add, -self.brightness, self.brightness),
            (tf.image.adjust_saturation, *self.saturation),
            (tf.image.adjust_hue, -self.hue, self.hue),
            (tf.image.adjust_contrast, *self.contrast),
        ]
        nothing = (0, 1, 0, 1)
        return [change for change, none in zip(changes, nothing, strict=True) if change[1:] != (none, none)]


@dataclasses.dataclass(frozen=True)
class PCAColor:
    """AlexNet's colour shift: `255 * sum_i a_i l_i p_i` is added to every pixel, a_i normal (Krizhevsky et al. 2012).

    l_i and p_i are the eigenvalues and eigenvectors of the covariance of ImageNet's RGB values on the scale 0–1
    (section 4.1), as in VGG and ResNet. Clipped to 0–255.

    Attributes:
        deviation: standard deviation of a_i; the paper's is 0.1.

    Raises:
        KerasVisionError: the deviation is negative, or (when called) the image has other channels than three.
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        at_least("deviation", self.deviation, 0)

    def __call__(self, pixels: Any, seed: Any) -> Any:
        steps = np.array(IMAGENET_EIGENVECTORS) * IMAGENET_EIGENVALUES * 255.0 * self.deviation
        _check_rgb(pixels, "the colour shift")
        # One product, as graphs would change the order of a longer sum.
        shift = tf.linalg.matvec(tf.constant(steps, tf.float32), tf.random.stateless_normal([3], seed))
        return tf.clip_by_value(pixels + shift, 0.0, 255.0)


@dataclasses.dataclass(frozen=True)
class Cutout:
    """Cutout: a square is blanked; its centre is any pixel, so that it may hang over (DeVries & Taylor, 1708.04552).

    Attributes:
        size: side of the square, in pixels: its upper left corner is `size // 2` above and left of the centre. The
            paper's: 16 on CIFAR-10, 8 on CIFAR-100, 20 on SVHN.
        fill: value, or one per channel; the paper's is the mean of the data.
        rate: probability that an image is changed.

    Raises:
        KerasVisionError: the size is below 1, or the rate is no probability.
    """

    size: int = 16
    fill: float | tuple[float, float, float] = 128.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        count("size", self.size, 1)
        probability("rate", self.rate)

    def __call__(self, pixels: Any, seed: Any) -> Any:
        draws = tf.random.stateless_uniform([3], seed)
        shape = tf.shape(pixels)[:2]
        sides = tf.cast(shape, tf.float32)
        centre = tf.cast(tf.minimum(tf.floor(draws[:2] * sides), sides - 1.0), tf.int32)
        blank = square(shape, centre - self.size // 2, self.size) & (draws[2] < self.rate)
        return tf.where(blank[..., None], tf.constant(self.fill, tf.float32), pixels)


@dataclasses.dataclass(frozen=True)
class HideAndSeek:
    """Hide-and-Seek: each patch of a grid is hidden by itself (Kumar Singh & Lee, arXiv 1704.04232, section 3.1).

    Attributes:
        sizes: sides of the patches, in pixels, of which one is drawn per image; 0 hides nothing. The default is the
            paper's mixture for ImageNet.
        rate: probability that a patch is hidden.
        fill: value, or one per channel; the paper's is the mean of the data.

    Raises:
        KerasVisionError: there is no size or a negative one, or the rate is no probability.
    """

    sizes: tuple[int, ...] = (0, 16, 32, 44, 56)
    rate: float = 0.5
    fill: float | tuple[float, float, float] = (123.68, 116.779, 103.939)  # of ImageNet

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, Sequence) or not self.sizes:
            raise KerasVisionError(f"sizes={self.sizes!r}; give one or more sides of patches, such as (16, 32).")
        for size in self.sizes:
            count("sizes", size, 0)
        probability("rate", self.rate)

    def __call__(self, pixels: Any, seed: Any) -> Any:
        which, hidden = tf.unstack(tf.random.split(seed, 2))
        size = tf.gather(self.sizes, tf.random.stateless_uniform([], which, 0, len(self.sizes), tf.int32))
        shape = tf.shape(pixels)[:2]
        patches = tf.random.stateless_uniform(shape, hidden) < self.rate  # one per pixel: as many as there may be
        side = tf.maximum(size, 1)
        hide = tf.gather(tf.gather(patches, tf.range(shape[0]) // side), tf.range(shape[1]) // side, axis=1)
        return tf.where((hide & (size > 0))[..., None], tf.constant(self.fill, tf.float32), pixels)


def _check_rgb(pixels: Any, change: str) -> None:
    if pixels.shape[-1] != 3:
        raise KerasVisionError(f"pixels of {pixels.shape}: {change} is of RGB images; leave it out.")


def square(shape: Any, corner: Any, size: int) -> Any:
    """True inside a square of side `size` whose upper left pixel is `corner`, bool, of `shape`."""
    rows, columns = tf.range(shape[0]) - corner[0], tf.range(shape[1]) - corner[1]
    return ((rows >= 0) & (rows < size))[:, None] & ((columns >= 0) & (columns < size))[None, :]
