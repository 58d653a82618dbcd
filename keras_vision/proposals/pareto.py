"""How many of each list of proposals to take: the Pareto front of number and quality, learned on training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError


@dataclasses.dataclass(frozen=True, eq=False)
class ParetoFront:
    """Choices of which no other has both fewer proposals and more quality; numbers rise, and so does quality.

    Attributes:
        limits: how many of each list to take at most, `(points, lists)`.
        numbers: proposals of an image, mean over images, `(points,)`.
        quality: best Jaccard index of each object, mean over objects, `(points,)`.
    """

    limits: np.ndarray
    numbers: np.ndarray
    quality: np.ndarray

    def within(self, number: float) -> tuple[int, ...]:
        """The limits of the best choice of at most `number` proposals.

        Raises:
            KerasVisionError: even the least choice has more.
        """
        fits = np.flatnonzero(self.numbers <= number)
        if not len(fits):
            raise KerasVisionError(f"number={number}; the front begins at {self.numbers[0]:.1f} proposals.")
        return tuple(self.limits[fits[-1]].tolist())


def pareto_front(overlaps: Sequence[Sequence[Any]], counts: Sequence[int], *, points: int = 200) -> ParetoFront:
    """Joins lists one after another, and keeps the best choices of how many to take of those joined so far.

    All pairs of a choice so far and a number of the next list are tried, so that the work grows with the number of
    lists where that of all combinations would grow with its power. Two lists are tried in full.

    Args:
        overlaps: of each list, such as the pairs of one hierarchy, for each image the Jaccard index of its proposals
            in their order with each object, `(proposals, objects)`, of `proposal_overlaps`.
        counts: how many of a list may be taken, rising; 0 need not be named.
        points: choices that are kept after each list, evenly along the front.

    Raises:
        KerasVisionError: no lists, images or objects; lists that differ in them; or settings out of range.

    Source: Pont-Tuset et al., 2016, section 5.2.
    """
    steps = np.unique([0, *counts])
    if len(steps) < 2 or steps[0] < 0 or points < 2:
        raise KerasVisionError(f"counts={list(counts)}, points={points}; give numbers above 0, and at least 2 points.")
    shapes = [[np.shape(image)[1:] for image in images] for images in overlaps]
    if not shapes or not shapes[0] or any(shape != shapes[0] for shape in shapes) or not np.sum(shapes[0]):
        raise KerasVisionError("lists without objects, or of different images; give the overlaps of the same images.")
    limits, numbers, best = np.zeros((1, 0), int), np.zeros(1), np.zeros((1, int(np.sum(shapes[0]))), np.float32)
    for images in overlaps:
        own, found = _sampled(images, steps)
        total = numbers[:, None] + own
        quality = np.array([np.maximum(one, found).mean(1) for one in best])
        kept = _front(total.ravel(), quality.ravel(), points)
        before, now = np.unravel_index(kept, total.shape)
        limits = np.column_stack([limits[before], steps[now]])
        numbers, best = total[before, now], np.maximum(best[before], found[now])
    return ParetoFront(limits, numbers, best.mean(1))


def _sampled(images: Sequence[Any], steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean number of proposals `(steps,)`, and best overlap of all objects `(steps, objects)`."""
    numbers = np.mean([np.minimum(steps, len(image)) for image in images], 0)
    found = []
    for image in images:
        best = np.maximum.accumulate(np.concatenate([np.zeros((1, np.shape(image)[1])), image]), 0)
        found.append(best[np.minimum(steps, len(image))])
    return numbers, np.concatenate(found, 1).astype(np.float32)


def _front(numbers: np.ndarray, quality: np.ndarray, points: int) -> np.ndarray:
    """Positions of the choices that no other beats, by number."""
    order = np.lexsort((-quality, numbers))
    before = np.concatenate([[-1.0], np.maximum.accumulate(quality[order])[:-1]])
    front = order[quality[order] > before]
    if len(front) <= points:
        return front
    return front[np.unique(np.rint(np.linspace(0, len(front) - 1, points)).astype(int))]
