"""Scores of each label: of one network or an ensemble, of several views, and of classical classifiers on features.

Features of a trained network and a logistic regression, here on random weights and eight small pictures:

    >>> import keras
    >>> import numpy as np
    >>> import keras_vision as kv
    >>> from keras_vision.evaluation import describe, label_classifier, label_scores
    >>> keras.utils.set_random_seed(0)
    >>> network = kv.applications.SqueezeNetV1_1(weights=None, classes=10, input_shape=(32, 32, 3))
    >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    >>> labels = np.array([[0, 1, 1], [1, 0, 0]] * 4)
    >>> features = describe(network, images, scales=(32,))
    >>> classifier = label_classifier("logistic").fit(features, labels)
    >>> label_scores(classifier, features).shape
    (8, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import protocols
from keras_vision.evaluation.networks import Network, check_ensemble
from keras_vision.evaluation.protocols import Protocol
from keras_vision.evaluation.thresholds import check_same_labels, checked_scores
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image

CLASSIFIERS: Mapping[str, Callable[[int], Any]] = {
    "logistic": lambda seed: OneVsRestClassifier(LogisticRegression(C=100.0, max_iter=2000, random_state=seed)),
    "svm": lambda seed: OneVsRestClassifier(LinearSVC(C=10.0, random_state=seed)),
    "forest": lambda seed: RandomForestClassifier(300, min_samples_leaf=2, random_state=seed),
    "neighbours": lambda seed: KNeighborsClassifier(10, weights="distance"),
}


def predict_labels(
    models: VisionModel | Sequence[VisionModel],
    images: Sequence[Any],
    protocol: str | Protocol = "single",
    batch_size: int = 32,
) -> np.ndarray:
    """Probability of each label, float32 `(n, labels)`: the mean over models, and over views of the image.

    Each model prepares images by its own preprocessing.

    Args:
        models: networks of `multi_label_classifier`, or others with a card that give probabilities and have labels.
        images: paths, encoded bytes, Pillow images or uint8 arrays `(h, w)` or `(h, w, 3)`.
        protocol: "single", or several views: a name in `PROTOCOLS` or a `Protocol`, such as
            `Protocol("mirror", (Views(((0.5, 0.5),), mirror=True),))`. Dense ones are for classes, not for labels.
        batch_size: views per call of a model.

    Raises:
        KerasVisionError: models without labels or of other ones, models of logits, a dense protocol, or no images.
        ImageError: an image cannot be decoded.
    """
    ensemble, rule = ([models] if isinstance(models, VisionModel) else list(models)), protocols.protocol(protocol)
    classes = check_ensemble(ensemble)
    check_same_labels({f"{model.name} ({number})": model.labels for number, model in enumerate(ensemble, 1)})
    if logits := [model.name for model in ensemble if model.card.output != "probability"]:
        raise KerasVisionError(f"{logits[0]} gives logits; give the network of probabilities that they belong to.")
    if rule.dense or batch_size < 1 or not len(images):
        raise KerasVisionError(
            f"protocol {rule.name!r}, batch_size={batch_size}, {len(images)} images; give a protocol of crops, a batch "
            "of at least 1 and at least one image."
        )
    networks = [Network(model, rule, min(batch_size, len(images) * rule.count)) for model in ensemble]
    total = np.zeros((len(images), classes))
    for position, source in enumerate(images):
        image = open_image(source)
        for network in networks:
            for index, share in network.add(position, network.views(image)):
                total[index] += share
    for network in networks:
        for index, share in network.flush():
            total[index] += share
    return (total / len(ensemble)).astype(np.float32)


def average_labels(
    scores: Mapping[str, tuple[Sequence[str], Any]], weights: Sequence[float] | None = None
) -> np.ndarray:
    """An ensemble of scores that are there already: their weighted mean, float32 `(n, labels)`.

    Args:
        scores: by member, its labels in order and its probabilities `(n, labels)`.
        weights: of the members, 0 or above; None weighs all alike.

    Raises:
        KerasVisionError: no members, labels that differ or stand in another order, unequal shapes, or scores that are
            not finite.
    """
    if not scores:
        raise KerasVisionError("no members; an ensemble is at least one.")
    labels = check_same_labels({name: of for name, (of, _) in scores.items()})
    stacked = [checked_scores(values, len(labels)) for _, values in scores.values()]
    shapes = {name: len(values) for name, values in zip(scores, stacked, strict=True)}
    if len(set(shapes.values())) != 1:
        raise KerasVisionError(f"an ensemble's scores are of the same images; here, by member, of {shapes}.")
    shares = np.ones(len(stacked)) if weights is None else np.asarray(weights, np.float64)
    if len(shares) != len(stacked) or not np.isfinite(shares).all() or shares.min() < 0 or not shares.any():
        raise KerasVisionError(f"weights={weights} of {len(stacked)} members; give one each, 0 or above.")
    return np.average(stacked, axis=0, weights=shares).astype(np.float32)


def label_classifier(name: str, seed: int = 0) -> Any:
    """One of scikit-learn's classifiers with settings that suit descriptors of length 1: `CLASSIFIERS` by name.

    "logistic": logistic regression for each label; "svm": a linear SVM for each label, whose scores are distances
    (thresholds start at 0); "forest": a random forest; "neighbours": the 10 nearest, weighed by distance.

    Raises:
        KerasVisionError: another name.
    """
    if name not in CLASSIFIERS:
        raise KerasVisionError(f"no classifier is called {name!r}; known: {', '.join(CLASSIFIERS)}.")
    return CLASSIFIERS[name](seed)


def label_scores(classifier: Any, features: Any) -> np.ndarray:
    """Scores of a classifier of scikit-learn that was fitted to labels `(n, labels)`: float64 `(n, labels)`.

    Probabilities where it gives them, else its decision function, such as a linear SVM's distances.

    Args:
        classifier: of several labels: in a `OneVsRestClassifier` or `MultiOutputClassifier`, or one that takes them by
            itself, as forests and neighbours do.
        features: `(n, d)`, as `describe` gives them.

    Raises:
        KerasVisionError: it gives neither, or was fitted to classes in place of labels.
    """
    if hasattr(classifier, "predict_proba"):
        found = classifier.predict_proba(features)
        if isinstance(found, list):  # one (n, classes) for each label
            classes = getattr(
                classifier, "classes_", [each.classes_ for each in getattr(classifier, "estimators_", ())]
            )
            found = np.stack([_positive(p, of) for p, of in zip(found, classes, strict=True)], axis=1)
    elif hasattr(classifier, "decision_function"):
        found = classifier.decision_function(features)
    else:
        raise KerasVisionError(f"{type(classifier).__name__} gives neither probabilities nor a decision function.")
    found = np.asarray(found, np.float64)
    labels = np.shape(classifier.predict(features[:1]))[1:]  # () of a classifier of classes, whatever its scores are
    if len(labels) != 1 or found.shape != (len(features), *labels):
        raise KerasVisionError(
            f"{type(classifier).__name__} predicts {labels or 'one class'} of each image and gives scores "
            f"{found.shape}; fit it to labels (n, labels)."
        )
    return found


def _positive(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of the columns of one label that of 1; where training had 0 alone there is none."""
    columns = np.flatnonzero(np.asarray(classes) == 1)
    return probabilities[:, columns[0]] if columns.size else np.zeros(len(probabilities))
