"""The part of an image that becomes the network's input, and how images and masks are shown through it.

Every geometric augmentation is a choice of window: a crop, a zoom, a shift and a mirror image are one resampling. So
only the part that is seen needs to be decoded, and a mask goes exactly where its image goes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vision.data.resample import resample


class Window(NamedTuple):
    """A rectangle of the source image, in its pixels; it may reach beyond the image.

    Attributes:
        offset: y and x of the upper left corner, float32 `(2,)`.
        extent: height and width, above 0, float32 `(2,)`.
        mirror: left and right are exchanged, bool `()`.
    """

    offset: Any
    extent: Any
    mirror: Any


Geometry = Callable[[Any, tuple[int, int], Any], Window]  # source (height, width), target (height, width), seed (2,)
Photometric = Callable[[Any, Any], Any]  # float32 pixels (h, w, 3) in 0-255, seed (2,) -> the same


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A geometry and photometric changes, in this order; each gets its own seed.

    All are functions of tensors and a seed `(2,)`, int32, as in `tf.random.stateless_uniform`, with the same result
    eagerly and in a graph.

    Attributes:
        geometry: chooses the window.
        photometric: change the pixels that are shown, at the size of the network's input; masks stay as they are.
    """

    geometry: Geometry
    photometric: tuple[Photometric, ...] = ()


def show(pixels: Any, window: Window, size: tuple[int, int], fill: float = 0.0) -> Any:
    """Antialiased bilinear resampling, `(h, w, c) -> (*size, c)`, float32.

    Args:
        pixels: the image, any number type.
        window: what to show of it.
        size: height and width of the result.
        fill: value of what lies outside the image.
    """
    if fill == 0:  # what lies outside is 0 anyway, and the resampling takes any number type
        return _resampled(pixels, window, size, "triangle", antialias=True)
    return _resampled(tf.cast(pixels, tf.float32) - fill, window, size, "triangle", antialias=True) + fill


def show_mask(mask: Any, window: Window, size: tuple[int, int], void: int) -> Any:
    """The class nearest to the centre of each cell, `(h, w) -> size`; `void` outside the image."""
    shifted = tf.cast(mask, tf.float32)[..., None] - void
    shown = _resampled(shifted, window, size, "box", antialias=False)
    return tf.cast(tf.round(shown[..., 0] + void), mask.dtype)


def _resampled(pixels: Any, window: Window, size: tuple[int, int], kernel: str, antialias: bool) -> Any:
    scale = tf.constant(size, tf.float32) / window.extent
    shown = resample(pixels, scale, -window.offset * scale, size, kernel, antialias)
    return tf.cond(window.mirror, lambda: tf.reverse(shown, [1]), lambda: shown)
