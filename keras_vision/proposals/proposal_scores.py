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


def _best(overlaps: Iterable[np.ndarray], numbers: Sequence[int]) -> np.ndarray:
    """Best overlap of each object of all images with the first proposals: `(objects, numbers)`."""
    if not len(numbers) or min(numbers) < 1:
        raise KerasVisionError(f"numbers={list(numbers)}; give numbers of proposals of at least 1.")
    rows = [[one[:number].max(0, initial=0) for number in numbers] for one in overlaps]
    best = np.concatenate([np.array(row).T for row in rows]) if rows else np.zeros((0, len(numbers)))
    if not len(best):
        raise KerasVisionError("there are no objects to find.")
    return best
