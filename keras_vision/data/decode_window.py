"""Encoded image to the part that an augmentation shows: decodes only that part of a JPEG, and smaller where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_vision.data.augment.window import Geometry, Window, show
from keras_vision.data.decode import LYING, decode_other, exif_orientation, flipped, upright, with_adobe_marker

RATIOS = (1, 2, 4, 8)  # by which libjpeg can decode smaller
OVERSAMPLED = 2  # pixels left for each one of the result, in both directions, after decoding smaller
_EDGE = 3  # pixels: the outermost column of a part has other colours, as its neighbours' chroma was not decoded


def show_encoded(
    encoded: Any, geometry: Geometry, size: tuple[int, int], channels: int, seed: Any,
    fill: float | Sequence[float] = 0.0,
) -> tuple[Any, Window]:  # fmt: skip
    """`show` of what `decode_image` gives and `geometry` chooses: pixels `(*size, channels)`, float32, and the window.

    Of a JPEG only the part in the window is decoded (a progressive one is read whole, and the rest of the work is
    saved). Where more than 4 x 4 pixels go into one, it is decoded at 1/2, 1/4 or 1/8 of its size, by libjpeg's scaled
    transform, so that at least 2 x 2 pixels remain to average; the result then differs by half a grey level on
    average (photographs of ImageNet; at most 0.9 in one of them), and else only by rounding.

    Args:
        encoded: scalar string, the bytes of a JPEG, PNG or GIF file.
        geometry: chooses the window from the size of the upright image.
        size: height and width of the result.
        channels: 3 (RGB) or 1 (grey).
        seed: of the geometry, int32 `(2,)`.
        fill: as in `show`.
    """
    is_jpeg = tf.io.is_jpeg(encoded)
    encoded = tf.cond(is_jpeg, lambda: with_adobe_marker(encoded), lambda: encoded)
    source, orientation, pixels = tf.cond(
        is_jpeg, lambda: _described(encoded, channels), lambda: _whole(encoded, channels)
    )
    window = geometry(source, size, seed)
    pixels.set_shape([None, None, channels])
    part, *seen = tf.cond(
        is_jpeg, lambda: _part(encoded, source, orientation, window, size, channels), lambda: (pixels, *window)
    )
    part.set_shape([None, None, channels])
    return tf.ensure_shape(show(part, Window(*seen), size, fill), [*size, channels]), window


def _described(encoded: Any, channels: int) -> tuple[Any, Any, Any]:
    """Size of a JPEG when upright, its orientation, and no pixels yet."""
    orientation, stored = exif_orientation(encoded), tf.image.extract_jpeg_shape(encoded)[:2]
    source = tf.where(orientation >= LYING, tf.reverse(stored, [0]), stored)
    return source, orientation, tf.zeros([0, 0, channels], tf.uint8)


def _whole(encoded: Any, channels: int) -> tuple[Any, Any, Any]:
    pixels = upright(decode_other(encoded, channels), exif_orientation(encoded))
    return tf.shape(pixels)[:2], tf.constant(1), pixels


def _part(
    encoded: Any, source: Any, orientation: Any, window: Window, size: tuple[int, int], channels: int
) -> tuple[Any, ...]:
    """Upright pixels around the window, and the window in their coordinates."""
    reduction = tf.reduce_min(window.extent / tf.constant(size, tf.float32))  # source pixels per pixel of the result
    choice = tf.reduce_sum(tf.cast(reduction >= [float(r * OVERSAMPLED) for r in RATIOS[1:]], tf.int32))
    ratio = tf.gather(tf.constant(RATIOS, tf.float32), choice)
    flips = flipped(orientation)
    full = tf.cast(source, tf.float32) / ratio
    small = tf.math.ceil(full)  # size of the whole image as decoded; its last row and column may be cut pixels
    offset = window.offset / ratio + tf.where(flips, small - full, 0.0)  # a cut row is the first one after a flip
    extent = window.extent / ratio
    margin = tf.math.ceil(tf.maximum(extent / tf.constant(size, tf.float32), 1.0)) + _EDGE  # what the filter reaches
    start = tf.clip_by_value(tf.floor(offset) - margin, 0.0, small - 1)
    stop = tf.clip_by_value(tf.math.ceil(offset + extent) + margin, start + 1, small)
    corner = tf.where(flips, small - stop, start)
    box = tf.stack([corner, stop - start])
    box = tf.cast(tf.where(orientation >= LYING, tf.reverse(box, [1]), box), tf.int32)
    pixels = tf.switch_case(choice, [lambda r=r: _crop(encoded, tf.reshape(box, [4]), channels, r) for r in RATIOS])
    return upright(pixels, orientation), offset - start, extent, window.mirror


def _crop(encoded: Any, box: Any, channels: int, ratio: int) -> Any:
    pixels = tf.raw_ops.DecodeAndCropJpeg(
        contents=encoded, crop_window=box, channels=channels, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )
    pixels.set_shape([None, None, channels])
    return pixels
