"""F-beta averaged over images, against scikit-learn and a loop over images."""

import keras
import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import SampleFBeta, f_beta

RNG = np.random.default_rng(1)
TRUTH = (RNG.random((300, 6)) < 0.25).astype(np.uint8)  # 50 or so without any label
PREDICTED = (RNG.random((300, 6)) < 0.3).astype(np.uint8)
EMPTY = ~(TRUTH | PREDICTED).any(1)
GROUPS = ((5, 0), (2, 3))


def test_by_hand():
    # P = 1/2, R = 1/3: 5 P R / (4 P + R) = 5/14; the second image has nothing right
    truth, predicted = [[1, 1, 1, 0], [0, 0, 0, 1]], [[1, 0, 0, 1], [1, 0, 0, 0]]
    assert f_beta(truth, predicted) == pytest.approx((5 / 14) / 2)
    assert f_beta(truth, truth) == 1


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_equals_scikit_learn(beta, empty):
    assert EMPTY.any()
    expected = fbeta_score(TRUTH, PREDICTED, beta=beta, average="samples", zero_division=empty)
    assert f_beta(TRUTH, PREDICTED, beta, empty) == pytest.approx(expected, rel=1e-12)


def test_no_labels_and_none_predicted_is_right_by_default():
    nothing = np.zeros((2, 3), int)
    assert f_beta(nothing, nothing) == 1
    assert f_beta(nothing, nothing, empty=0.0) == 0
    assert f_beta(nothing, [[0, 0, 0], [0, 1, 0]]) == 0.5


@pytest.mark.parametrize(("truth", "predicted", "beta", "message"), [
    (np.zeros((2, 3)), np.zeros((2, 4)), 2, r"\(2, 4\)"),
    (np.zeros((2, 3)), np.zeros((3, 3)), 2, "of the same images"),
    (np.zeros((0, 3)), np.zeros((0, 3)), 2, "of the same images"),
    (np.zeros((2, 3)), np.full((2, 3), 0.5), 2, "0 or 1"),
    (np.zeros((2, 3)), np.zeros((2, 3)), 0, "beta=0"),
    (np.zeros((2, 3)), np.zeros((2, 3)), float("nan"), "beta=nan"),
])  # fmt: skip
def test_what_does_not_fit_is_an_error(truth, predicted, beta, message):
    with pytest.raises(KerasVisionError, match=message):
        f_beta(truth, predicted, beta)


@pytest.mark.parametrize("empty", [0.0, 1.0])
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_metric_over_batches_equals_scikit_learn(from_logits, empty):
    logits = RNG.normal(0, 1, (300, 6)).astype("float32")
    metric = SampleFBeta(threshold=0.6, from_logits=from_logits, empty=empty)
    scores = logits if from_logits else 1 / (1 + np.exp(-logits))
    for part in (slice(0, 128), slice(128, 256), slice(256, 300)):
        metric.update_state(TRUTH[part], scores[part])
    expected = fbeta_score(TRUTH, logits >= np.log(0.6 / 0.4), beta=2, average="samples", zero_division=empty)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_the_metric_takes_the_most_probable_of_a_group_and_weights():
    logits = RNG.normal(-3, 1, (300, 6)).astype("float32")  # hardly any probability above a half
    predicted = logits > 0
    for group in GROUPS:
        best = np.array(group)[logits[:, list(group)].argmax(1)]
        predicted[:, list(group)] = False
        predicted[np.arange(300), best] = True
    weights = RNG.random(300)
    metric = SampleFBeta(groups=GROUPS, from_logits=True)
    metric.update_state(TRUTH, logits, sample_weight=weights)
    expected = fbeta_score(TRUTH, predicted, beta=2, average="samples", zero_division=1, sample_weight=weights)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert twin.get_config() == metric.get_config()
    assert twin.groups == GROUPS


def test_keras_own_metric_averages_otherwise():
    metric = keras.metrics.FBetaScore(average="weighted", beta=2.0, threshold=0.5)
    metric.update_state(TRUTH.astype("float32"), PREDICTED.astype("float32"))
    assert abs(float(metric.result()) - f_beta(TRUTH, PREDICTED)) > 0.01
    with pytest.raises(ValueError, match="average"):
        keras.metrics.FBetaScore(average="samples")
