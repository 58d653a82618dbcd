"""Branches that stochastic depth drops: not computed, with the outcome of the rule written out by hand."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_vision as kv
from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SkippedBranch, StochasticDepth, stochastic_residual, survival_probabilities
from keras_vision.weights.loading import load
from keras_vision.weights.writing import arrays_of

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (6, 8, 8, 4)).astype("float32")
SEEN = rng.normal(0, 1, (6, 4, 4, 6)).astype("float32")  # the gradient that comes back
PARTS = ("way_conv", "way_bn", "one_conv", "one_bn")


def branch(x):
    x = layers.Conv2D(6, 3, 2, padding="same", name="one_conv")(x)
    return layers.BatchNormalization(momentum=0.5, name="one_bn")(x)


def shortcut(x):
    return layers.BatchNormalization(momentum=0.5, name="way_bn")(layers.Conv2D(6, 2, 2, name="way_conv")(x))


def block(p=0.5, mode="batch", seed=5, make=branch):
    image = keras.Input((8, 8, 4))
    x = stochastic_residual(image, make, shortcut, survival_probability=p, mode=mode, seed=seed, name="block")
    return keras.Model(image, x)


def draws(seed, p, shapes, compiled=None):
    """The layer's draws; XLA makes other numbers of a seed."""
    generator = keras.random.SeedGenerator(seed)
    draw = tf.function(keras.random.uniform, **(compiled or {}))
    return [np.asarray(draw(shape, seed=generator)) < p for shape in shapes]


def parts_of(model):
    return [model.get_layer("block_add").get_layer(name) for name in PARTS]


def statistics(norm):
    return [np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)]


