"""Encoded images to network input inside a TensorFlow graph: the same steps as the runtime takes with Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.augment.geometry import CentreCrop
from keras_vision.data.augment.window import show
from keras_vision.runtime.preprocessing import Preprocessing

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_PNG_EXIF = b"eXIf"
LYING = 5  # orientations from here on: the rows of the upright image are columns in the file
_FLIPPED = ((0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0))  # by orientation: rows, columns
_EXIF_SPAN = 1 << 17  # EXIF stands in the first segment or two, each below 64 KiB


def decode_image(encoded: Any, channels: int = 3) -> Any:
    """JPEG, PNG or the first frame of a GIF to uint8 pixels `(h, w, channels)`, upright by EXIF orientation.

    The exact integer DCT is used: TensorFlow's default agrees with Pillow on fewer predictions. TensorFlow misreads BMP
    files with a palette, so BMP is refused.

    Args:
        encoded: scalar string tensor, the bytes of the file.
        channels: 3 (RGB) or 1 (grey).
    """
    is_jpeg = tf.io.is_jpeg(encoded)
    pixels = tf.cond(
        is_jpeg,
        lambda: tf.io.decode_jpeg(encoded, channels=channels, dct_method="INTEGER_ACCURATE"),
        lambda: decode_other(encoded, channels),
    )
    pixels.set_shape([None, None, channels])
    return upright(pixels, exif_orientation(encoded))


def decode_other(encoded: Any, channels: int) -> Any:
    """PNG or the first frame of a GIF as it is stored, uint8 `(h, w, channels)`."""
    is_bmp = tf.equal(tf.strings.substr(encoded, 0, 2), "BM")
    with tf.control_dependencies([tf.debugging.Assert(~is_bmp, ["BMP is not read here: convert it to PNG"])]):
        return tf.io.decode_image(encoded, channels=channels, expand_animations=False)


def resize_and_crop(pixels: Any, preprocessing: Preprocessing) -> Any:
    """Antialiased bilinear resize and centre crop, `(h, w, c) -> (*size, c)`, rounded to whole grey levels.

    Takes only the part of the image that the crop shows, as `Preprocessing.source_box` does.
    """
    window = CentreCrop(preprocessing.resize_shorter)(tf.shape(pixels)[:2], preprocessing.size)
    return tf.clip_by_value(tf.round(show(pixels, window, preprocessing.size)), 0.0, 255.0)


def normalized(pixels: Any, preprocessing: Preprocessing) -> Any:
    """`Preprocessing.normalize` in TensorFlow, whatever Keras runs on: `(..., c)`, RGB or grey, in 0-255."""
    ordered = tf.cast(tf.reverse(pixels, [-1]) if preprocessing.color == "BGR" else pixels, tf.float32)
    *_, width, channels = pixels.shape
    # As rows: TensorFlow is several times slower where what it broadcasts along has three values.
    rows = tf.reshape(ordered, [-1, width * channels]) if width else ordered
    mean, std = (
        tf.constant(np.tile(values, width or 1), tf.float32) for values in (preprocessing.mean, preprocessing.std)
    )
    return tf.reshape((rows - mean) / std, tf.shape(ordered)) if width else (ordered - mean) / std


def load_pixels(encoded: Any, preprocessing: Preprocessing) -> Any:
    """Encoded image to resized, cropped pixels, float32 in 0–255, RGB or grey; normalisation is left to the caller."""
    return resize_and_crop(decode_image(encoded, preprocessing.channels), preprocessing)


def exif_orientation(encoded: Any) -> Any:
    """The EXIF orientation of a JPEG or PNG, 1 to 8; 1 where there is none or it is damaged."""
    head = tf.strings.substr(encoded, 0, _EXIF_SPAN)
    before = tf.where(tf.equal(tf.strings.substr(encoded, 1, 3), "PNG"), _PNG_EXIF, _EXIF)
    # Splitting takes ten times as long as looking.
    has_any = tf.strings.regex_full_match(head, rb"\C*(?:" + _EXIF + rb"|\C{12}" + _PNG_EXIF + rb")\C*")
    return tf.cond(has_any, lambda: _orientation_in(head, before), lambda: tf.constant(1))


def _orientation_in(head: Any, before: Any) -> Any:
    parts = tf.strings.split(head, before, maxsplit=1)
    return _first_directory(tf.concat([parts, [b"", b""]], 0)[1])


def _first_directory(tiff: Any) -> Any:
    """Looks the orientation up in the first image file directory of a TIFF structure."""
    data = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    data = tf.concat([data, tf.zeros(16, tf.int32)], 0)  # so that the header can always be read
    little = tf.equal(data[0], ord("I"))

    def number(cells: Any) -> Any:  # (..., k) bytes to (...) integers in the file's byte order
        weights = [1 << 8 * i for i in range(cells.shape[-1])]
        return tf.reduce_sum(cells * tf.where(little, weights, weights[::-1]), -1)

    start = tf.clip_by_value(number(tf.ensure_shape(data[4:8], [4])), 0, tf.size(data) - 2)
    count = tf.minimum(number(tf.ensure_shape(data[start : start + 2], [2])), (tf.size(data) - start - 2) // 12)
    entries = tf.reshape(data[start + 2 : start + 2 + 12 * count], [-1, 12])
    values = tf.boolean_mask(number(entries[:, 8:10]), tf.equal(number(entries[:, :2]), _ORIENTATION))
    found = tf.reduce_max(tf.concat([values, [1]], 0))
    return tf.where(found <= 8, found, 1)


def upright(pixels: Any, orientation: Any) -> Any:
    """Stored pixels `(h, w, c)` as they are to be shown, by the EXIF orientation, 1 to 8."""

    def turned() -> Any:  # few operations: each costs time even in the branch that is not taken
        standing = tf.transpose(pixels, tf.where(orientation >= LYING, [1, 0, 2], [0, 1, 2]))
        flips = tf.concat([flipped(orientation), [False]], 0)
        return tf.raw_ops.Reverse(tensor=standing, dims=flips)

    result = tf.cond(tf.equal(orientation, 1), lambda: pixels, turned)
    result.set_shape([None, None, pixels.shape[-1]])
    return result


def flipped(orientation: Any) -> Any:
    """Whether the file holds the rows, and the columns, of the upright image in reverse: bool `(2,)`."""
    return tf.equal(tf.constant(_FLIPPED)[orientation], 1)
