"""One-to-one matching of the pixels of two boundary maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from keras_vision.edges.inputs import binary_map
from keras_vision.errors import KerasVisionError

TOLERANCE = 0.0075  # of the image's diagonal, the benchmark's `maxDist`
_OUTLIER = 100  # cost of a pixel left alone, in tolerances
_PART = 400  # pixels of both maps that are matched in one call, or one component, where that is larger


def match_boundaries(detected: Any, annotated: Any, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a detected and an annotated pixel, none in two pairs, none farther apart than the tolerance.

    The least sum of distances, where each pixel that is left alone costs 100 times the tolerance: as many pairs as
    can be, and among those the nearest. It is found exactly, by shortest augmenting paths on the sparse graph of pixels
    within the tolerance. The benchmark's `correspondPixels` minimises the same by cost scaling with outliers drawn at
    random, so it pairs as many, and differs only among equally good matchings.

    Args:
        detected: bool, or 0 and 1, `(h, w)`; thin it first, see `thin`.
        annotated: the same of the annotation.
        tolerance: greatest distance of a pair, as a share of the image's diagonal.

    Returns:
        Row and column of the pixels of the k pairs, in `detected` and in `annotated`: two int arrays `(k, 2)`.

    Raises:
        KerasVisionError: maps of different sizes, other values, or a tolerance that is not from 0 to 1.

    Source: Martin, Fowlkes and Malik, Learning to Detect Natural Image Boundaries, TPAMI 26(5), 2004,
        on the correspondence of boundary maps.
    """
    detected, annotated = binary_map(detected, "detected"), binary_map(annotated, "annotated")
    if detected.shape != annotated.shape:
        raise KerasVisionError(f"detected is {detected.shape}, annotated {annotated.shape}; give maps of one size.")
    partner = partners(detected, annotated, pixels(tolerance, detected.shape))
    matched = partner >= 0
    return np.argwhere(detected)[matched], np.argwhere(annotated)[partner[matched]]


def pixels(tolerance: float, shape: tuple[int, ...]) -> float:
    """The tolerance in pixels.

    Raises:
        KerasVisionError: it is not from 0 to 1.
    """
    if not 0 <= tolerance <= 1:
        raise KerasVisionError(f"tolerance={tolerance}; give a share of the image's diagonal, from 0 to 1.")
    return tolerance * float(np.hypot(shape[0], shape[1]))


def partners(detected: np.ndarray, annotated: np.ndarray, distance: float) -> np.ndarray:
    """For each detected pixel, in raster order, which annotated pixel is its partner, in the same order, or -1."""
    near = _near(detected, annotated, distance)
    partner = np.full(near.shape[0], -1)
    for rows, columns in _parts(near):
        row, column = _assign(near[rows][:, columns], _OUTLIER * max(distance, 1.0))
        partner[rows[row]] = columns[column]
    return partner


def _parts(near: sparse.csr_array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of parts that share no pair, small components together: the search is quadratic in a part."""
    if not near.nnz:
        return
    rows, columns = near.shape
    ends = np.concatenate([near.indptr, np.full(columns, near.nnz, near.indptr.dtype)])
    graph = sparse.csr_array((near.data, near.indices + rows, ends), shape=(rows + columns, rows + columns))
    label = csgraph.connected_components(graph, directed=False)[1]
    sizes = np.bincount(label)
    paired = np.flatnonzero(sizes > 1)  # the others are pixels that are near none
    part = np.full(len(sizes), -1)
    part[paired] = np.cumsum(sizes[paired]) // _PART
    of_pixel = part[label]
    order = np.argsort(of_pixel, kind="stable")
    for pixels_of_part in np.split(order, np.flatnonzero(np.diff(of_pixel[order])) + 1):
        if of_pixel[pixels_of_part[0]] >= 0:
            first = np.searchsorted(pixels_of_part, rows)
            yield pixels_of_part[:first], pixels_of_part[first:] - rows


def _near(detected: np.ndarray, annotated: np.ndarray, distance: float) -> sparse.csr_array:
    """Distances of the pairs within `distance`, each plus 1 (a sparse 0 would be no pair): (detected, annotated)."""
    reach = int(distance)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = dy**2 + dx**2 <= distance**2
    dy, dx = dy[inside], dx[inside]
    number: np.ndarray = np.full(annotated.shape, -1, np.int32)
    number[annotated] = np.arange(annotated.sum())
    number = np.pad(number, reach, constant_values=-1)
    start = np.flatnonzero(np.pad(detected, reach))
    partner = number.ravel()[start[:, None] + (dy * number.shape[1] + dx)]
    there = partner >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int32)
    lengths = np.broadcast_to(np.hypot(dy, dx) + 1, there.shape)[there]
    return sparse.csr_array((lengths, partner[there], ends), shape=(len(start), int(annotated.sum())))


def _assign(near: sparse.csr_array, alone: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs, of which there are as many as can be, and whose sum is the least."""
    if near.shape[0] > near.shape[1]:  # each row left alone costs a search through its whole surroundings
        column, row = _assign(near.T.tocsr(), alone)
        return row, column
    rows, columns = near.shape
    ends = near.indptr[1:]
    graph = sparse.csr_array(
        (
            np.insert(near.data, ends, alone + 1),
            np.insert(near.indices, ends, columns + np.arange(rows)),
            near.indptr + np.arange(rows + 1),
        ),
        shape=(rows, columns + rows),  # each row has a column of its own, which it takes when it is left alone
    )
    row, column = csgraph.min_weight_full_bipartite_matching(graph)
    paired = column < columns
    return row[paired], column[paired]
