"""Shake-Shake, ShakeDrop and stochastic depth: the rules on their own draws, forward and backward, and their means."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import ShakeDrop, ShakeShake, StochasticDepth

rng = np.random.default_rng(0)
FIRST, SECOND = (rng.normal(0, 1, (5, 4, 3, 2)).astype("float32") for _ in range(2))
EACH = pytest.mark.parametrize("make", [ShakeShake, ShakeDrop, StochasticDepth])


def uniform(generator, shape, low=0.0, high=1.0):
    return np.asarray(keras.random.uniform(shape, low, high, seed=generator))


def trained(layer, inputs, seen):
    """Output in training, and gradients of its sum weighed by `seen`."""
    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = layer(tensors if len(tensors) > 1 else tensors[0], training=True)
        value = tf.reduce_sum(y * seen)
    return np.asarray(y), [np.asarray(g) for g in tape.gradient(value, tensors)]


def inputs_of(make):
    return FIRST if make is ShakeDrop else [FIRST, SECOND]


def test_shake_shake_mixes_by_one_share_and_sends_the_gradient_back_by_another():
    draws = keras.random.SeedGenerator(4)
    a, b = uniform(draws, (5, 1, 1, 1)), uniform(draws, (5, 1, 1, 1))
    y, gradients = trained(ShakeShake(seed=4), [FIRST, SECOND], SECOND)
    np.testing.assert_allclose(y, a * FIRST + (1 - a) * SECOND, atol=1e-6)
    np.testing.assert_allclose(gradients[0], b * SECOND, atol=1e-6)
    np.testing.assert_allclose(gradients[1], (1 - b) * SECOND, atol=1e-6)
    assert np.abs(a - b).min() > 1e-3


def test_shake_drop_scales_by_one_factor_and_sends_the_gradient_back_by_another():
    layer, draws = ShakeDrop(0.5, seed=6), keras.random.SeedGenerator(6)
    seen = []
    for _ in range(12):
        bernoulli = float(uniform(draws, ()) < 0.5)
        alpha, beta = uniform(draws, (5, 1, 1, 1), -1, 1), uniform(draws, (5, 1, 1, 1))
        y, (gradient,) = trained(layer, [FIRST], SECOND)
        np.testing.assert_allclose(y, (bernoulli + alpha - bernoulli * alpha) * FIRST, atol=1e-6)
        np.testing.assert_allclose(gradient, (bernoulli + beta - bernoulli * beta) * SECOND, atol=1e-6)
        seen.append(bernoulli)
    assert 0 < sum(seen) < 12


def test_stochastic_depth_keeps_the_branch_of_a_whole_batch_or_drops_it():
    layer, draws = StochasticDepth(0.6, seed=8), keras.random.SeedGenerator(8)
    seen = []
    for _ in range(12):
        survives = float(uniform(draws, ()) < 0.6)
        y, gradients = trained(layer, [FIRST, SECOND], SECOND)
        np.testing.assert_allclose(y, FIRST + survives * SECOND)
        np.testing.assert_allclose(gradients, [SECOND, survives * SECOND])
        seen.append(survives)
    assert 0 < sum(seen) < 12


@pytest.mark.parametrize("make", [
    lambda: ShakeShake(seed=0),
    lambda: ShakeDrop(0.3, seed=0),
    lambda: ShakeDrop(0.7, alpha=(0.0, 0.8), seed=0),
    lambda: StochasticDepth(0.7, seed=0),
])  # fmt: skip
def test_inference_is_the_mean_of_training(make):
    layer = make()
    inputs = inputs_of(type(layer))
    step = tf.function(lambda: layer(inputs, training=True))
    mean = np.mean([np.asarray(step()) for _ in range(2000)], axis=0)
    np.testing.assert_allclose(layer(inputs, training=False), mean, atol=0.08)
    np.testing.assert_array_equal(layer(inputs), layer(inputs, training=False))


def test_a_graph_draws_anew_and_two_layers_of_one_seed_alike():
    one, two = ShakeShake(seed=1), ShakeShake(seed=1)
    step = tf.function(lambda: one([FIRST, SECOND], training=True))
    first, second = np.asarray(step()), np.asarray(step())
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(two([FIRST, SECOND], training=True), first, atol=1e-6)


@EACH
def test_float16_keeps_its_type_and_open_sizes_stay_open(make):
    layer = make(seed=0, dtype="float16")
    half = tf.nest.map_structure(lambda x: x.astype("float16"), inputs_of(make))
    assert all(np.asarray(layer(half, training=t)).dtype == np.float16 for t in (True, False))
    open_size = keras.Input((None, None, 2))
    inputs = open_size if make is ShakeDrop else [open_size, open_size]
    assert keras.Model(open_size, make()(inputs)).output_shape == (None, None, None, 2)


@EACH
def test_survives_a_keras_file(make, tmp_path):
    one, two = keras.Input((4, 3, 2)), keras.Input((4, 3, 2))
    settings = {ShakeShake: {}, ShakeDrop: dict(survival_probability=0.4, alpha=(-0.5, 0.5), beta=(0.1, 0.9))}
    settings = settings.get(make, dict(survival_probability=0.4)) | dict(seed=3, name="shaken")
    inputs = [one] if make is ShakeDrop else [one, two]
    model = keras.Model(inputs, make(**settings)(inputs[0] if make is ShakeDrop else inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("shaken").get_config() == model.get_layer("shaken").get_config()
    arrays = [FIRST, SECOND][: len(inputs)]
    np.testing.assert_array_equal(loaded(arrays, training=True), model(arrays, training=True))


@pytest.mark.parametrize("make", [ShakeDrop, StochasticDepth])
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_out_of_range_is_an_error(make, p):
    with pytest.raises(KerasVisionError, match=f"survival_probability={p}"):
        make(p)


@pytest.mark.parametrize("make", [ShakeShake, StochasticDepth])
def test_anything_but_two_inputs_is_an_error(make):
    for inputs in (FIRST, [FIRST], [FIRST] * 3):
        with pytest.raises(KerasVisionError, match="two inputs of one shape"):
            make()(inputs)
