"""The part of an image that becomes the network's input, and how images and masks are shown through it.

Every geometric augmentation is a choice of window: a crop, a zoom, a shift and a mirror image are one resampling. So
only the part that is seen needs to be decoded, and a mask goes exactly where its image goes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
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

    @property
    def mask_safe(self) -> bool:
        """False where a photometric change also moves pixels, as RandAugment does: a mask would stay behind."""
        return not any(getattr(change, "moves_pixels", False) for change in self.photometric)


def show(pixels: Any, window: Window, size: tuple[int, int], fill: float | Sequence[float] = 0.0) -> Any:
    """Antialiased bilinear resampling, `(h, w, c) -> (*size, c)`, float32.

    Args:
        pixels: the image, any number type.
        window: what to show of it.
        size: height and width of the result.
        fill: value of what lies outside the image, or one for each channel.
    """
    scale = tf.constant(size, tf.float32) / window.extent
    filled = np.any(fill)  # what lies outside is 0 anyway, and the resampling takes any number type
    inside = tf.cast(pixels, tf.float32) - fill if filled else pixels
    shown = resample(inside, scale, -window.offset * scale, size, "triangle", antialias=True)
    if filled:  # the maximum changes nothing, but keeps graphs from merging the sum with one that follows
        shown = tf.maximum(shown + fill, tf.float32.min)
    return _mirrored(shown, window)


def show_mask(mask: Any, window: Window, size: tuple[int, int], void: int) -> Any:
    """The class under the centre of each cell, `(h, w) -> size`; `void` outside the image.

    A centre between two pixels takes the lower right one: classes are chosen, never averaged.
    """
    rows, rows_inside = _under_centres(window.offset[0], window.extent[0], size[0], tf.shape(mask)[0])
    columns, columns_inside = _under_centres(window.offset[1], window.extent[1], size[1], tf.shape(mask)[1])
    shown = tf.gather(tf.gather(mask, rows), columns, axis=1)
    inside = rows_inside[:, None] & columns_inside[None, :]
    return _mirrored(tf.where(inside, shown, tf.cast(void, mask.dtype)), window)


def _under_centres(offset: Any, extent: Any, cells: int, length: Any) -> tuple[Any, Any]:
    """For each cell along one axis: the source pixel, clipped to the image, and whether it lies inside, `(cells,)`."""
    # A tf.function turns a division by a constant into a less exact product, but leaves this kind as it is.
    cell = tf.math.divide_no_nan(extent, float(cells))
    centres = offset + (tf.range(cells, dtype=tf.float32) + 0.5) * cell
    pixels = tf.cast(tf.floor(centres), tf.int32)
    return tf.clip_by_value(pixels, 0, length - 1), (pixels >= 0) & (pixels < length)


def _mirrored(shown: Any, window: Window) -> Any:
    return tf.cond(window.mirror, lambda: tf.reverse(shown, [1]), lambda: shown)
