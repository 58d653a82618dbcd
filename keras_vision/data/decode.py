"""Encoded images to network input inside a TensorFlow graph: the same steps as the runtime takes with Pillow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vision.data.augment.geometry import CentreCrop
from keras_vision.data.augment.window import show
from keras_vision.runtime.preprocessing import Preprocessing

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_EXIF_SPAN = 1 << 17  # EXIF stands in the first segment or two, each below 64 KiB


def decode_image(encoded: Any, channels: int = 3) -> Any:
    """JPEG, PNG or the first frame of a GIF to uint8 pixels `(h, w, channels)`, upright by EXIF orientation.

    The exact integer DCT is used: TensorFlow's default agrees with Pillow on fewer predictions. The orientation is
    read from JPEG files only. TensorFlow misreads BMP files with a palette, so BMP is left out.

    Args:
        encoded: scalar string tensor, the bytes of the file.
        channels: 3 (RGB) or 1 (grey).
    """
    is_jpeg = tf.io.is_jpeg(encoded)
    pixels = tf.cond(
        is_jpeg,
        lambda: tf.io.decode_jpeg(encoded, channels=channels, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=channels, expand_animations=False),
    )
    pixels.set_shape([None, None, channels])
    return _upright(pixels, tf.cond(is_jpeg, lambda: exif_orientation(encoded), lambda: tf.constant(1)))


def resize_and_crop(pixels: Any, preprocessing: Preprocessing) -> Any:
    """Antialiased bilinear resize and centre crop, `(h, w, c) -> (*size, c)`, rounded to whole grey levels.

    Takes only the part of the image that the crop shows, as `Preprocessing.source_box` does.
    """
    window = CentreCrop(preprocessing.resize_shorter)(tf.shape(pixels)[:2], preprocessing.size)
    return tf.clip_by_value(tf.round(show(pixels, window, preprocessing.size)), 0.0, 255.0)


def load_pixels(encoded: Any, preprocessing: Preprocessing) -> Any:
    """Encoded image to resized, cropped pixels, float32 in 0–255, RGB or grey; normalisation is left to the caller."""
    return resize_and_crop(decode_image(encoded, preprocessing.channels), preprocessing)


def exif_orientation(encoded: Any) -> Any:
    """The EXIF orientation of a JPEG, 1 to 8; 1 where there is none or it is damaged."""
    parts = tf.strings.split(tf.strings.substr(encoded, 0, _EXIF_SPAN), _EXIF, maxsplit=1)
    return tf.cond(tf.size(parts) > 1, lambda: _first_directory(parts[1]), lambda: tf.constant(1))


def _first_directory(tiff: Any) -> Any:
    """Looks the orientation up in the first image file directory of a TIFF structure."""
    data = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    data = tf.concat([data, tf.zeros(16, tf.int32)], 0)  # so that the header can always be read
    little = tf.equal(data[0], ord("I"))

    def number(cells: Any) -> Any:  # (..., k) bytes to (...) integers in the file's byte order
        cells = tf.cond(little, lambda: tf.reverse(cells, [-1]), lambda: cells)
        weights = 256 ** tf.range(tf.shape(cells)[-1] - 1, -1, -1)
        return tf.reduce_sum(cells * weights, -1)

    start = tf.clip_by_value(number(data[4:8]), 0, tf.size(data) - 2)
    count = tf.minimum(number(data[start : start + 2]), (tf.size(data) - start - 2) // 12)
    entries = tf.reshape(data[start + 2 : start + 2 + 12 * count], [-1, 12])
    values = tf.boolean_mask(number(entries[:, 8:10]), tf.equal(number(entries[:, :2]), _ORIENTATION))
    found = tf.reduce_max(tf.concat([values, [1]], 0))
    return tf.where(found <= 8, found, 1)


def _upright(pixels: Any, orientation: Any) -> Any:
    turn, mirror, transpose = tf.image.rot90, tf.image.flip_left_right, tf.image.transpose
    ways = [
        lambda: pixels,
        lambda: mirror(pixels),
        lambda: turn(pixels, 2),
        lambda: tf.image.flip_up_down(pixels),
        lambda: transpose(pixels),
        lambda: turn(pixels, 3),
        lambda: turn(transpose(pixels), 2),
        lambda: turn(pixels, 1),
    ]
    upright = tf.switch_case(orientation - 1, ways)
    upright.set_shape([None, None, pixels.shape[-1]])
    return upright
