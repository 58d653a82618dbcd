"""Metrics and splits of PASCAL VOC's and Caltech's image classification tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, recall_score

from keras_vision.errors import KerasVisionError

YEARS = ("2007", "2012")


def mean_average_precision(scores: Any, truth: Any, year: str = "2012") -> tuple[float, np.ndarray]:
    """PASCAL VOC's mean AP over classes, and the AP of each class `(classes,)`.

    The precision at a recall is the best one at that recall or any higher. "2007" averages it at the recalls 0, 0.1,
    ..., 1; "2012", the rule of 2010 to 2012, integrates it over every change of recall. Scikit-learn's
    `average_precision_score` is neither: it integrates the precision as it is, and comes out lower.

    Images of equal score count together, as no threshold parts them; VOC's own program ranks them in the order of its
    list. Without equal scores the results are the same.

    Args:
        scores: `(n, classes)`, on any scale: of a linear SVM, what `decision_function` gives.
        truth: `(n, classes)`, 1 where the image shows the class, 0 where not, -1 where that is difficult: such an image
            is ignored for the class. VOC's files write -1 for "not" and 0 for "difficult": exchange them.
        year: "2007" or "2012".

    Returns:
        The mean over the classes that some image shows, and all APs, NaN for the other classes.

    Raises:
        KerasVisionError: unequal shapes, scores that are not finite, other values of truth, no image of any class, or
            another year.

    Source: the challenge's development kits (Everingham & Winn), of 2012 in section 3.4.1. VGG (Simonyan &
    Zisserman, 2014), appendix B, reports both.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth)
    if scores.ndim != 2 or scores.shape != truth.shape:
        raise KerasVisionError(f"scores {scores.shape} and truth {truth.shape}; give both as (n, classes).")
    if not np.isfinite(scores).all() or not np.isin(truth, (-1, 0, 1)).all():
        raise KerasVisionError("scores must be finite, and truth 1, 0 or -1 (difficult).")
    if str(year) not in YEARS:
        raise KerasVisionError(f"year={year!r}; accepted: {', '.join(YEARS)} (the rule of 2010 to 2012).")
    if not (truth == 1).any():
        raise KerasVisionError("no image shows any class: truth holds no 1.")
    columns = zip(scores.T, truth.T, strict=True)
    precisions = np.array([_average_precision(s[t >= 0], t[t >= 0], str(year)) for s, t in columns])
    return float(np.nanmean(precisions)), precisions


def mean_class_recall(predicted: Any, truth: Any) -> float:
    """Caltech's measure: the share of each class's images that are recognised, averaged over the classes in `truth`.

    The same as scikit-learn's `balanced_accuracy_score`, without its warning at a predicted class that `truth` lacks.

    Args:
        predicted: class of each image, `(n,)`.
        truth: the right class of each, `(n,)`.

    Raises:
        ValueError: by scikit-learn, for unequal lengths or no images.

    Source: VGG (Simonyan & Zisserman, 2014), appendix B.
    """
    return float(recall_score(truth, predicted, labels=np.unique(truth), average="macro"))


def caltech_splits(
    labels: Any, per_class: int = 30, test_per_class: int | None = 50, splits: int = 3, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random splits into training and test images: pairs of disjoint, sorted indices, as scikit-learn's `cv=` takes.

    The defaults are Caltech-101's. Caltech-256's are `per_class=60, test_per_class=None`.

    Args:
        labels: class of each image, `(n,)`.
        per_class: training images of each class.
        test_per_class: at most so many test images of each class; None takes all the rest.
        splits: how many, drawn independently.
        seed: the same seed gives the same splits.

    Raises:
        KerasVisionError: a class has no more than `per_class` images, which leaves none to test; or a number below 1.

    Source: VGG (Simonyan & Zisserman, 2014), appendix B.
    """
    labels = np.asarray(labels)
    least = min(per_class, splits, 1 if test_per_class is None else test_per_class)
    if labels.ndim != 1 or not len(labels) or least < 1:
        raise KerasVisionError(
            f"labels {labels.shape}, per_class={per_class}, test_per_class={test_per_class}, splits={splits}; give "
            "labels as (n,), and numbers of at least 1."
        )
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() <= per_class:
        raise KerasVisionError(
            f"class {names[counts.argmin()]} has {counts.min()} images; per_class={per_class} leaves none to test."
        )
    rng = np.random.default_rng(seed)
    end = None if test_per_class is None else per_class + test_per_class
    result = []
    for _ in range(splits):
        shuffled = [rng.permutation(np.flatnonzero(labels == name)) for name in names]
        train, test = ([c[part] for c in shuffled] for part in (slice(per_class), slice(per_class, end)))
        result.append((np.sort(np.concatenate(train)), np.sort(np.concatenate(test))))
    return result


def _average_precision(scores: np.ndarray, truth: np.ndarray, year: str) -> float:
    if not truth.any():
        return float("nan")
    precision, recall, _ = precision_recall_curve(truth, scores)
    precision, recall = (
        precision[:-1],
        recall[:-1],
    )  # the last point, precision 1 at recall 0, is scikit-learn's addition
    best = np.maximum.accumulate(precision)  # recall falls along the curve
    if year == "2012":
        return float(-np.diff(recall, append=0) @ best)
    tenths = np.arange(11) / 10  # and not linspace: a recall of 3/10 must reach 0.3
    return float(np.mean([best[recall >= tenth][-1] for tenth in tenths]))
