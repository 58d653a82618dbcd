"""The region benchmark of BSDS500: covering, Rand index and variation of information of hierarchies."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.hierarchy import Hierarchy, leaf_groups
from keras_vision.proposals.human_regions import Regions, segmented
from keras_vision.proposals.region_scores import covered, information, overlap_tables, rand_index

_MISSING = object()


@dataclasses.dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores of hierarchies against people's regions, cut at each threshold.

    Attributes:
        thresholds: contour strengths `(k,)`.
        covered: pixels covered, summed over people: `(images, k)`.
        best: the same where each of a person's regions takes the best region of any threshold: `(images,)`.
        pixels: pixels times people: `(images,)`.
        rand: mean Rand index over people, `(images, k)`.
        variation: mean variation of information over people, bits, `(images, k)`.
    """

    thresholds: np.ndarray
    covered: np.ndarray
    best: np.ndarray
    pixels: np.ndarray
    rand: np.ndarray
    variation: np.ndarray

    @property
    def covering_ods(self) -> float:
        """Covering at the best threshold for all images."""
        return float(self.covered.sum(0).max() / self.pixels.sum())

    @property
    def covering_ois(self) -> float:
        """Covering at the best threshold of each image."""
        return float(self.covered.max(1).sum() / self.pixels.sum())

    @property
    def covering_best(self) -> float:
        """Covering by the best region of any threshold."""
        return float(self.best.sum() / self.pixels.sum())

    @property
    def rand_ods(self) -> float:
        """Probabilistic Rand index at the best threshold for all images."""
        return float(self.rand.mean(0).max())

    @property
    def rand_ois(self) -> float:
        """Probabilistic Rand index at the best threshold of each image."""
        return float(self.rand.max(1).mean())

    @property
    def variation_ods(self) -> float:
        """Variation of information at the best threshold for all images, bits; low is good."""
        return float(self.variation.mean(0).min())

    @property
    def variation_ois(self) -> float:
        """Variation of information at the best threshold of each image, bits; low is good."""
        return float(self.variation.min(1).mean())

    def __repr__(self) -> str:
        names = ("covering_ods", "covering_ois", "rand_ods", "rand_ois", "variation_ods", "variation_ois")
        scores = (f"{name}={getattr(self, name):.3f}" for name in names)
        return f"RegionScores({', '.join(scores)}, images={len(self.pixels)})"


def evaluate_regions(hierarchies: Iterable[Hierarchy], annotations: Regions, thresholds: int = 99) -> RegionScores:
    """Scores of hierarchies against what several people drew, each at the best threshold of the set and of the image.

    Args:
        hierarchies: one for each image; may be a generator.
        annotations: `keras_vision.data.EdgeImages`, or for each image integers `(people, h, w)`.
        thresholds: how many, evenly spaced between 0 and 1 (99: 0.01 to 0.99).

    Raises:
        KerasVisionError: no image, numbers or sizes that differ, or no threshold.

    Source: Arbelaez et al., TPAMI 33(5), 2011, section 3.1.2, and the published code (collect_eval_reg).
    """
    if thresholds < 1:
        raise KerasVisionError(f"thresholds={thresholds}; give at least 1.")
    levels = np.arange(1, thresholds + 1) / (thresholds + 1)
    rows = []
    pairs: Iterable[tuple[Any, Any]] = itertools.zip_longest(hierarchies, segmented(annotations), fillvalue=_MISSING)
    for position, (ucm, people) in enumerate(pairs):
        if ucm is _MISSING or people is _MISSING:
            raise KerasVisionError(f"image {position} lacks a hierarchy or an annotation; give one of each.")
        rows.append(_scores(ucm, people, levels))
    if not rows:
        raise KerasVisionError("there are no images to evaluate.")
    return RegionScores(levels, *(np.array(column) for column in zip(*rows, strict=True)))


def _scores(ucm: Hierarchy, people: np.ndarray, levels: np.ndarray) -> tuple:
    """Covered, best, pixels, Rand index and variation of one image."""
    tables = overlap_tables(ucm.labels, people)
    pixels = [table.sum(0) for table in tables]
    best = [np.zeros(table.shape[1]) for table in tables]
    scores = np.zeros((3, len(levels)))
    for k, level in enumerate(levels):
        groups = leaf_groups(ucm, level)
        joins = sparse.csr_array((np.ones(len(groups), np.int64), (groups, np.arange(len(groups)))))
        for person, leaves in enumerate(tables):
            table = sparse.csr_array(joins @ leaves)
            by_region = covered(table)
            best[person] = np.maximum(best[person], by_region)
            scores[:, k] += by_region.sum(), rand_index(table), information(table)
    mean = scores / len(tables)
    return scores[0], sum(b.sum() for b in best), sum(p.sum() for p in pixels), mean[1], mean[2]
