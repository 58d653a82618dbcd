"""Scores of networks, ensembles and classical classifiers, against averages and columns taken by hand."""

import doctest

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from keras_vision.data import LabelGroups
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation import (
    CLASSIFIERS,
    Protocol,
    Views,
    average_labels,
    describe,
    label_classifier,
    label_scores,
    predict_labels,
)
from keras_vision.training import logits_model, multi_label_classifier

NAMES = ("a", "b", "c", "d")
GROUPS = LabelGroups(NAMES, [("b", "d")])
IMAGES = list(np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), np.uint8))
MIRROR = Protocol("mirror", (Views(((0.5, 0.5),), mirror=True),))


@pytest.fixture(scope="module")
def pair(randomize):
    keras.utils.set_random_seed(0)
    groups = GROUPS, LabelGroups(NAMES)
    shapes = (32, 32, 3), (48, 48, 3)
    return [
        randomize(multi_label_classifier("SqueezeNetV1_1", g, weights=None, input_shape=shape), seed)
        for seed, (g, shape) in enumerate(zip(groups, shapes, strict=True))
    ]


def alone(model, flip=False):
    """The model on each image, prepared by hand."""
    from PIL import Image

    pixels = np.stack([model.preprocessing.pixels(Image.fromarray(image)) for image in IMAGES])
    return model.predict(model.preprocessing.normalize(pixels[:, :, ::-1] if flip else pixels), verbose=0)


def test_one_network_and_its_mirrored_view(pair):
    np.testing.assert_allclose(predict_labels(pair[0], IMAGES, batch_size=2), alone(pair[0]), atol=1e-6)
    expected = (alone(pair[0]) + alone(pair[0], flip=True)) / 2
    np.testing.assert_allclose(predict_labels(pair[0], IMAGES, MIRROR), expected, atol=1e-6)
    assert np.abs(expected - alone(pair[0])).max() > 1e-4


def test_an_ensemble_is_the_mean_of_its_members(pair):
    expected = (alone(pair[0]) + alone(pair[1])) / 2
    found = predict_labels(pair, IMAGES, batch_size=3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    members = {f"member {n}": (NAMES, alone(model)) for n, model in enumerate(pair)}
    np.testing.assert_allclose(average_labels(members), expected, atol=1e-6)
    weighted = average_labels(members, weights=[3, 1])
    np.testing.assert_allclose(weighted, 0.75 * alone(pair[0]) + 0.25 * alone(pair[1]), atol=1e-6)


def test_members_of_other_labels_are_errors(pair, randomize):
    turned = LabelGroups(("b", "a", "c", "d"))
    other = randomize(multi_label_classifier("SqueezeNetV1_1", turned, weights=None, input_shape=(32, 32, 3)))
    with pytest.raises(KerasVisionError, match="labels differ"):
        predict_labels([pair[0], other], IMAGES)
    other.labels = None
    with pytest.raises(KerasVisionError, match="has no labels"):
        predict_labels([pair[0], other], IMAGES)
    scores = np.full((2, 4), 0.5)
    with pytest.raises(KerasVisionError, match=r"labels of y: b, a, c, d; of x: a, b, c, d.*same order"):
        average_labels({"x": (NAMES, scores), "y": (turned.names, scores)})


@pytest.mark.parametrize(("scores", "weights", "message"), [
    ({}, None, "no members"),
    ({"x": (NAMES, np.zeros((2, 4))), "y": (NAMES, np.zeros((3, 4)))}, None, "'x': 2, 'y': 3"),
    ({"x": (NAMES, np.zeros((2, 3)))}, None, r"expected \(n, 4\)"),
    ({"x": (NAMES, np.full((2, 4), np.nan))}, None, "is nan"),
    ({"x": (NAMES, np.zeros((2, 4)))}, [0.0], "give one each"),
    ({"x": (NAMES, np.zeros((2, 4)))}, [1.0, 1.0], "of 1 members"),
])  # fmt: skip
def test_arrays_that_do_not_fit_are_errors(scores, weights, message):
    with pytest.raises(KerasVisionError, match=message):
        average_labels(scores, weights)


def test_other_networks_and_protocols_are_errors(pair, tmp_path):
    with pytest.raises(KerasVisionError, match="gives logits"):
        predict_labels(logits_model(pair[0]), IMAGES)
    with pytest.raises(KerasVisionError, match="'dense'"):
        predict_labels(pair[0], IMAGES, "dense")
    with pytest.raises(KerasVisionError, match="0 images"):
        predict_labels(pair[0], [])
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        predict_labels(pair[0], [tmp_path / "missing.jpg"])


def test_features_of_a_multi_label_network(pair):
    """fire9, averaged over positions: what the classifier's convolution sees."""
    model = pair[0]
    features = keras.Model(model.input, model.get_layer("fire9").output)
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = features.predict(model.preprocessing.normalize(images), verbose=0).mean((1, 2))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(describe(model, images, scales=(32,), mirror=False), expected, atol=1e-5)


# ------------------------------------------------------------------------------------------ scikit-learn

RNG = np.random.default_rng(2)
FEATURES = RNG.normal(size=(120, 6))
LABELS = (FEATURES[:, :4] + RNG.normal(0, 0.3, (120, 4)) > 0.3).astype(int)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_column_for_each_label_in_order(name):
    scores = label_scores(label_classifier(name).fit(FEATURES[:100], LABELS[:100]), FEATURES[100:])
    assert scores.shape == (20, 4)
    correlations = np.corrcoef(scores.T, FEATURES[100:, :4].T)[:4, 4:]
    assert (correlations.argmax(1) == np.arange(4)).all()
    if name != "svm":
        assert ((scores >= 0) & (scores <= 1)).all()


def test_the_columns_are_scikit_learns_own():
    by_label = np.stack([
        LogisticRegression(C=100.0, max_iter=2000).fit(FEATURES, LABELS[:, k]).predict_proba(FEATURES)[:, 1]
        for k in range(4)
    ], axis=1)  # fmt: skip
    found = label_scores(label_classifier("logistic").fit(FEATURES, LABELS), FEATURES)
    np.testing.assert_allclose(found, by_label, atol=1e-4)
    several = MultiOutputClassifier(LogisticRegression(C=100.0, max_iter=2000)).fit(FEATURES, LABELS)
    np.testing.assert_allclose(label_scores(several, FEATURES), by_label, atol=1e-4)


@pytest.mark.parametrize("name", ["forest", "neighbours"])
def test_a_label_that_training_never_had_or_always_had(name):
    labels = LABELS.copy()
    labels[:, 1], labels[:, 2] = 0, 1
    scores = label_scores(label_classifier(name).fit(FEATURES, labels), FEATURES)
    assert not scores[:, 1].any()
    assert (scores[:, 2] == 1).all()


def test_the_forest_is_the_same_from_the_same_seed():
    first, second = (label_scores(label_classifier("forest", 3).fit(FEATURES, LABELS), FEATURES) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_classifiers_of_one_label_or_without_scores_are_errors():
    with pytest.raises(KerasVisionError, match="known: logistic, svm, forest, neighbours"):
        label_classifier("boosting")
    one = LogisticRegression().fit(FEATURES, LABELS[:, 0])
    with pytest.raises(KerasVisionError, match="predicts one class of each image"):
        label_scores(one, FEATURES)
    with pytest.raises(KerasVisionError, match="object gives neither"):
        label_scores(object(), FEATURES)


def test_the_example_of_the_docstring():
    import sys

    assert doctest.testmod(sys.modules["keras_vision.evaluation.label_scores"]).failed == 0
