"""The boundary benchmark of the Berkeley Segmentation Data Set (BSDS500)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, Protocol, runtime_checkable

import numpy as np

from keras_vision.edges.inputs import drawn_maps, strength_map
from keras_vision.edges.matching import TOLERANCE, partners, pixels
from keras_vision.edges.processes import in_processes
from keras_vision.edges.scores import BoundaryScores
from keras_vision.edges.thinning import thin
from keras_vision.errors import KerasVisionError

_MISSING = object()


@runtime_checkable
class Annotated(Protocol):
    """Images with boundaries drawn by people, such as `keras_vision.data.EdgeImages`."""

    def __len__(self) -> int: ...

    def boundaries(self, position: int) -> np.ndarray: ...


Drawn = Annotated | Iterable[Any]


def evaluate_boundaries(
    edges: Iterable[Any],
    annotations: Drawn,
    *,
    thresholds: int | Sequence[float] = 99,
    tolerance: float = TOLERANCE,
    thinned: bool = False,
    workers: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> BoundaryScores:
    """ODS, OIS and AP of edge maps against the boundaries that several people drew.

    At each threshold the map is binarised (strength at or above it), thinned, and matched with each person's
    boundaries, one pixel to one pixel. A detected pixel is right if at least one person's is matched to it; recall
    counts the matched pixels of all people. People's boundaries are not thinned. Detectors with thick edges need
    `suppress_non_maxima` first, which is what published figures for learned detectors rest on.

    Args:
        edges: strengths from 0 to 1 `(h, w)`, one map for each image; may be a generator.
        annotations: `keras_vision.data.EdgeImages`, or for each image bool, or 0 and 1, `(people, h, w)`.
        thresholds: how many, evenly spaced between 0 and 1 (99: 0.01 to 0.99), or the rising thresholds themselves.
        tolerance: greatest distance of two matched pixels, as a share of the image's diagonal.
        thinned: whether the maps are thin at every threshold, so that thinning is left out.
        workers: processes. With more than 1 a script needs `if __name__ == "__main__":`, for they start afresh.
        progress: called with (images done, images in all, or None where the annotations have no length).

    Raises:
        KerasVisionError: nobody or no image, sizes or numbers that differ, or values out of range.

    Source: Martin, Fowlkes and Malik, TPAMI 26(5), 2004; Arbelaez et al., TPAMI 33(5), 2011, and its published code.
    """
    levels = _levels(thresholds)
    pixels(tolerance, (1, 1))
    tasks = (
        (strength_map(edge, f"edges of image {i}"), drawn_maps(people, f"annotations of image {i}"), i)
        for i, (edge, people) in enumerate(_pairs(edges, drawn(annotations)))
    )
    total = len(annotations) if isinstance(annotations, Sized) else None
    counts = []
    for done, counted in enumerate(in_processes(_Counter(levels, tolerance, not thinned), tasks, workers), 1):
        counts.append(counted)
        if progress is not None:
            progress(done, total)
    if not counts:
        raise KerasVisionError("there are no images to evaluate.")
    right, detected, found, annotated = np.moveaxis(np.array(counts), 1, 0)
    return BoundaryScores(levels, right, detected, found, annotated)


def drawn(annotations: Drawn) -> Iterator[Any]:
    """The boundaries of each image, decoded when it is its turn."""
    if isinstance(annotations, Annotated):
        return (annotations.boundaries(position) for position in range(len(annotations)))
    return iter(annotations)


def count_matches(detected: np.ndarray, people: np.ndarray, tolerance: float) -> tuple[int, int, int, int]:
    """Detected pixels that are right, detected, annotated pixels that are found, annotated: of bool maps.

    Args:
        detected: `(h, w)`.
        people: `(people, h, w)`.
        tolerance: as a share of the diagonal.
    """
    right = np.zeros(int(detected.sum()), bool)
    found = 0
    for annotated in people:
        matched = partners(detected, annotated, pixels(tolerance, detected.shape)) >= 0
        right |= matched
        found += int(matched.sum())
    return int(right.sum()), len(right), found, int(people.sum())


class _Counter:
    """The counts of one image at all thresholds, int64 `(4, k)`; a class, so that a process can be sent it."""

    def __init__(self, thresholds: np.ndarray, tolerance: float, thins: bool):
        self.thresholds, self.tolerance, self.thins = thresholds, tolerance, thins

    def __call__(self, task: tuple[np.ndarray, np.ndarray, int]) -> np.ndarray:
        edges, people, position = task
        if edges.shape != people.shape[1:]:
            raise KerasVisionError(
                f"image {position}: edges of {edges.shape} pixels, annotations of {people.shape[1:]}; they must agree: "
                "crop or resize the map."
            )
        counts = np.zeros((4, len(self.thresholds)), np.int64)
        before = None
        for k, threshold in enumerate(self.thresholds):
            binary = edges >= threshold
            if before is None or not np.array_equal(binary, before):  # 8-bit and binary maps repeat themselves
                counts[:, k] = count_matches(thin(binary) if self.thins else binary, people, self.tolerance)
            else:
                counts[:, k] = counts[:, k - 1]
            before = binary
        return counts


def _levels(thresholds: int | Sequence[float]) -> np.ndarray:
    if isinstance(thresholds, int):
        if thresholds < 1:
            raise KerasVisionError(f"thresholds={thresholds}; give at least 1.")
        return np.arange(1, thresholds + 1) / (thresholds + 1)
    levels = np.asarray(thresholds, np.float64)
    if (
        levels.ndim != 1
        or not levels.size
        or not (levels > 0).all()
        or levels.max() > 1
        or (np.diff(levels) <= 0).any()
    ):
        raise KerasVisionError(f"thresholds={thresholds}; give their number, or rising values above 0 and up to 1.")
    return levels


def _pairs(edges: Iterable[Any], people: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    for position, (edge, drawing) in enumerate(itertools.zip_longest(edges, people, fillvalue=_MISSING)):
        if edge is _MISSING or drawing is _MISSING:
            more, fewer = ("annotations", "edge maps") if edge is _MISSING else ("edge maps", "annotations")
            raise KerasVisionError(f"{position} {fewer} and more {more}; give one of each for each image.")
        yield edge, drawing
