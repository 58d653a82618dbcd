"""How well regions agree with those people drew: covering, probabilistic Rand index, variation of information."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.metrics.cluster import contingency_matrix

from keras_vision.errors import KerasVisionError


def covering(segmentation: Any, people: Any) -> float:
    """Share of the people's regions that the best fitting regions of a segmentation cover, 0 to 1; mean over people.

    Each region a person drew counts by its area, with the greatest overlap (intersection over union) that a region of
    the segmentation has with it. Not symmetric.

    Args:
        segmentation: number of the region of each pixel, integers `(h, w)`.
        people: the same by each person, `(people, h, w)`, or by one, `(h, w)`.

    Raises:
        KerasVisionError: other shapes or types, no pixels, or sizes that differ.

    Source: Arbelaez, Maire, Fowlkes and Malik, TPAMI 33(5), 2011, equations 6 and 7.
    """
    return float(np.mean([covered(t).sum() / t.sum() for t in overlap_tables(segmentation, people)]))


def probabilistic_rand_index(segmentation: Any, people: Any) -> float:
    """Share of the pairs of pixels on which a segmentation and a person agree (both together, or both apart).

    The mean over people, which is the probabilistic Rand index where the probability of a pair is the share of people
    who put it together.

    Args:
        segmentation: number of the region of each pixel, integers `(h, w)`.
        people: the same by each person, `(people, h, w)`, or by one, `(h, w)`.

    Raises:
        KerasVisionError: other shapes or types, no pixels, or sizes that differ.

    Source: Unnikrishnan, Pantofaru and Hebert, TPAMI 29(6), 2007; equation 5 of Arbelaez et al., 2011.
    """
    return float(np.mean([rand_index(t) for t in overlap_tables(segmentation, people)]))


def variation_of_information(segmentation: Any, people: Any) -> float:
    """Entropy of each given the other, summed, in bits; 0 if they are equal; mean over people.

    Args:
        segmentation: number of the region of each pixel, integers `(h, w)`.
        people: the same by each person, `(people, h, w)`, or by one, `(h, w)`.

    Raises:
        KerasVisionError: other shapes or types, no pixels, or sizes that differ.

    Source: Meila, Comparing Clusterings, ICML 2005; equation 4 of Arbelaez et al., 2011.
    """
    return float(np.mean([information(t) for t in overlap_tables(segmentation, people)]))


def overlap_tables(segmentation: Any, people: Any) -> list[sparse.csr_array]:
    """Pixels that region i of the segmentation and region j of a person share, `(regions, person's regions)` each.

    Raises:
        KerasVisionError: other shapes or types, no pixels, or sizes that differ.
    """
    labels = region_numbers(segmentation, "the segmentation", 2)
    drawn = np.asarray(people)
    drawn = region_numbers(drawn[None] if drawn.ndim == 2 else drawn, "what people drew", 3)
    if drawn.shape[1:] != labels.shape:
        raise KerasVisionError(
            f"a segmentation of {labels.shape} pixels, people's of {drawn.shape[1:]}; they must agree: crop or resize "
            "one of them."
        )
    return [
        sparse.csr_array(contingency_matrix(labels.ravel(), one.ravel(), sparse=True, dtype=np.int64)) for one in drawn
    ]


def region_numbers(labels: Any, name: str, dimensions: int) -> np.ndarray:
    """Region numbers as they are, checked.

    Raises:
        KerasVisionError: no integers, another number of dimensions, or no pixels.
    """
    labels = np.asarray(labels)
    if labels.ndim != dimensions or not labels.size or labels.dtype.kind not in "bui":
        shape = "(h, w)" if dimensions == 2 else "(people, h, w)"
        raise KerasVisionError(f"{name}: shape {labels.shape}, type {labels.dtype}; expected integers {shape}.")
    return labels


def covered(table: sparse.csr_array) -> np.ndarray:
    """Area of each of a person's regions times its greatest overlap with any region: `(person's regions,)`, pixels."""
    shared = table.tocoo()
    rows, columns = table.sum(1), table.sum(0)
    overlap = shared.data / (rows[shared.row] + columns[shared.col] - shared.data)
    best = np.zeros(table.shape[1])
    np.maximum.at(best, shared.col, overlap)
    return np.asarray(columns * best)


def rand_index(table: sparse.csr_array) -> float:
    """Share of pairs of pixels on which both agree; 1 where there is no pair."""
    total = float(table.sum())
    if total < 2:
        return 1.0
    rows, columns, shared = (np.square(n.astype(float)).sum() for n in (table.sum(1), table.sum(0), table.data))
    return float(1 - (rows + columns - 2 * shared) / (total * (total - 1)))


def information(table: sparse.csr_array) -> float:
    """Variation of information in bits."""
    shared = table.tocoo()
    n = shared.data.astype(float)
    conditional = np.log2(n / table.sum(1)[shared.row]) + np.log2(n / table.sum(0)[shared.col])
    return float(max(0.0, -(n * conditional).sum() / n.sum()))
