"""How well people agree with each other: the human point of the boundary benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sized

import numpy as np

from keras_vision.edges.evaluation import Drawn, count_matches, drawn
from keras_vision.edges.inputs import drawn_maps
from keras_vision.edges.matching import TOLERANCE, pixels
from keras_vision.edges.processes import in_processes
from keras_vision.edges.scores import f_measure, ratio
from keras_vision.edges.thinning import thin
from keras_vision.errors import KerasVisionError


@dataclasses.dataclass(frozen=True, eq=False)
class HumanConsistency:
    """Counts of people scored against the other people, summed over the people of an image: int64 `(images,)` each.

    Attributes:
        right: pixels of a person that at least one other person's boundary is matched to.
        detected: pixels of a person.
        found: pixels of the others that are matched.
        annotated: pixels of the others.
    """

    right: np.ndarray
    detected: np.ndarray
    found: np.ndarray
    annotated: np.ndarray

    @property
    def precision(self) -> float:
        """Share of people's pixels that somebody else drew, over all images."""
        return float(ratio(self.right.sum(), self.detected.sum()))

    @property
    def recall(self) -> float:
        """Share of the others' pixels that a person drew, over all images."""
        return float(ratio(self.found.sum(), self.annotated.sum()))

    @property
    def f(self) -> float:
        """Harmonic mean of both: what a detector's ODS is compared with."""
        return float(f_measure(np.array(self.precision), np.array(self.recall)))

    @property
    def image_f(self) -> np.ndarray:
        """F of each image by itself, `(images,)`."""
        return f_measure(ratio(self.right, self.detected), ratio(self.found, self.annotated))

    def __repr__(self) -> str:
        return (
            f"HumanConsistency(f={self.f:.3f}, precision={self.precision:.3f}, recall={self.recall:.3f}, "
            f"images={len(self.right)})"
        )


def human_consistency(
    annotations: Drawn,
    *,
    tolerance: float = TOLERANCE,
    workers: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> HumanConsistency:
    """F of people against each other: each person is scored, as a detector would be, against all others of the image.

    The protocol of the benchmark's `boundaryBenchHuman`: the person left out is thinned and matched with each of the
    others; a pixel is right if any other's is matched to it; the counts of all people of all images are summed. On
    BSDS500 the published figure is 0.80.

    Args:
        annotations: `keras_vision.data.EdgeImages`, or for each image bool, or 0 and 1, `(people, h, w)`.
        tolerance: greatest distance of two matched pixels, as a share of the image's diagonal.
        workers: processes. With more than 1 a script needs `if __name__ == "__main__":`, for they start afresh.
        progress: called with (images done, images in all, or None where the annotations have no length).

    Raises:
        KerasVisionError: no image, one that fewer than two people annotated, or values other than 0 and 1.

    Source: Martin, Fowlkes and Malik, TPAMI 26(5), 2004; Arbelaez et al., TPAMI 33(5), 2011, Table 1.
    """
    pixels(tolerance, (1, 1))
    total = len(annotations) if isinstance(annotations, Sized) else None
    tasks = (_Task(_several(people, i), tolerance) for i, people in enumerate(drawn(annotations)))
    counts = []
    for done, counted in enumerate(in_processes(_count, tasks, workers), 1):
        counts.append(counted)
        if progress is not None:
            progress(done, total)
    if not counts:
        raise KerasVisionError("there are no images to evaluate.")
    return HumanConsistency(*np.array(counts, np.int64).T)


@dataclasses.dataclass(frozen=True)
class _Task:
    people: np.ndarray
    tolerance: float


def _several(people: np.ndarray, position: int) -> np.ndarray:
    people = drawn_maps(people, f"annotations of image {position}")
    if len(people) < 2:
        raise KerasVisionError(f"one person annotated image {position}; consistency takes two or more.")
    return people


def _count(task: _Task) -> np.ndarray:
    """The four counts of one image, summed over the person left out."""
    counted = [
        count_matches(thin(person), np.delete(task.people, left_out, 0), task.tolerance)
        for left_out, person in enumerate(task.people)
    ]
    return np.sum(counted, 0)
