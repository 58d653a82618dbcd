"""Multi-label classifiers that learn collages of digits, thresholds, and classical classifiers on their features."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_vision.data import LabelGroups, digit_collages
from keras_vision.evaluation import (
    SampleFBeta,
    average_labels,
    f_beta,
    label_classifier,
    label_scores,
    search_thresholds,
)
from keras_vision.training import MultiLabelCrossentropy, logits_model, most_frequent, multi_label_classifier, train

SIZE, BATCH, EPOCHS = 24, 50, 12
GROUNDS = ("dark", "light", "striped", "noisy")


@pytest.fixture(scope="module")
def collages():
    return [digit_collages(2000, size=SIZE), digit_collages(300, size=SIZE, seed=1), digit_collages(400, "test", SIZE)]


def pixels(images):
    return np.stack(images.sources)[..., :1] / np.float32(127.5) - 1


def trunk():
    """Three blocks; the largest answer anywhere says whether a digit is there."""
    x = image = keras.Input((SIZE, SIZE, 1))
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D()(x) if filters < 64 else x
    return keras.Model(image, layers.GlobalMaxPooling2D()(x))


def learned(groups, images, with_fit):
    keras.utils.set_random_seed(0)
    model = multi_label_classifier(trunk(), groups)
    trained = logits_model(model)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, EPOCHS * len(images) // BATCH)
    trained.compile(
        keras.optimizers.Adam(rate),
        MultiLabelCrossentropy(groups.positions, from_logits=True),
        metrics=[SampleFBeta(groups=groups.positions, from_logits=True)],
    )
    data = tf.data.Dataset.from_tensor_slices((pixels(images), images.labels))
    data = data.shuffle(len(images), seed=0).batch(BATCH)
    if with_fit:
        trained.fit(data, epochs=EPOCHS, verbose=0)
    else:
        train(trained, data, epochs=EPOCHS)
    return model


@pytest.fixture(scope="module")
def networks(collages):
    names = collages[0].class_names
    sigmoid = learned(LabelGroups(names), collages[0], with_fit=True)
    return sigmoid, learned(LabelGroups(names, [GROUNDS]), collages[0], with_fit=False)


@pytest.fixture(scope="module")
def scores(networks, collages):
    """Of each network, for the validation and the test collages."""
    return [[model.predict(pixels(part), verbose=0) for part in collages[1:]] for model in networks]


def test_both_heads_learn_and_thresholds_help(scores, collages):
    training, validation, test = collages
    constant = np.broadcast_to(most_frequent(training.labels), test.labels.shape)
    assert 0.55 < f_beta(test.labels, constant) < 0.65  # what can be had without looking
    groups = LabelGroups(training.class_names, [GROUNDS])
    for on_validation, on_test in scores:
        found = search_thresholds(on_validation, validation.labels, groups)
        at_half = f_beta(test.labels, on_test >= 0.5)
        assert at_half > 0.8
        assert f_beta(test.labels, found.predict(on_test)) > max(0.88, at_half)


def test_the_softmax_knows_that_there_is_one_ground(scores, collages):
    grounds = scores[1][1][:, 10:]
    np.testing.assert_allclose(grounds.sum(1), 1, rtol=1e-5)
    assert np.mean(grounds.argmax(1) == collages[2].labels[:, 10:].argmax(1)) > 0.98
    assert np.abs(scores[0][1][:, 10:].sum(1) - 1).max() > 1e-3  # four sigmoids do not know


def test_the_ensemble_is_no_worse_than_its_members(scores, collages):
    names, truth = collages[2].class_names, collages[2].labels
    mean = average_labels({f"network {n}": (names, on_test) for n, (_, on_test) in enumerate(scores)})
    alone = [f_beta(truth, on_test >= 0.4) for _, on_test in scores]
    assert f_beta(truth, mean >= 0.4) > min(alone)


def test_classical_classifiers_on_deep_features(networks, collages):
    """The network without its last layer, and a logistic regression of each label in its place."""
    model = networks[1]
    penultimate = keras.Model(model.input, model.get_layer("label_logits").input)
    training, validation, test = (penultimate.predict(pixels(part), verbose=0) for part in collages)
    classifier = label_classifier("logistic").fit(training, collages[0].labels)
    groups = LabelGroups(collages[0].class_names)
    found = search_thresholds(label_scores(classifier, validation), collages[1].labels, groups)
    assert f_beta(collages[2].labels, found.predict(label_scores(classifier, test))) > 0.85
