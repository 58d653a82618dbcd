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
# what the next stage takes, asked for only if there are images that go on.
Following = Callable[[], list[np.ndarray]]
Run = Callable[[int, list[np.ndarray]], tuple[np.ndarray, np.ndarray, Following]]
_Going = tuple[np.ndarray, list[np.ndarray]]  # places of images among all, and what the next stage takes of them


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

    Those that go on wait for others until they are a batch again, as a few take nearly as long; fewer than a batch wait
    for each stage when the next batch begins.

    Raises:
        KerasVisionError: a batch size below 1, or probabilities that are not finite, by which no image would ever leave
            rightly.
    """
    if batch_size < 1:
        raise KerasVisionError(f"batch_size={batch_size}; give a number of images, at least 1.")
    limits = (*thresholds, math.inf)
    found = Exited(np.zeros((len(images), classes), np.float32), np.zeros(len(images), int))
    if batch_size == 1 or len(images) == 1:
        _one_by_one(run, images, limits, found)
        return found
    waiting: list[list[_Going]] = [[] for _ in limits]

    def leave(number: int, places: np.ndarray, carried: list[np.ndarray]) -> None:
        given, spread, following = run(number, carried)
        stays = ~(spread < limits[number])
        found.probabilities[places[~stays]], found.exits[places[~stays]] = given[~stays], number
        if stays.any():
            _check_finite(number, spread)
            waiting[number + 1].append((places[stays], [tensor[stays] for tensor in following()]))

    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        leave(0, np.arange(start, start + len(part)), [part])
        for number in range(1, len(limits)):
            while sum(len(places) for places, _ in waiting[number]) >= batch_size:
                leave(number, *_taken(waiting[number], batch_size))
    for number in range(1, len(limits)):
        while waiting[number]:
            leave(number, *_taken(waiting[number], batch_size))
    return found


def _taken(waiting: list[_Going], count: int) -> _Going:
    """The first that wait, at most `count`; they are taken off the list."""
    places = np.concatenate([own for own, _ in waiting])
    carried = [np.concatenate(parts) for parts in zip(*(tensors for _, tensors in waiting), strict=True)]
    waiting[:] = [(places[count:], [tensor[count:] for tensor in carried])] if len(places) > count else []
    return places[:count], [tensor[:count] for tensor in carried]


def _one_by_one(run: Run, images: np.ndarray, limits: Sequence[float], found: Exited) -> None:
    """Without masks, which take nearly half as long for one image as a small stage."""
    for place in range(len(images)):
        carried = [images[place : place + 1]]
        for number, limit in enumerate(limits):
            given, spread, following = run(number, carried)
            if spread[0] < limit:
                found.probabilities[place], found.exits[place] = given[0], number
                break
            _check_finite(number, spread)
            carried = following()


def _check_finite(number: int, spread: np.ndarray) -> None:
    if not np.isfinite(spread).all():
        raise KerasVisionError(f"exit {number} gives values that are not finite: weights or images are broken.")
