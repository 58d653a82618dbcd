"""Geometries: which part of a training image is shown, by paper. Each is `(source, target, seed) -> Window`.

A whole-pixel crop of a resized image is a window of the source, so nothing is resized twice. Images and masks are shown
through the same window (`show`, `show_mask`), which makes each of these fit for segmentation.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_vision.data.augment.arguments import count, probability, span
from keras_vision.data.augment.window import Window
from keras_vision.errors import KerasVisionError


@dataclasses.dataclass(frozen=True)
class AreaCrop:
    """Inception's crop: area and aspect ratio are drawn, then the place (Szegedy et al., arXiv 1409.4842, section 6).

    The paper leaves the distribution of the aspect ratio open; its logarithm is uniform here, so that a ratio is as
    likely as its inverse. Shapes that do not fit are drawn again; after `tries` the largest centred window with an
    aspect ratio in the range is shown.

    Attributes:
        area: range of the crop's share of the image's area, uniform.
        aspect: range of width / height.
        tries: number of shapes drawn.
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a range or a probability makes no sense.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    tries: int = 10
    mirror: float = 0.5

    def __post_init__(self) -> None:
        span("area", self.area, 1.0)
        span("aspect", self.aspect)
        count("tries", self.tries, 1)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        whole = tf.cast(source, tf.float32)
        draws = tf.split(_uniform(2 * self.tries + 3, seed), [self.tries, self.tries, 1, 2])
        side = tf.sqrt(_between(self.area, draws[0]) * tf.reduce_prod(whole))
        stretch = tf.exp(_between((math.log(self.aspect[0]) / 2, math.log(self.aspect[1]) / 2), draws[1]))
        # The largest window: as high as the image, or as wide, where its aspect ratio is outside the range.
        largest = tf.minimum(whole, tf.reverse(whole, [0]) * [1 / self.aspect[0], self.aspect[1]])
        shapes = tf.concat([tf.stack([side / stretch, side * stretch], 1), largest[None]], 0)
        first = tf.argmax(tf.reduce_all(shapes <= whole, 1))
        extent = tf.gather(shapes, first)
        place = tf.where(tf.equal(first, self.tries), 0.5, draws[3])
        return Window(place * (whole - extent), extent, tf.squeeze(draws[2] < self.mirror, 0))


@dataclasses.dataclass(frozen=True)
class ScaleJitter:
    """VGG's scale jitter: the shorter side becomes S pixels, then a crop at any place (arXiv 1409.1556, section 3.1).

    Attributes:
        scales: range of S, whole pixels, ends included; (256, 256) is the paper's fixed scale. ResNet: (256, 480).
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a range or a probability makes no sense, or (when called) the target is larger than S.
    """

    scales: tuple[int, int] = (256, 512)
    mirror: float = 0.5

    def __post_init__(self) -> None:
        for scale in span("scales", self.scales):
            count("scales", scale, 1)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        _check_room("scales", self.scales[0], target)
        draws = _uniform(4, seed)
        shorter = _whole(self.scales[0], self.scales[1], draws[0])
        resized = _resized(source, shorter)
        corner = _whole(0.0, resized - _floats(target), draws[1:3])
        return _window(source, resized, corner, target, draws[3] < self.mirror)


@dataclasses.dataclass(frozen=True)
class CentrePatchCrop:
    """AlexNet's crop: shorter side to S, the central S x S patch, a crop at any place of it.

    Krizhevsky et al. 2012, sections 2 and 4.1: S is 256 and the crop 224 x 224 (227 x 227 in Caffe).

    Attributes:
        shorter: S, in pixels.
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a value makes no sense, or (when called) the target is larger than S.
    """

    shorter: int = 256
    mirror: float = 0.5

    def __post_init__(self) -> None:
        count("shorter", self.shorter, 1)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        _check_room("shorter", self.shorter, target)
        draws = _uniform(3, seed)
        resized = _resized(source, self.shorter)
        patch = tf.floor((resized - self.shorter) / 2)
        corner = patch + _whole(0.0, self.shorter - _floats(target), draws[:2])
        return _window(source, resized, corner, target, draws[2] < self.mirror)


@dataclasses.dataclass(frozen=True)
class Translation:
    """FCN's mirror and jitter: the image at its own scale, moved by up to 32 pixels (arXiv 1411.4038, section 4.3).

    The middle of the image goes to the middle of the target, then it is moved by whole pixels; what does not fit is
    cut off, and what is empty is filled (void in masks).

    Attributes:
        pixels: largest move in each direction; 32 is FCN's coarsest scale of prediction.
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a value makes no sense.
    """

    pixels: int = 32
    mirror: float = 0.5

    def __post_init__(self) -> None:
        count("pixels", self.pixels, 0)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        draws = _uniform(3, seed)
        centred = tf.floor((tf.cast(source, tf.float32) - _floats(target)) / 2)
        move = _whole(-self.pixels, self.pixels, draws[:2])
        return Window(centred + move, _floats(target), draws[2] < self.mirror)


