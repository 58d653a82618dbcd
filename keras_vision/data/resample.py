"""`ScaleAndTranslate`, faster."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def resample(pixels: Any, scale: Any, translation: Any, size: tuple[int, int], kernel: str, antialias: bool) -> Any:
    """`ScaleAndTranslate` of one image, `(h, w, c) -> (*size, c)`, float32, faster and to the last bit.

    Its loop over rows is fast; that over columns is not, as it takes few channels at a time. So both directions are
    taken as rows.

    Args:
        pixels: any number type; the number of channels is static.
        scale: of y and x, float32 `(2,)`.
        translation: of y and x, in pixels of the result, float32 `(2,)`.
        size: height and width of the result.
        kernel: as in `ScaleAndTranslate`, such as "triangle".
        antialias: as in `ScaleAndTranslate`.
    """
    (height, width), (h, w), c = size, tf.unstack(tf.shape(pixels)[:2]), pixels.shape[-1]

    def rows(values: Any, count: int, which: int) -> Any:  # (n, k) -> (count, k)
        resized = tf.raw_ops.ScaleAndTranslate(
            images=values[None, :, None],
            size=(count, 1),
            scale=tf.stack([scale[which], 1.0]),
            translation=tf.stack([translation[which], 0.0]),
            kernel_type=kernel,
            antialias=antialias,
        )
        return resized[0, :, 0]

    tall = tf.reshape(rows(tf.reshape(pixels, [h, w * c]), height, 0), [height, w, c])
    turned = tf.reshape(tf.transpose(tall, [1, 0, 2]), [w, height * c])
    return tf.transpose(tf.reshape(rows(turned, width, 1), [width, height, c]), [1, 0, 2])
