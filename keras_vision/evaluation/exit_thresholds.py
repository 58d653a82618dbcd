"""The entropies below which images leave a network early, searched on validation images."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.early_exit import entropy
from keras_vision.errors import KerasVisionError

_COMBINATIONS = 40_000  # of thresholds that a search tries, at most about


@dataclasses.dataclass(frozen=True)
class ExitPlan:
    """What thresholds do to the images they were searched on.

    Attributes:
        thresholds: of `early_exit.EarlyExit`, in nats.
        accuracy: share of images that leave with their own class.
        shares: of the images, by the exit they leave by.
        cost: mean of an image, in the unit of the stages' costs.
    """

    thresholds: tuple[float, ...]
    accuracy: float
    shares: tuple[float, ...]
    cost: float


def exit_curve(probabilities: Sequence[Any], labels: Any, costs: Sequence[float]) -> list[ExitPlan]:
    """All plans that are worth it: each is more accurate than any that costs less. From the cheapest on.

    With two exits all thresholds are tried that make a difference; with more, those between equal shares of the
    images, 200 for each of three exits.

    Args:
        probabilities: of each exit for the same images, `(n, classes)` each (`EarlyExit.probabilities`).
        labels: classes of the images, `(n,)`.
        costs: of each stage, such as multiply-adds (`Stage.multiply_adds`) or milliseconds.

    Raises:
        KerasVisionError: fewer than two exits, unequal shapes, values that are not finite, or no images.

    Source: the search of BranchyNet (Teerapittayanon et al., 2016), section III-D.
    """
    entropies, hits = _checked(probabilities, labels, costs)
    highest = math.log(np.shape(probabilities[0])[1])
    levels = [np.minimum(_levels(values, len(entropies) - 1), highest) for values in entropies[:-1]]
    reach = np.cumsum(costs)
    plans: list[ExitPlan] = []
    for chosen in itertools.product(*levels[:-1]):
        left = np.full(len(hits[0]), -1)
        for number, threshold in enumerate(chosen):
            left[(left < 0) & (entropies[number] < threshold)] = number
        plans += _last_swept(chosen, levels[-1], left, entropies[-2], hits, reach)
    best: list[ExitPlan] = []
    for plan in sorted(plans, key=lambda plan: (plan.cost, -plan.accuracy)):
        if not best or plan.accuracy > best[-1].accuracy:
            best.append(plan)
    return best


def search_exits(probabilities: Sequence[Any], labels: Any, costs: Sequence[float], accuracy: float) -> ExitPlan:
    """The cheapest plan of `exit_curve` that is at least as accurate on these images.

    Raises:
        KerasVisionError: an accuracy outside 0 to 1, or one that no thresholds reach; and see `exit_curve`.
    """
    if not 0 <= accuracy <= 1:
        raise KerasVisionError(f"accuracy={accuracy!r}; give a share of the images, from 0 to 1.")
    curve = exit_curve(probabilities, labels, costs)
    if curve[-1].accuracy < accuracy:
        raise KerasVisionError(f"accuracy={accuracy}: no thresholds reach more than {curve[-1].accuracy:.4f} here.")
    return next(plan for plan in curve if plan.accuracy >= accuracy)


def _checked(probabilities: Sequence[Any], labels: Any, costs: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Entropies and whether the class is right, `(exits, n)` each."""
    given, labels = [np.asarray(p, np.float64) for p in probabilities], np.asarray(labels)
    shapes = {p.shape for p in given}
    if len(given) < 2 or len(shapes) > 1 or given[0].ndim != 2 or labels.shape != given[0].shape[:1] or not len(labels):
        raise KerasVisionError(
            f"probabilities {[p.shape for p in given]} and labels {labels.shape}; give those of two or more exits, "
            "(n, classes) each, and labels (n,) of the same images."
        )
    if len(costs) != len(given) or not (np.isfinite(costs).all() and min(costs) >= 0):
        raise KerasVisionError(f"costs={tuple(costs)} of {len(given)} stages; give a finite one for each, at least 0.")
    if not np.isfinite(given).all():
        raise KerasVisionError("some probabilities are not finite; the network's weights or images are broken.")
    return np.stack([entropy(p) for p in given]), np.stack([p.argmax(axis=1) == labels for p in given])


def _levels(entropies: np.ndarray, count: int) -> np.ndarray:
    """Thresholds to try: 0, and midway between neighbouring entropies, all of them or at equal shares of the images."""
    values = np.unique(entropies)
    between = np.append(values[:-1] + np.diff(values) / 2, np.nextafter(values[-1], np.inf))
    most = len(between) if count == 1 else int(_COMBINATIONS ** (1 / count))
    if len(between) > most:
        between = np.unique(between[np.linspace(0, len(between) - 1, most).round().astype(int)])
    return np.append(0.0, between)


def _last_swept(
    before: Sequence[float], levels: np.ndarray, left: np.ndarray, entropies: np.ndarray, hits: np.ndarray,
    reach: np.ndarray,
) -> list[ExitPlan]:  # fmt: skip
    """Plans for each threshold of the last exit but one; `left` is the exit before it that an image left by, or -1."""
    count, rest = len(left), left < 0
    order = np.argsort(entropies[rest], kind="stable")
    leave = np.searchsorted(entropies[rest][order], levels)  # images below each threshold
    there, end = (np.append(0, np.cumsum(row[rest][order])) for row in hits[-2:])
    right = sum(int(hits[number][left == number].sum()) for number in range(len(before)))
    right = right + there[leave] + end[-1] - end[leave]
    shares = [float(np.mean(left == number)) for number in range(len(before))]
    plans = []
    for threshold, away, correct in zip(levels, leave, right, strict=True):
        own = (*shares, away / count, (int(rest.sum()) - away) / count)
        cost = float(np.dot(own, reach))
        plans.append(
            ExitPlan((*map(float, before), float(threshold)), float(correct / count), tuple(map(float, own)), cost)
        )
    return plans
