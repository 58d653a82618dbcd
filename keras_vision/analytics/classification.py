"""How well vectors tell classes apart: cross-validated scores, the confusion matrix, the images that go wrong."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from keras_vision.analytics.similarity import checked
from keras_vision.errors import KerasVisionError

CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "logistic": lambda seed: LogisticRegression(solver="newton-cg", max_iter=2000, random_state=seed),
    "forest": lambda seed: RandomForestClassifier(n_estimators=100, random_state=seed),
    "neighbours": lambda seed: KNeighborsClassifier(5, metric="cosine"),
}


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """Scores of a classifier on images that it was not trained on.

    Attributes:
        classes: names, sorted.
        confusion: int `(classes, classes)`, rows the truth.
        truth, predicted: index of each image's class and of the predicted one, `(n,)`; -1 for images left out.
        probabilities: of each class, `(n, classes)`; NaN for images that were left out.
        auc: area under the ROC curve, of each class against the rest, averaged with the classes' sizes as weights.
        ca: classification accuracy, the share of images that are right.
        f1: of each class, averaged with the classes' sizes as weights.
        left_out: positions of images of no class, or of a class with fewer than two images.
        folds: parts that took turns.
    """

    classes: list[str]
    confusion: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    auc: float
    ca: float
    f1: float
    left_out: list[int]
    folds: int

    def misclassified(self, truth: str | None = None, predicted: str | None = None) -> list[int]:
        """Positions of the images that went wrong, or of those in a cell, row or column of the confusion matrix.

        Raises:
            KerasVisionError: no such class.
        """
        for name in (truth, predicted):
            if name is not None and name not in self.classes:
                raise KerasVisionError(f"no class is called {name!r}; known: {', '.join(self.classes)}.")
        chosen = self.truth >= 0
        if truth is None and predicted is None:
            chosen &= self.truth != self.predicted
        if truth is not None:
            chosen &= self.truth == self.classes.index(truth)
        if predicted is not None:
            chosen &= self.predicted == self.classes.index(predicted)
        return np.flatnonzero(chosen).tolist()


def cross_validate(
    vectors: np.ndarray,
    labels: Sequence[str | None],
    classifier: str | Any = "logistic",
    folds: int = 10,
    seed: int = 0,
) -> CrossValidation:
    """Stratified cross-validation. Fewer folds are used where the smallest class has fewer images.

    Args:
        vectors: `(n, d)`.
        labels: class of each image; None for no class.
        classifier: "logistic" (L2, C = 1, on the vectors as they are), "forest" (100 trees), "neighbours" (5, cosine),
            or a scikit-learn classifier.
        folds: parts that take turns as the test set.
        seed: of their choice.

    Raises:
        KerasVisionError: fewer than two classes of two images, another classifier, or another number of labels.

    Source: Godec et al. (2019), Figure 3: logistic regression, 10 folds, AUC, CA and F1.
    """
    vectors = checked(vectors)
    if isinstance(classifier, str) and classifier not in CLASSIFIERS:
        raise KerasVisionError(f"classifier={classifier!r}; accepted: {', '.join(map(repr, CLASSIFIERS))}.")
    if len(labels) != len(vectors) or folds < 2:
        raise KerasVisionError(f"{len(labels)} labels for {len(vectors)} images, folds={folds}; folds are at least 2.")
    sizes = Counter(label for label in labels if label is not None)
    classes = sorted(name for name, size in sizes.items() if size >= 2)
    if len(classes) < 2:
        raise KerasVisionError(f"classes of at least two images: {classes or 'none'}; there must be two such classes.")
    kept = np.array([i for i, label in enumerate(labels) if label in classes])
    truth = np.array([classes.index(labels[i]) for i in kept])
    turns = StratifiedKFold(min(folds, int(np.bincount(truth).min())), shuffle=True, random_state=seed)
    method = CLASSIFIERS[classifier](seed) if isinstance(classifier, str) else classifier
    with threadpool_limits(1, "blas"):  # of many small products, threads waiting for each other take longer
        scores = cross_val_predict(method, vectors[kept], truth, cv=turns, method="predict_proba")
    return _result(classes, kept, truth, scores, len(vectors), turns.n_splits)


def _result(
    classes: list[str], kept: np.ndarray, truth: np.ndarray, scores: np.ndarray, count: int, folds: int
) -> CrossValidation:
    best = scores.argmax(1)
    right, predicted, probabilities = np.full(count, -1), np.full(count, -1), np.full((count, len(classes)), np.nan)
    right[kept], predicted[kept], probabilities[kept] = truth, best, scores
    binary = len(classes) == 2
    auc = roc_auc_score(truth, scores[:, 1] if binary else scores, multi_class="ovr", average="weighted")
    return CrossValidation(
        classes=classes,
        confusion=confusion_matrix(truth, best, labels=range(len(classes))),
        truth=right,
        predicted=predicted,
        probabilities=probabilities,
        auc=float(auc),
        ca=float((truth == best).mean()),
        f1=float(f1_score(truth, best, average="weighted", zero_division=0)),
        left_out=sorted(set(range(count)) - set(kept.tolist())),
        folds=folds,
    )
