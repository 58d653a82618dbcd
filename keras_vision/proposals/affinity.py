"""How much two near pixels belong together: the intervening-contour cue on a sparse graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from skimage.draw import line

from keras_vision.edges.inputs import strength_map
from keras_vision.errors import KerasVisionError

LARGEST = 1 << 20  # pixels; about 1 GB of affinities at a radius of 5


def intervening_contours(contours: Any, radius: float = 5.0, sigma: float = 0.1) -> sparse.csr_array:
    """Affinity exp(-strongest contour between / sigma) of all pairs of pixels within a radius: `(h w, h w)`.

    Pixels are numbered by rows. Between means on the straight line of pixels from one to the other, both included. A
    pixel's affinity with itself is 1; the matrix is symmetric.

    Args:
        contours: strengths from 0 to 1, `(h, w)`.
        radius: pixels, at least 1.
        sigma: strength at which the affinity is 1 / e.

    Raises:
        KerasVisionError: another shape, values outside [0, 1] or not finite, more than 2^20 pixels, or settings out of
            range.

    Source: Leung and Malik, Contour Continuity in Region Based Image Segmentation, ECCV 1998; the settings of Arbelaez
        et al., TPAMI 33(5), 2011, section 3.2.
    """
    strength = strength_map(contours, "contours")
    if strength.size > LARGEST:
        raise KerasVisionError(
            f"contours of {strength.shape} pixels; at most {LARGEST} in all: make the image smaller."
        )
    if not 1 <= radius <= 20 or not 0 < sigma < float("inf"):
        raise KerasVisionError(f"radius={radius}, sigma={sigma}; accepted: 1 to 20 pixels, and a sigma above 0.")
    numbers = np.arange(strength.size, dtype=np.int32).reshape(strength.shape)
    rows, columns, values = [], [], []
    for dy, dx in _offsets(radius):
        if dy < strength.shape[0] and abs(dx) < strength.shape[1]:
            rows.append(_shifted(numbers, 0, 0, dy, dx).ravel())
            columns.append(_shifted(numbers, dy, dx, dy, dx).ravel())
            between = [_shifted(strength, y, x, dy, dx) for y, x in zip(*line(0, 0, dy, dx), strict=True)]
            values.append(np.exp(-np.max(between, 0).ravel() / sigma))
    identity = sparse.eye_array(strength.size, format="csr")
    if not rows:
        return sparse.csr_array(identity)
    pairs = (np.concatenate(rows), np.concatenate(columns))
    half = sparse.csr_array((np.concatenate(values), pairs), identity.shape)
    return sparse.csr_array(half + half.T + identity)


def _offsets(radius: float) -> list[tuple[int, int]]:
    """Steps (dy, dx) to half of the pixels within the radius: each pair of pixels once."""
    reach = range(-int(radius), int(radius) + 1)
    return [(y, x) for y in reach for x in reach if 0 < y * y + x * x <= radius * radius and (y, x) > (0, 0)]


def _shifted(values: np.ndarray, y: int, x: int, dy: int, dx: int) -> np.ndarray:
    """`values` at (y, x) from every pixel that has a partner at (dy, dx) from it; dy is not negative."""
    first, width = max(0, -dx), values.shape[1] - abs(dx)
    return values[y : values.shape[0] - dy + y, first + x : first + x + width]
