"""How well proposals fit objects: Jaccard index of each pair, quality at instance level, recall against number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.proposal_set import Proposals


def proposal_overlaps(proposals: Proposals, objects: Any) -> np.ndarray:
    """Jaccard index (intersection over union) of each proposal with each object: float64 `(proposals, objects)`.

    Args:
        proposals: of one image.
        objects: masks, bool or 0 and 1, `(objects, h, w)`; they may overlap.

    Raises:
        KerasVisionError: another shape or size, other values, or an object without pixels.
    """
    masks = np.asarray(objects)
    if masks.ndim != 3 or masks.shape[1:] != proposals.labels.shape or not np.isin(masks, (0, 1)).all():
        raise KerasVisionError(
            f"objects of shape {masks.shape}, type {masks.dtype}; expected masks of 0 and 1, (objects, "
            f"{proposals.labels.shape[0]}, {proposals.labels.shape[1]})."
        )
    sizes = masks.sum((1, 2), dtype=float)
    if (sizes == 0).any():
        raise KerasVisionError(f"object {int(sizes.argmin())} has no pixels; leave it out.")
    regions = proposals.members.shape[1]
    within = np.array([np.bincount(proposals.labels[m != 0], minlength=regions) for m in masks], float)
    shared = proposals.members @ within.reshape(-1, regions).T
    return np.asarray(shared / (proposals.areas[:, None] + sizes - shared))


def instance_quality(overlaps: Iterable[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """Mean over all objects of the best Jaccard index within the first proposals of their image: `(numbers,)`.

    Args:
        overlaps: of `proposal_overlaps`, one array for each image.
        numbers: of proposals, at least 1. Images with fewer have all of theirs counted.

    Raises:
        KerasVisionError: no objects, or a number below 1.

    Source: Pont-Tuset et al., 2016, section 6: the Jaccard index at instance level.
    """
    return np.asarray(_best(overlaps, numbers).mean(0))


def proposal_recall(overlaps: Iterable[np.ndarray], numbers: Sequence[int], jaccard: float = 0.5) -> np.ndarray:
    """Share of all objects that one of the first proposals of their image overlaps by at least `jaccard`: `(numbers,)`.

    Args:
        overlaps: of `proposal_overlaps`, one array for each image.
        numbers: of proposals, at least 1.
        jaccard: above 0 and at most 1.

    Raises:
        KerasVisionError: no objects, a number below 1, or an index out of range.
    """
    if not 0 < jaccard <= 1:
        raise KerasVisionError(f"jaccard={jaccard}; accepted: above 0 and at most 1.")
    return np.asarray((_best(overlaps, numbers) >= jaccard).mean(0))


def class_quality(proposals: Iterable[Proposals], objects: Iterable[Any], labels: Iterable[Any], number: int) -> float:
    """Jaccard index at class level: of all pixels of a class against those of its objects' best proposals.

    For each object the first proposal of its image that overlaps it most stands in. Pixels in both, and pixels in
    either, are summed over all objects of a class; the mean of their ratio over classes is returned. Small objects
    count for less than at instance level.

    Args:
        proposals: of each image.
        objects: of each image, masks `(objects, h, w)`.
        labels: of each image, classes `(objects,)`.
        number: of proposals that are looked at, at least 1.

    Raises:
        KerasVisionError: as `proposal_overlaps`; numbers that differ; no objects or no proposals.

    Source: Pont-Tuset et al., 2016, section 6: the Jaccard index at class level.
    """
    sums: dict[int, np.ndarray] = {}
    for found, masks, classes in zip(proposals, objects, labels, strict=True):
        first = found.first(number)
        overlaps = proposal_overlaps(first, masks)
        if number < 1 or not len(first) or len(classes) != overlaps.shape[1]:
            raise KerasVisionError(
                f"number={number}, {len(first)} proposals, {len(classes)} labels of {overlaps.shape[1]} objects; give "
                "at least one proposal, and a label for each object."
            )
        for label, mask, best in zip(np.asarray(classes).tolist(), masks, overlaps.argmax(0), strict=True):
            one, other = first.mask(int(best)), np.asarray(mask) != 0
            sums.setdefault(label, np.zeros(2))
            sums[label] += (one & other).sum(), (one | other).sum()
    if not sums:
        raise KerasVisionError("there are no objects to find.")
    return float(np.mean([both / either for both, either in sums.values()]))


def _best(overlaps: Iterable[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """Best overlap of each object of all images with the first proposals: `(objects, numbers)`."""
    if not len(numbers) or min(numbers) < 1:
        raise KerasVisionError(f"numbers={list(numbers)}; give numbers of proposals of at least 1.")
    rows = [[one[:number].max(0, initial=0) for number in numbers] for one in overlaps]
    best = np.concatenate([np.array(row).T for row in rows]) if rows else np.zeros((0, len(numbers)))
    if not len(best):
        raise KerasVisionError("there are no objects to find.")
    return best
