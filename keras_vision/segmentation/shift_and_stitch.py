"""Dense output of a coarse network without changing it: shifted inputs, interlaced outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError


def shift_and_stitch(model: Callable[[Any], Any], images: Any, stride: int, output_stride: int = 1) -> np.ndarray:
    """Output of a network at every pixel, or every few: one run for each shift of the image, interlaced.

    `(n, h, w, c) -> (n, h', w', d)`. With ``f = stride // output_stride`` there are ``f * f`` runs, and cell
    ``(f * i + r, f * j + s)`` is cell ``(i, j)`` of the image without its first ``r * output_stride`` rows and
    ``s * output_stride`` columns: exactly what the network with its strides traded for holes gives.

    Args:
        model: coarse network, without padding inside: `(n, h, w, c) -> (n, h', w', d)`.
        images: a batch, of at least `stride - output_stride` rows and columns more than the network's window.
        stride: distance between the network's cells, in pixels.
        output_stride: distance between those of the result.

    Raises:
        KerasVisionError: strides of which one is no multiple of the other, or images that are no batch.

    Source: FCN (Long et al., 2015), section 3.2.
    """
    images = np.asarray(images)
    if min(stride, output_stride) < 1 or stride % output_stride:
        raise KerasVisionError(f"stride={stride} is no multiple of output_stride={output_stride}.")
    if images.ndim != 4:
        raise KerasVisionError(f"images of shape {images.shape}; give a batch (n, h, w, c).")
    factor = stride // output_stride
    parts = {}
    for row, column in np.ndindex(factor, factor):
        shifted = images[:, row * output_stride :, column * output_stride :]
        parts[row, column] = keras.ops.convert_to_numpy(model(shifted))
    rows = sum(parts[row, 0].shape[1] for row in range(factor))
    columns = sum(parts[0, column].shape[2] for column in range(factor))
    first = parts[0, 0]
    out = np.empty((len(first), rows, columns, first.shape[-1]), first.dtype)
    for (row, column), part in parts.items():
        out[:, row::factor, column::factor] = part
    return out
