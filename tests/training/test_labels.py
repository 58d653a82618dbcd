"""Label smoothing against Keras' own for one-hot labels and against NumPy, and its two stages."""

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.training import SmoothedCrossentropy, TwoStageSmoothing, smooth_labels

rng = np.random.default_rng(0)
LABELS = rng.integers(0, 5, 12)
LOGITS = rng.normal(0, 2, (12, 5)).astype("float32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_labels_are_those_of_section_7(smoothing):
    expected = np.full((12, 5), smoothing / 5)
    for row, label in zip(expected, LABELS, strict=True):
        row[label] += 1 - smoothing
    for labels in (LABELS, LABELS[:, None], np.eye(5)[LABELS]):
        np.testing.assert_allclose(smooth_labels(labels, 5, smoothing), expected, atol=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_equals_keras_for_rows_and_takes_class_numbers(from_logits):
    predictions = LOGITS if from_logits else np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    peer = keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=0.2)
    ours = SmoothedCrossentropy(0.2, from_logits)
    weights = rng.random(12)
    expected = float(peer(np.eye(5)[LABELS], predictions, weights))
    for labels in (LABELS, np.eye(5)[LABELS]):
        assert float(ours(labels, predictions, weights)) == pytest.approx(expected, rel=1e-5)


def model(loss):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])
    network.compile(keras.optimizers.SGD(0.5), loss, jit_compile=False)
    return network


def test_the_second_stage_trains_without_smoothing():
    """Two epochs with smoothing and one without, as with two separate losses of Keras; the graph is the same one."""
    loss = SmoothedCrossentropy(0.3, from_logits=True)
    ours = model(loss)
    fit = dict(batch_size=12, shuffle=False, verbose=0)
    ours.fit(LOGITS, LABELS, epochs=3, callbacks=[TwoStageSmoothing(loss, 2)], **fit)
    rows = np.eye(5)[LABELS]
    theirs = model(keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3))
    theirs.fit(LOGITS, rows, epochs=2, **fit)
    smoothed_on = theirs.get_weights()[0]
    theirs.compile(keras.optimizers.SGD(0.5), keras.losses.CategoricalCrossentropy(from_logits=True))
    theirs.fit(LOGITS, rows, **fit)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], atol=1e-6)
    assert np.abs(ours.get_weights()[0] - smoothed_on).max() > 1e-3


def test_a_run_that_begins_anew_smooths_again():
    loss = SmoothedCrossentropy(0.3)
    callback = TwoStageSmoothing(loss, 2)
    seen = []
    for epoch in (1, 2, 0):
        callback.on_epoch_begin(epoch)
        seen.append(float(loss.smoothing))
    assert seen == [pytest.approx(0.3), 0, pytest.approx(0.3)]


def test_a_file_keeps_the_loss(tmp_path):
    network = model(SmoothedCrossentropy(0.25, from_logits=True))
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == network.loss.get_config()
    expected = network.evaluate(LOGITS, LABELS, verbose=0)
    assert loaded.evaluate(LOGITS, LABELS, verbose=0) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_a_share_out_of_range_is_an_error(smoothing):
    with pytest.raises(KerasVisionError, match=f"smoothing={smoothing}"):
        SmoothedCrossentropy(smoothing)
