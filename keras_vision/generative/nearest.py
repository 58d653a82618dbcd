"""The training images that are nearest to generated ones: a network that copied would be at no distance from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_vision.errors import KerasVisionError

_BLOCK = 4096  # training images at a time


class Nearest(NamedTuple):
    """Of each image, `(n,)`: which training image is nearest, and how far.

    Attributes:
        indices: of the training images.
        distances: Euclidean, over all pixels and channels, of intensities from 0 to 1.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_images(images: Any, training: Any) -> Nearest:
    """The nearest training image of each image by the pixels' L2 distance, as in Figures 6, 9 and 12.

    Args:
        images: `(n, ...)`, generated, or real ones to compare with.
        training: `(m, ...)` of the same shape and scale.

    Raises:
        KerasVisionError: none of one of them, or other shapes.
    """
    shapes = np.shape(images), np.shape(training)
    if shapes[0][1:] != shapes[1][1:] or not shapes[0] or 0 in (shapes[0][0], shapes[1][0]):
        raise KerasVisionError(f"images {shapes[0]} and training images {shapes[1]}; give some of each, of one shape.")
    points, rest = np.reshape(images, (shapes[0][0], -1)).astype(np.float64), np.reshape(training, (shapes[1][0], -1))
    indices, least = np.zeros(len(points), np.int64), np.full(len(points), np.inf)
    for start in range(0, len(rest), _BLOCK):
        block = rest[start : start + _BLOCK].astype(np.float64)
        squares = (points**2).sum(1)[:, None] - 2 * points @ block.T + (block**2).sum(1)
        found = squares.argmin(1)
        values = squares[np.arange(len(points)), found]
        indices = np.where(values < least, start + found, indices)
        least = np.minimum(least, values)
    return Nearest(indices, np.sqrt(np.maximum(least, 0)))
