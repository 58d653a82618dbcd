"""DropBlock against the paper's Algorithm 1 on its own draws, its share of zeros, and its inference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import DropBlock

ONES = np.ones((4, 12, 10, 8), "float32")


def squares(corners, side, shape):
    """A mask `(n, h, w, c)` with zeros in a square below and right of each corner."""
    mask = np.ones(shape)
    for n, i, j, c in np.argwhere(corners):
        mask[n, i : i + side, j : j + side, c] = 0
    return mask


@pytest.mark.parametrize(("side", "keep_prob"), [(3, 0.8), (4, 0.6), (1, 0.5), (50, 0.7)])
def test_equals_the_algorithm_on_the_same_draws(side, keep_prob):
    layer = DropBlock(keep_prob, side, seed=3)
    y = np.asarray(layer(ONES, training=True))
    side = min(side, 10)  # of a smaller map, its shorter side
    places = (4, 12 - side + 1, 10 - side + 1, 8)
    draws = keras.random.uniform(places, seed=keras.random.SeedGenerator(3))
    gamma = (1 - keep_prob) / side**2 * (12 * 10) / (places[1] * places[2])
    mask = squares(np.asarray(draws) < gamma, side, ONES.shape)
    assert 0 < mask.mean() < 1
    np.testing.assert_allclose(y, mask * mask.size / mask.sum(), rtol=1e-5)


def test_zeros_are_about_the_share_asked_for_and_the_mean_stays():
    x = np.ones((64, 24, 24, 16), "float32")
    y = np.asarray(DropBlock(0.9, 5, seed=0)(x, training=True))
    assert 0.08 < (y == 0).mean() < 0.1  # less than 0.1, as squares overlap
    assert y.mean() == pytest.approx(1, abs=1e-4)


def test_keeping_all_and_inference_change_nothing():
    x = np.random.default_rng(0).normal(0, 1, (2, 9, 9, 3)).astype("float32")
    np.testing.assert_array_equal(DropBlock(0.5)(x, training=False), x)
    np.testing.assert_array_equal(DropBlock(0.5)(x), x)
    np.testing.assert_allclose(DropBlock(1.0)(x, training=True), x, rtol=1e-6)


def test_a_schedule_assigns_the_share_also_in_a_graph():
    layer = DropBlock(1.0, 3, seed=1)
    step = tf.function(lambda x: layer(x, training=True))
    assert (np.asarray(step(ONES)) == 1).all()
    layer.keep_prob.assign(0.5)
    assert 0.3 < (np.asarray(step(ONES)) == 0).mean() < 0.5


def test_where_everything_goes_there_are_zeros_and_no_nan():
    y = np.asarray(DropBlock(1e-6, 4, seed=0)(np.ones((1, 4, 4, 1), "float32"), training=True))
    assert (y == 0).all()


def test_the_gradient_is_the_mask():
    layer, x = DropBlock(0.7, 3, seed=5), tf.constant(ONES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), y, rtol=1e-6)  # of ones


def test_float16_keeps_its_type_and_a_large_map_its_scale():
    y = np.asarray(DropBlock(0.9, 3, seed=0, dtype="float16")(np.ones((2, 96, 96, 8), "float16"), training=True))
    assert y.dtype == np.float16
    assert y.max() == pytest.approx(1 / (y > 0).mean(), rel=1e-3)


def test_survives_a_keras_file(tmp_path):
    image = keras.Input((12, 10, 8))
    model = keras.Model(image, DropBlock(0.8, 3, seed=2, name="drop")(image))
    model.get_layer("drop").keep_prob.assign(0.6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("drop")
    assert (layer.start, layer.block_size, layer.seed, float(layer.keep_prob)) == (0.8, 3, 2, pytest.approx(0.6))
    np.testing.assert_array_equal(loaded(ONES, training=True), model(ONES, training=True))


@pytest.mark.parametrize("wrong", [dict(keep_prob=0), dict(keep_prob=1.1), dict(block_size=0), dict(block_size=2.5)])
def test_wrong_settings_are_errors(wrong):
    with pytest.raises(KerasVisionError, match=next(iter(wrong))):
        DropBlock(**wrong)


def test_an_open_size_is_an_error():
    with pytest.raises(KerasVisionError, match="known height and width"):
        DropBlock()(keras.Input((None, 9, 3)))