def trained(call, x, weights):
    """Output of a call, and the gradients of its sum weighed by SEEN, for the input and the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        value = tf.reduce_sum(y * SEEN)
    return y, tape.gradient(value, [x, *weights], unconnected_gradients="zero")


def normalised(x, norm):
    mean, variance = tf.nn.moments(x, (0, 1, 2))
    return (x - mean) / tf.sqrt(variance + norm.epsilon) * norm.gamma.value + norm.beta.value


@pytest.mark.parametrize("compiled", [None, dict(), dict(jit_compile=True)], ids=["eager", "graph", "XLA"])
def test_training_is_the_rule_by_hand_with_its_gradients_and_statistics(compiled, randomize):
    model = randomize(block())
    way_conv, way_bn, one_conv, one_bn = parts = parts_of(model)
    weights = [w.value for layer in parts for w in layer.trainable_weights]

    def step(x):
        return trained(partial(model, training=True), x, weights)

    step = step if compiled is None else tf.function(step, **compiled)
    seen = draws(5, 0.5, [()] * 8, compiled)
    assert 0 < sum(seen) < 8
    for survives in seen:
        before = [statistics(norm) for norm in (way_bn, one_bn)]
        y, gradients = step(tf.constant(X))

        def by_hand(x, survives=float(survives)):
            return tf.nn.relu(normalised(way_conv(x), way_bn) + survives * normalised(one_conv(x), one_bn))

        expected, expected_gradients = trained(by_hand, tf.constant(X), weights)
        np.testing.assert_allclose(y, expected, atol=1e-5)
        for one, other in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
        raw = [np.asarray(conv(X)) for conv in (way_conv, one_conv)]
        for old, norm, cells, taken in zip(before, (way_bn, one_bn), raw, (True, survives), strict=True):
            batch = cells.mean(axis=(0, 1, 2)), cells.var(axis=(0, 1, 2))
            for was, new, own in zip(old, statistics(norm), batch, strict=True):
                np.testing.assert_allclose(new, (was + own) / 2 if taken else was, rtol=1e-4, atol=1e-6)


def test_a_dropped_branch_is_computed_neither_forward_nor_backward():
    calls = []

    @tf.custom_gradient
    def counting(x):
        def told(x, way):
            calls.append(way)
            return x

        def passed(x, way):
            y = tf.numpy_function(told, [x, way], x.dtype)
            y.set_shape(x.shape)
            return y

        return passed(x, "forward"), lambda g: passed(g, "backward")

    def counted(x):
        return layers.Lambda(counting, output_shape=lambda s: s)(branch(x))

    model = block(make=counted)
    weights = [w.value for w in model.trainable_weights]
    step = tf.function(lambda x: trained(partial(model, training=True), x, weights))
    for survives in draws(5, 0.5, [()] * 8):
        calls.clear()
        step(tf.constant(X))
        assert calls == ([b"forward", b"backward"] if survives else [])


def test_by_sample_each_image_has_its_own_draw(randomize):
    model = randomize(block(0.6, "sample"))
    way_conv, way_bn, one_conv, one_bn = parts_of(model)
    survive = draws(5, 0.6, [(6, 1, 1, 1)] * 3)
    assert all(0 < kept.sum() < 6 for kept in survive)
    for kept in survive:
        expected = tf.nn.relu(normalised(way_conv(X), way_bn) + kept * normalised(one_conv(X), one_bn))
        np.testing.assert_allclose(model(X, training=True), expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["batch", "sample"])
def test_inference_takes_the_branch_by_its_probability_in_every_copy(mode, randomize, tmp_path):
    model = randomize(block(0.3, mode))
    way_conv, way_bn, one_conv, one_bn = parts_of(model)
    expected = tf.nn.relu(way_bn(way_conv(X)) + 0.3 * one_bn(one_conv(X)))
    model.save(tmp_path / "block.keras")
    copies = [keras.saving.load_model(tmp_path / "block.keras"), graph.cloned(model), kv.training.synchronized(model)]
    copies.append(keras.models.clone_model(model, clone_function=lambda x: type(x).from_config(x.get_config()),
                                           recursive=True))  # fmt: skip
    for copy in (model, *copies):
        copy.set_weights(model.get_weights())
        assert type(copy.get_layer("block_add")) is SkippedBranch
        assert copy.get_layer("block_add").get_layer("block_depth").mode == mode
        np.testing.assert_allclose(copy(X), expected, atol=1e-5)


def test_synchronised_it_trains_to_the_same_numbers(randomize):
    model = randomize(block())
    copy = kv.training.synchronized(model)
    for _ in range(4):
        np.testing.assert_allclose(copy(X, training=True), model(X, training=True), atol=1e-5)
    for one, other in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_training_loop_moves_no_weight_of_a_dropped_branch():
    image = keras.Input((8, 8, 4))
    x = stochastic_residual(image, branch, shortcut, survival_probability=1e-6, name="block")
    model = keras.Model(image, layers.Dense(3, name="fc")(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {w.path: np.array(w) for w in model.weights}
    data = tf.data.Dataset.from_tensor_slices((X, np.arange(6) % 3)).batch(3)
    kv.training.train(model, data, epochs=2)
    moved = {w.path for w in model.weights if np.abs(np.asarray(w) - before[w.path]).max() > 0}
    assert not [path for path in moved if "one_" in path]
    assert {"way_conv/kernel", "fc/kernel"} <= {"/".join(path.split("/")[-2:]) for path in moved}


def test_the_graph_is_counted_as_that_of_a_plain_residual_block():
    image = keras.Input((8, 8, 4))
    plain = keras.Model(image, layers.add([shortcut(image), branch(image)]))
    model = block()
    assert graph.multiply_adds(model) == graph.multiply_adds(plain) > 0
    assert model.count_params() == plain.count_params()
    assert graph.minimum_size(model) == graph.minimum_size(plain)
    assert kv.taps(model)["block"].receptive_field == (3, 3)  # both ways begin at one pixel: "same" pads behind


def test_the_layers_are_loaded_by_their_own_names(randomize):
    arrays = arrays_of(randomize(block()))
    model = block()
    load(model, arrays)
    np.testing.assert_array_equal(parts_of(model)[2].kernel, arrays["one_conv/kernel"])


def test_survival_falls_linearly_or_is_uniform():
    linear = survival_probabilities(54)
    np.testing.assert_allclose([linear[0], linear[-1]], [1 - 0.5 / 54, 0.5])
    np.testing.assert_allclose(sum(linear), 40.25)  # (3 L - 1) / 4, by the paper
    np.testing.assert_allclose(np.diff(linear), -0.5 / 54)
    assert survival_probabilities(3, 0.8, "uniform") == [0.8] * 3


@pytest.mark.parametrize(("call", "message"), [
    (lambda: survival_probabilities(0), "blocks=0"),
    (lambda: survival_probabilities(2.5), "blocks=2.5"),
    (lambda: survival_probabilities(2, 0), "survival probability of 0;"),
    (lambda: survival_probabilities(2, float("nan")), "survival probability of nan"),
    (lambda: survival_probabilities(2, rule="cosine"), "rule='cosine'"),
    (lambda: block(0), "survival probability of 0;"),
    (lambda: block(1.1), "survival probability of 1.1"),
    (lambda: block("often"), "survival probability of 'often'"),
    (lambda: block(mode="row"), "mode='row'; accepted: 'batch', 'sample'"),
    (lambda: StochasticDepth(None), "survival_probability=None"),
    (lambda: StochasticDepth(-0.1), "survival_probability=-0.1"),
    (lambda: StochasticDepth(1.1), "survival_probability=1.1"),
    (lambda: StochasticDepth(float("nan")), "survival_probability=nan"),
])  # fmt: skip
def test_bad_input_is_an_error(call, message):
    with pytest.raises(KerasVisionError, match=message):
        call()


def test_a_graph_without_stochastic_depth_at_its_end_is_an_error():
    image = keras.Input((4, 4, 1))
    with pytest.raises(KerasVisionError, match="ends in relu"):
        SkippedBranch(image, layers.ReLU(name="relu")(image))


def test_each_replica_drops_as_it_has_drawn():
    """Where one replica drops the branch, the gradient is the other's alone; dropped by both, no weight moves."""
    program = Path(__file__).with_name("skipped_branch_program.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    np.testing.assert_allclose(found["differences"], 0, atol=1e-6)
