"""The rule by which images leave a network early, on NumPy arrays: one loop for Keras and for exported files.

Source: BranchyNet (Teerapittayanon et al., 2016), section III: Algorithm 2 and the entropy of Equation 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError

_TINY = np.finfo(np.float64).tiny
# Number of a stage, and what it takes, to the probabilities of its exit `(n, classes)`, their entropies `(n,)`, and
# what the next stage takes.
Run = Callable[[int, list[np.ndarray]], tuple[np.ndarray, np.ndarray, list[np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Exited:
    """Where images left, and what with.

    Attributes:
        probabilities: `(n, classes)`, of the exit that each image left by.
        exits: number of that exit, from 0, `(n,)`.
    """

    probabilities: np.ndarray
    exits: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of each image, `(n,)`."""
        return self.probabilities.argmax(axis=1)


def entropy(probabilities: Any) -> np.ndarray:
    """Of each row, in nats: `(n, classes) -> (n,)`, from 0 (certain) to log(classes)."""
    p = np.asarray(probabilities, np.float64)
    return 0.0 - np.vecdot(p, np.log(np.maximum(p, _TINY)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row of logits."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def checked_thresholds(thresholds: Sequence[float], exits: int, classes: int) -> tuple[float, ...]:
    """The thresholds, one for each exit but the last.

    Raises:
        KerasVisionError: no sequence of numbers, another number of them, or one that no entropy of so many classes can
            have.
    """
    try:
        given = np.atleast_1d(np.asarray(thresholds))
    except ValueError:  # rows of unequal length
        given = np.empty((0, 0))
    if given.ndim != 1 or given.dtype.kind not in "iuf":
        raise KerasVisionError(
            f"thresholds={thresholds!r}; give a flat list of numbers, one for each of the {exits} exits but the last."
        )
    values = tuple(map(float, given))
    highest = math.log(classes)
    if len(values) != exits - 1:
        raise KerasVisionError(f"{len(values)} thresholds for {exits} exits; give one for each but the last.")
    if not all(0 <= value <= highest for value in values):
        raise KerasVisionError(
            f"thresholds={values}; give entropies in nats, from 0 (no image leaves) to log({classes}) = {highest:.3f}."
        )
    return values


def in_batches(run: Run, images: np.ndarray, thresholds: Sequence[float], classes: int, batch_size: int) -> Exited:
    """Images `(n, ...)` in batches through the stages, each time without those that have left.

    Raises:
        KerasVisionError: a batch size below 1, or probabilities that are not finite, by which no image would ever leave
            rightly.
    """
    if batch_size < 1:
        raise KerasVisionError(f"batch_size={batch_size}; give a number of images, at least 1.")
    limits = (*thresholds, math.inf)
    starts = range(0, len(images), batch_size)
    found = [_leave(run, 0, [images[start : start + batch_size]], limits) for start in starts]
    if not found:
        return Exited(np.zeros((0, classes), np.float32), np.zeros(0, int))
    if len(found) == 1:
        return found[0]
    return Exited(*(np.concatenate([getattr(part, name) for part in found]) for name in ("probabilities", "exits")))


def _leave(run: Run, number: int, carried: list[np.ndarray], thresholds: Sequence[float]) -> Exited:
    """From stage `number` on. All images leaving at once, as one alone does, is the cheap way."""
    given, spread, following = run(number, carried)
    leaves = spread < thresholds[number]
    exits = np.full(len(given), number)
    if np.count_nonzero(leaves) == len(given):
        return Exited(given, exits)
    if not np.isfinite(spread).all():
        raise KerasVisionError(f"exit {number} gives values that are not finite: weights or images are broken.")
    stays = ~leaves
    later = _leave(run, number + 1, [tensor[stays] for tensor in following], thresholds)
    probabilities = np.array(given)
    probabilities[stays], exits[stays] = later.probabilities, later.exits
    return Exited(probabilities, exits)