@dataclasses.dataclass(frozen=True)
class ScaleAndCrop:
    """Random scale and crop for segmentation: scaled by 0.5 to 1.5 (DeepLab v2, arXiv 1606.00915, section 4.1).

    The target shows a part at any place of the scaled image; where that is smaller than the target, the whole image at
    any place of the target.

    Attributes:
        scales: range of the factor that the image's own size is multiplied by, uniform.
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a range or a probability makes no sense.
    """

    scales: tuple[float, float] = (0.5, 1.5)
    mirror: float = 0.5

    def __post_init__(self) -> None:
        span("scales", self.scales)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        draws = _uniform(4, seed)
        resized = tf.maximum(tf.round(tf.cast(source, tf.float32) * _between(self.scales, draws[0])), 1.0)
        room = resized - _floats(target)
        corner = _whole(tf.minimum(room, 0.0), tf.maximum(room, 0.0), draws[1:3])
        return _window(source, resized, corner, target, draws[3] < self.mirror)


@dataclasses.dataclass(frozen=True)
class PaddedCrop:
    """CIFAR's crop: 4 empty pixels on each side, then a crop of the old size (ResNet, arXiv 1512.03385, section 4.2).

    Attributes:
        pad: width of the border, in pixels of the target; an image of another size is resized to the target first.
        mirror: probability that left and right are exchanged.

    Raises:
        KerasVisionError: a value makes no sense.
    """

    pad: int = 4
    mirror: float = 0.5

    def __post_init__(self) -> None:
        count("pad", self.pad, 0)
        probability("mirror", self.mirror)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any) -> Window:
        draws = _uniform(3, seed)
        corner = _whole(-self.pad, self.pad, draws[:2])
        return _window(source, _floats(target), corner, target, draws[2] < self.mirror)


@dataclasses.dataclass(frozen=True)
class CentreCrop:
    """What a network is evaluated on, as in `Preprocessing`: resized shorter side and centre crop. Takes any seed.

    Attributes:
        shorter: length of the resized shorter side, in pixels; None squashes the whole image.

    Raises:
        KerasVisionError: a value makes no sense, or (when called) the target is larger than `shorter`.
    """

    shorter: int | None = None

    def __post_init__(self) -> None:
        if self.shorter is not None:
            count("shorter", self.shorter, 1)

    def __call__(self, source: Any, target: tuple[int, int], seed: Any = None) -> Window:
        if self.shorter is None:
            return Window(tf.zeros(2), tf.cast(source, tf.float32), tf.constant(False))
        _check_room("shorter", self.shorter, target)
        resized = _resized(source, self.shorter)
        return _window(source, resized, tf.floor((resized - _floats(target)) / 2), target, tf.constant(False))


def _floats(size: tuple[int, int]) -> Any:
    return tf.constant(size, tf.float32)


def _uniform(count: int, seed: Any) -> Any:
    """`tf.random.stateless_uniform`, float32 `(count,)`, in one operation instead of six."""
    return tf.raw_ops.StatelessRandomUniform(shape=[count], seed=seed)


def _between(ends: tuple[float, float], draw: Any) -> Any:
    return ends[0] + (ends[1] - ends[0]) * draw


def _whole(low: Any, high: Any, draw: Any) -> Any:
    """A whole number from `low` to `high`, both included, for a draw in [0, 1)."""
    return tf.minimum(low + tf.floor(draw * (high - low + 1.0)), high)  # rounding could reach high + 1


def _resized(source: Any, shorter: Any) -> Any:
    """Whole height and width of the image whose shorter side is resized to `shorter`, as `Preprocessing` rounds."""
    source = tf.cast(source, tf.float32)
    return tf.maximum(tf.round(source * (shorter / tf.reduce_min(source))), 1.0)


def _window(source: Any, resized: Any, corner: Any, target: tuple[int, int], mirror: Any) -> Window:
    """The crop of `target` at `corner` of the resized image, as a window of the source."""
    # A tf.function turns a division by a constant into a less exact product, but leaves this kind as it is.
    pixel = tf.math.divide_no_nan(tf.cast(source, tf.float32), resized)
    return Window(corner * pixel, _floats(target) * pixel, mirror)


def _check_room(name: str, shorter: int, target: tuple[int, int]) -> None:
    if shorter < max(target):
        raise KerasVisionError(
            f"{name}: a shorter side of {shorter} pixels leaves no room for a crop of {target}; "
            f"give at least {max(target)}."
        )
