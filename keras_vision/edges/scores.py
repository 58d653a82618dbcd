"""What the counts of the boundary benchmark come to: ODS, OIS, AP and the precision-recall curve."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np


class BestF(NamedTuple):
    """The best F of a curve, and where it is."""

    f: float
    precision: float
    recall: float
    threshold: float


@dataclasses.dataclass(frozen=True, eq=False)
class BoundaryScores:
    """Counts of the boundary benchmark, and its scores. A ratio of nothing to nothing is 0, as in the benchmark.

    Attributes:
        thresholds: of the edge strength, rising: `(k,)`.
        right: detected pixels that at least one person's boundary is matched to: int64 `(images, k)`.
        detected: pixels of the thinned detection: int64 `(images, k)`.
        found: annotated pixels that are matched, summed over people: int64 `(images, k)`.
        annotated: annotated pixels, summed over people: int64 `(images, k)`.

    Source: Arbelaez, Maire, Fowlkes and Malik, Contour Detection and Hierarchical Image Segmentation, TPAMI 33(5),
        2011, and the published code of the benchmark (collect_eval_bdry).
    """

    thresholds: np.ndarray
    right: np.ndarray
    detected: np.ndarray
    found: np.ndarray
    annotated: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Share of the detected pixels that are right, over all images, at each threshold: `(k,)`."""
        return ratio(self.right.sum(0), self.detected.sum(0))

    @property
    def recall(self) -> np.ndarray:
        """Share of the annotated pixels that are found, over all images and people, at each threshold: `(k,)`."""
        return ratio(self.found.sum(0), self.annotated.sum(0))

    @property
    def best(self) -> BestF:
        """Best F of one threshold for all images; precision and recall are interpolated between thresholds."""
        return best_f(self.thresholds, self.precision, self.recall)

    @property
    def ods(self) -> float:
        """Best F of one threshold for all images (optimal dataset scale)."""
        return self.best.f

    @property
    def ods_threshold(self) -> float:
        """The threshold of `ods`."""
        return self.best.threshold

    @property
    def ois(self) -> float:
        """F of the counts of each image's own best threshold, summed (optimal image scale); nothing is interpolated."""
        own = f_measure(ratio(self.right, self.detected), ratio(self.found, self.annotated)).argmax(1)[:, None]
        right, detected, found, annotated = (
            np.take_along_axis(counts, own, 1).sum()
            for counts in (self.right, self.detected, self.found, self.annotated)
        )
        return float(f_measure(ratio(right, detected), ratio(found, annotated)))

    @property
    def ap(self) -> float:
        """Sum of the precision at recall 0, 0.01 to 1, divided by 100, as the benchmark computes average precision.

        Precision is interpolated linearly between the recalls of the thresholds and is 0 beyond them; of thresholds
        with equal recall the lowest counts. A curve of one recall, such as that of a binary map, has 0.
        """
        recall, first = np.unique(self.recall, return_index=True)
        if len(recall) < 2:
            return 0.0
        return float(np.interp(np.linspace(0, 1, 101), recall, self.precision[first], left=0, right=0).sum() / 100)

    @property
    def image_scores(self) -> tuple[BestF, ...]:
        """Best F of each image by itself, interpolated between thresholds."""
        precision, recall = ratio(self.right, self.detected), ratio(self.found, self.annotated)
        return tuple(best_f(self.thresholds, p, r) for p, r in zip(precision, recall, strict=True))

    def __repr__(self) -> str:
        return (
            f"BoundaryScores(ods={self.ods:.3f}, ois={self.ois:.3f}, ap={self.ap:.3f}, "
            f"ods_threshold={self.ods_threshold:.3f}, images={len(self.right)})"
        )


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, and 0 where there is nothing."""
    return np.asarray(part / np.maximum(whole, 1))


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall, 0 where both are."""
    total = precision + recall
    return np.asarray(2 * precision * recall / np.where(total > 0, total, 1))


def best_f(thresholds: np.ndarray, precision: np.ndarray, recall: np.ndarray) -> BestF:
    """Best F on the lines between neighbouring thresholds, at 100 points of each, the first of equals; all `(k,)`."""
    if len(thresholds) == 1:
        thresholds, precision, recall = (np.repeat(each, 2) for each in (thresholds, precision, recall))
    share = np.linspace(0, 1, 100)
    threshold, p, r = (
        (each[1:, None] * share + each[:-1, None] * (1 - share)).ravel() for each in (thresholds, precision, recall)
    )
    f = f_measure(p, r)
    at = f.argmax()
    return BestF(*(float(each[at]) for each in (f, p, r, threshold)))
