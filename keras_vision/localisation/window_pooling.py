"""Spatial pyramids of thousands of windows of one feature map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D

_QUERIES = 1 << 14  # cells of pyramids that are looked up at a time


def pool_windows(features: Any, windows: Any, bins: Sequence[Any] = (6, 3, 2, 1), mode: str = "max") -> np.ndarray:
    """What `SpatialPyramidPooling2D(bins, mode)` gives for each window, at a cost that hardly depends on its size.

    Maxima come from tables of the maxima over rectangles whose sides are powers of two: any rectangle is covered by
    four of them. Means come from sums over all cells above and to the left, in float64.

    Args:
        features: one map `(h, w, c)`.
        windows: whole cells (top, left, bottom, right), the last two exclusive, `(n, 4)`.
        bins, mode: as of the layer.

    Returns:
        `(n, number of all bins, c)` float32.

    Raises:
        KerasVisionError: a map of another shape or not finite, windows that are empty or reach beyond the map, wrong
            bins or another mode.

    Source: He et al. (2014), section 4.1 and Appendix A.
    """
    layer = SpatialPyramidPooling2D(bins, mode)  # checks both
    features, windows = np.asarray(features, np.float32), checked_cells(windows, np.shape(features))
    if not np.isfinite(features).all():
        raise KerasVisionError("the feature map is not finite: the network's weights or the image are broken.")
    table = _Maxima(features) if mode == "max" else _Means(features)
    pooled = [_cells(windows, rows, columns) for rows, columns in layer.bins]
    corners = np.concatenate(pooled, axis=1)
    flat = corners.reshape(-1, 4)  # of all windows
    values = np.empty((len(flat), features.shape[2]), np.float32)
    for start in range(0, len(flat), _QUERIES):
        values[start : start + _QUERIES] = table.at(flat[start : start + _QUERIES])
    return values.reshape(*corners.shape[:2], features.shape[2])


def checked_cells(windows: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Windows `(n, 4)` as integers.

    Raises:
        KerasVisionError: no map `(h, w, c)`, another shape of windows, or ones that are empty or reach beyond the map.
    """
    if len(shape) != 3 or 0 in shape:
        raise KerasVisionError(f"features of shape {shape}; give one map (h, w, c) of at least one cell.")
    array = np.asarray(windows)
    if not array.size:
        return np.zeros((0, 4), np.int64)
    if array.ndim != 2 or array.shape[1] != 4 or not np.issubdtype(array.dtype, np.integer):
        raise KerasVisionError(
            f"windows of shape {array.shape} and type {array.dtype}; give whole cells (n, 4): top, left, bottom, right."
        )
    low, high = array[:, :2], array[:, 2:]
    if wrong := np.flatnonzero(((low < 0) | (high <= low) | (high > shape[:2])).any(axis=1)).tolist():
        raise KerasVisionError(
            f"window {wrong[0]}, {array[wrong[0]].tolist()}, is empty or reaches beyond the map of {shape[:2]} cells."
        )
    return array.astype(np.int64)


def _cells(windows: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Corners of each cell of a grid in each window, row by row: `(n, rows * columns, 4)`."""
    edges = []
    for start, stop, count in ((windows[:, 0], windows[:, 2], rows), (windows[:, 1], windows[:, 3], columns)):
        steps, size = np.arange(count), (stop - start)[:, None]
        edges.append((start[:, None] + steps * size // count, start[:, None] - (-(steps + 1) * size // count)))
    (top, bottom), (left, right) = edges
    shape = (len(windows), rows, columns)
    parts = [np.broadcast_to(x, shape) for x in (top[:, :, None], left[:, None], bottom[:, :, None], right[:, None])]
    return np.stack(parts, axis=-1).reshape(len(windows), rows * columns, 4)


class _Maxima:
    """Maxima over rectangles of ``2**i x 2**j`` cells, by their top left corner; each made when it is first needed."""

    def __init__(self, features: np.ndarray):
        self.tables = {(0, 0): features}

    def at(self, corners: np.ndarray) -> np.ndarray:
        top, left, bottom, right = corners.T
        powers = [np.frexp(size)[1] - 1 for size in (bottom - top, right - left)]  # exact floor(log2)
        values = np.empty((len(corners), self.tables[0, 0].shape[2]), np.float32)
        for chosen, (i, j) in _groups(*powers):
            table, t, x = self._table(i, j), top[chosen], left[chosen]
            b, r = bottom[chosen] - (1 << i), right[chosen] - (1 << j)
            upper, lower = np.maximum(table[t, x], table[t, r]), np.maximum(table[b, x], table[b, r])
            values[chosen] = np.maximum(upper, lower)
        return values

    def _table(self, i: int, j: int) -> np.ndarray:
        if (i, j) not in self.tables:
            if i:
                half, step = self._table(i - 1, j), 1 << (i - 1)
                self.tables[i, j] = np.maximum(half[:-step], half[step:])
            else:
                half, step = self._table(0, j - 1), 1 << (j - 1)
                self.tables[i, j] = np.maximum(half[:, :-step], half[:, step:])
        return self.tables[i, j]


def _groups(i: np.ndarray, j: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Positions with the same pair of powers."""
    keys = i * 64 + j
    for key in np.unique(keys):
        yield np.flatnonzero(keys == key), (int(key) // 64, int(key) % 64)


class _Means:
    """Means of any rectangle, from four sums."""

    def __init__(self, features: np.ndarray):
        sums = features.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
        self.sums = np.pad(sums, ((1, 0), (1, 0), (0, 0)))

    def at(self, corners: np.ndarray) -> np.ndarray:
        top, left, bottom, right = corners.T
        s = self.sums
        total = s[bottom, right] - s[top, right] - s[bottom, left] + s[top, left]
        return total / ((bottom - top) * (right - left))[:, None]
