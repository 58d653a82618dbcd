"""The score from which on each label is predicted: searched for the best F-beta, kept in a file, applied."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.data.label_groups import LabelGroups
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.evaluation.f_beta import f_beta, f_beta_of_counts
from keras_vision.files import whole_file

_GAIN = 1e-12  # of the mean F-beta: less is round-off


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """One threshold for each label; of a group of `argmax` the label of highest score is predicted in their place.

    Attributes:
        labels: names, in the order of the scores.
        values: a label is predicted where its score is at least this.
        argmax: groups of labels of which exactly one is predicted.

    Raises:
        KerasVisionError: not as many values as labels, ones that are not finite, or groups that `LabelGroups` refuses.
    """

    labels: tuple[str, ...]
    values: tuple[float, ...]
    argmax: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        groups = LabelGroups(self.labels, self.argmax)
        object.__setattr__(self, "labels", groups.names)
        object.__setattr__(self, "argmax", groups.exclusive)
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if len(self.values) != len(self.labels) or not np.isfinite(self.values).all():
            raise KerasVisionError(f"thresholds {self.values} of {len(self.labels)} labels; give a number for each.")

    def predict(self, scores: Any) -> np.ndarray:
        """Scores `(n, labels)` to labels, 0 and 1, uint8 of the same shape.

        Raises:
            KerasVisionError: another shape, or scores that are not finite.
        """
        scores = checked_scores(scores, len(self.labels))
        predicted = (scores >= np.array(self.values)).astype(np.uint8)
        for group in LabelGroups(self.labels, self.argmax).positions:
            columns = np.array(group)
            predicted[:, columns] = 0
            predicted[np.arange(len(scores)), columns[scores[:, columns].argmax(1)]] = 1
        return predicted

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Write a JSON file, whole or not at all.

        Raises:
            KerasVisionError: the file exists, or cannot be written.
        """
        with whole_file(path, overwrite) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike, labels: Sequence[str]) -> Thresholds:
        """Read what `save` wrote.

        Args:
            path: of the file.
            labels: of the model that gives the scores, in its order (`model.labels`).

        Raises:
            KerasVisionError: missing, damaged, or thresholds of other labels or of another order.
        """
        try:
            read = json.loads(Path(path).read_text(encoding="utf-8"))
            found = cls(tuple(read["labels"]), tuple(read["values"]), tuple(map(tuple, read["argmax"])))
        except OSError as error:
            raise KerasVisionError(f"{path}: {(error.strerror or str(error)).lower()}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise KerasVisionError(f"{path} is no file of thresholds ({error}); search them again.") from error
        check_same_labels({os.fspath(path): found.labels, "the model": labels})
        return found


def search_thresholds(
    scores: Any,
    truth: Any,
    groups: LabelGroups,
    *,
    beta: float = 2.0,
    argmax: bool = False,
    start: float = 0.5,
    empty: float = 1.0,
) -> Thresholds:
    """The thresholds of the highest mean F-beta over images that coordinate ascent finds; for validation scores.

    From `start` for all labels, one label after the other gets its best threshold, the others held fixed, until a whole
    round gains nothing. The best is exact: with the other labels fixed the mean F-beta is a sum over images sorted by
    score, so all thresholds are tried at the cost of one sort. Of equally good ones the nearest to `start` is taken,
    and a change only for a gain, so the result is never worse on these images than `start`; it is the same in every
    run. A threshold stands midway between two scores. A label that no image has keeps `start`, with a
    `KerasVisionWarning`: what it costs to miss it cannot be known.

    Args:
        scores: probabilities, or a classifier's scores on any scale, `(n, labels)`.
        truth: 0 and 1, `(n, labels)`.
        groups: the labels, in the order of the columns.
        beta, empty: as of `f_beta`.
        argmax: predict the label of highest score in each exclusive group, with no thresholds. Otherwise they get
            thresholds like all labels: F2 may gain by predicting two of them in doubt.
        start: threshold for all labels at first; 0 for scores of a linear SVM.

    Raises:
        KerasVisionError: unequal shapes, scores that are not finite, other values of truth, or no images.

    Source: per-class thresholds on validation images (arXiv 2201.01971).
    """
    scores, truth = checked_scores(scores, len(groups)), np.asarray(truth)
    found = Thresholds(groups.names, (start,) * len(groups), groups.exclusive if argmax else ())
    predicted = found.predict(scores).astype(bool)
    f_beta(truth, predicted, beta, empty)  # raises now what does not fit
    truth = truth.astype(bool)
    fixed = {column for group in (groups.positions if argmax else ()) for column in group}
    columns = [column for column in range(len(groups)) if column not in fixed]
    if absent := [column for column in columns if not truth[:, column].any()]:
        names = ", ".join(groups.names[column] for column in absent)
        warnings.warn(f"no image has {names}: the threshold stays {start}.", KerasVisionWarning, stacklevel=2)
    values, gaining = list(found.values), True
    while gaining:
        gaining = False
        for column in columns:
            if column in absent:
                continue
            with_it, without_it = _with_and_without(truth, predicted, column, beta, empty)
            value, gain = _best_cut(scores[:, column], predicted[:, column], with_it - without_it, start)
            if gain > _GAIN:
                values[column], gaining = value, True
                predicted[:, column] = scores[:, column] >= value
    return dataclasses.replace(found, values=tuple(values))


def checked_scores(scores: Any, labels: int) -> np.ndarray:
    """Scores as float64 `(n, labels)`.

    Raises:
        KerasVisionError: another shape, or values that are not finite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[1] != labels:
        raise KerasVisionError(f"scores of shape {scores.shape}; expected (n, {labels}), a column for each label.")
    if not np.isfinite(scores).all():
        image, column = np.argwhere(~np.isfinite(scores))[0]
        raise KerasVisionError(f"the score of image {image} for label {column} is {scores[image, column]}.")
    return scores


def check_same_labels(named: dict[str, Sequence[str] | None]) -> tuple[str, ...]:
    """The labels that all of them have, in the same order.

    Args:
        named: labels by what a message calls their owner.

    Raises:
        KerasVisionError: one has none, or they differ in names, number or order.
    """
    (first, labels), *others = named.items()
    for name, given in named.items():
        if given is None:
            raise KerasVisionError(f"{name} has no labels, which say what each column is; set model.labels.")
    for name, given in others:
        if tuple(given or ()) != tuple(labels or ()):
            raise KerasVisionError(
                f"labels of {name}: {', '.join(given or ())}; of {first}: {', '.join(labels or ())}. "
                "They must be the same, in the same order."
            )
    return tuple(labels or ())


def _with_and_without(
    truth: np.ndarray, predicted: np.ndarray, column: int, beta: float, empty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Each image's F-beta if the label is predicted and if it is not, the other labels as they are: two `(n,)`."""
    own, others = truth[:, column], np.delete(truth, column, 1)
    given = np.delete(predicted, column, 1)
    hits, missed, wrong = ((part).sum(1) for part in (others & given, others & ~given, ~others & given))
    with_it = f_beta_of_counts(hits + own, missed, wrong + ~own, beta, empty)
    return with_it, f_beta_of_counts(hits, missed + own, wrong, beta, empty)


def _best_cut(scores: np.ndarray, predicted: np.ndarray, gains: np.ndarray, start: float) -> tuple[float, float]:
    """The threshold of the highest sum of gains of the images at or above it, and what the mean F-beta gains by it."""
    levels, of_level = np.unique(scores, return_inverse=True)
    per_level = np.bincount(of_level, gains)
    sums = np.append(np.cumsum(per_level[::-1])[::-1], 0.0)  # from each level on; of none
    middles = levels[:-1] + np.diff(levels) / 2
    middles = np.where(middles > levels[:-1], middles, levels[1:])  # of neighbouring floats
    cuts = np.concatenate([levels[:1], middles, [np.nextafter(levels[-1], np.inf)]])
    best = np.flatnonzero(sums >= sums.max() - _GAIN)
    chosen = best[np.abs(cuts[best] - start).argmin()]
    return float(cuts[chosen]), float((sums[chosen] - gains[predicted].sum()) / len(scores))
