"""Encoded image to the part that an augmentation shows: decodes only that part of a JPEG, and smaller where it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.augment.window import Geometry, Window, show
from keras_vision.data.decode import LYING, decode_other, exif_orientation, flipped, upright, with_adobe_marker

RATIOS = (1, 2, 4, 8)  # by which libjpeg can decode smaller
OVERSAMPLED = 2  # pixels left for each one of the result, in both directions, after decoding smaller, for `show`
ENLARGED, REDUCED = 8.0, 2.5  # in one direction, by bilinear interpolation, at most
_EDGE = 3  # pixels: the outermost column of a part has other colours, as its neighbours' chroma was not decoded
_JFIF = (0xFF, 0xD8, 0xFF, 0xE0, 0, 16, *[0] * 14, 0xFF, 0xDB)  # start, the JFIF segment's length, then a table
_SEGMENTS, _ADOBE = (*range(0xE0, 0xF0), 0xFE), 0xEE  # markers of applications' segments and comments
_COMPARED = tuple(0xFF if at < 6 or at > 19 else 0 for at in range(22))


def show_encoded(
    encoded: Any, geometry: Geometry, size: tuple[int, int], channels: int, seed: Any,
    fill: float | Sequence[float] = 0.0,
) -> tuple[Any, Window]:  # fmt: skip
    """What `geometry` chooses of an encoded image: pixels `(*size, channels)`, float32, and the window they show.

    Of a JPEG only the part in the window is decoded (a progressive one is read whole, and the rest of the work is
    saved). A JPEG without EXIF whose window lies inside is decoded at 1/2, 1/4 or 1/8 of its size, by libjpeg's scaled
    transform, where that leaves at least one pixel for each one of the result; the window is rounded to whole pixels of
    what was decoded, and these become the result by bilinear interpolation, without antialiasing, as in TF-Slim's
    Inception preprocessing. That differs by 1.3 grey levels on average from `show` of the same window (Inception's
    crops of 125 photographs of ImageNet; at most 8 in one of them).

    Else, and where the result would be more than eight times as large as the part in a direction, or more than two and
    a half times smaller, the window is shown by `show`; where more than 4 x 4 pixels go into one, of what libjpeg
    decoded smaller, so that at least 2 x 2 pixels remain to average. That differs from `show` of `decode_image` by half
    a grey level on average (at most 0.9 in one of them), and without decoding smaller only by rounding.

    Args:
        encoded: scalar string, the bytes of a JPEG, PNG or GIF file.
        geometry: chooses the window from the size of the upright image.
        size: height and width of the result.
        channels: 3 (RGB) or 1 (grey).
        seed: of the geometry, int32 `(2,)`.
        fill: as in `show`.
    """
    plain = tf.ensure_shape(_has_no_exif(encoded), [])
    stored = tf.cond(plain, lambda: tf.image.extract_jpeg_shape(encoded), lambda: tf.constant([1, 1, 1]))
    window = geometry(stored[:2], size, seed)
    fits, choice, ratio, start, extent = _whole_pixels(stored[:2], window, size)
    fits = plain & fits & (stored[2] <= 3)  # CMYK may lack Adobe's segment

    def resized() -> tuple[Any, ...]:
        box = tf.cast(tf.concat([start, extent], 0), tf.int32)
        pixels = _at_ratio(encoded, choice, box, channels)
        turned = tf.raw_ops.Reverse(tensor=pixels, dims=tf.stack([False, window.mirror, False]))
        shown = tf.raw_ops.ResizeBilinear(images=turned[None], size=size, half_pixel_centers=True)
        return tf.squeeze(shown, 0), start * ratio, extent * ratio, window.mirror

    def exact(encoded: Any, seed: Any) -> tuple[Any, ...]:
        return _exactly(encoded, geometry, size, channels, seed, fill)

    pixels, *seen = tf.cond(fits, resized, lambda: _apart(exact, encoded, seed))
    return tf.ensure_shape(pixels, [*size, channels]), Window(*seen)


def _whole_pixels(stored: Any, window: Window, size: tuple[int, int]) -> tuple[Any, ...]:
    """Whether a window can be shown by bilinear interpolation, and how.

    The position in `RATIOS` at which the JPEG is decoded, that ratio, and start and extent of the window in whole
    pixels of what is decoded.
    """
    cells = float(size[0] * size[1])
    choice = tf.reduce_sum(tf.cast(tf.reduce_prod(window.extent) >= [cells * r * r for r in RATIOS[1:]], tf.int32))
    ratio = tf.gather(tf.constant(RATIOS, tf.float32), choice)
    full = tf.floor(tf.cast(stored, tf.float32) / ratio)
    start, stop = tf.round(window.offset / ratio), tf.round((window.offset + window.extent) / ratio)
    extent = tf.minimum(stop, full) - start
    result = tf.constant(size, tf.float32)
    room = tf.stack([start, full + 1.0 - stop, extent - result / ENLARGED, result * REDUCED - extent])
    return tf.reduce_all(room >= 0), choice, ratio, start, extent


def _has_no_exif(encoded: Any) -> Any:
    """True of a JPEG whose segments before its first table hold no EXIF."""
    head = tf.raw_ops.DecodePaddedRaw(input_bytes=encoded, fixed_length=len(_JFIF), out_type=tf.uint8)
    jfif_alone = tf.reduce_all(tf.equal(tf.bitwise.bitwise_and(head, _COMPARED), _JFIF))
    return tf.cond(
        jfif_alone, lambda: tf.constant(True), lambda: tf.numpy_function(_segments_hold_no_exif, [encoded], tf.bool)
    )


def _segments_hold_no_exif(jpeg: bytes | np.ndarray) -> bool:
    jpeg = jpeg if isinstance(jpeg, bytes) else jpeg.item()  # outside of a graph TensorFlow gives an array
    at = 2
    while jpeg[:2] == b"\xff\xd8" and jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg):
        if jpeg[at + 1] not in _SEGMENTS:
            return True
        if jpeg[at + 1] == _ADOBE or jpeg[at + 4 : at + 8] == b"Exif":
            return False
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return False


def _apart(function: Callable[..., Any], encoded: Any, seed: Any) -> Any:
    """Calls it from outside the graph: tf.data gets all of a graph ready anew for each epoch, used or not."""
    if tf.executing_eagerly():
        return function(encoded, seed)
    traced = tf.function(
        function, autograph=False, input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((2,), tf.int32)]
    )
    types = (tf.float32, tf.float32, tf.float32, tf.bool)
    pixels, offset, extent, mirror = tf.py_function(traced, [encoded, seed], types)
    return pixels, tf.ensure_shape(offset, [2]), tf.ensure_shape(extent, [2]), tf.ensure_shape(mirror, [])


def _exactly(
    encoded: Any, geometry: Geometry, size: tuple[int, int], channels: int, seed: Any, fill: float | Sequence[float]
) -> tuple[Any, ...]:
    """Pixels and window, by `show`."""
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
    return tf.ensure_shape(show(part, Window(*seen), size, fill), [*size, channels]), *window


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
    pixels = _at_ratio(encoded, choice, tf.reshape(box, [4]), channels)
    return upright(pixels, orientation), offset - start, extent, window.mirror


def _at_ratio(encoded: Any, choice: Any, box: Any, channels: int) -> Any:
    """The part of a JPEG in the box (y, x, height, width), decoded at one of `RATIOS`."""
    pixels = tf.switch_case(choice, [lambda r=r: _crop(encoded, box, channels, r) for r in RATIOS])
    pixels.set_shape([None, None, channels])
    return pixels


def _crop(encoded: Any, box: Any, channels: int, ratio: int) -> Any:
    return tf.raw_ops.DecodeAndCropJpeg(
        contents=encoded, crop_window=box, channels=channels, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )
