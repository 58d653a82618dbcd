"""DREAL with the package's networks, in files, on several devices, and what it refuses."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from dreal_program import EPOCHS, batches, compiled
from sklearn.datasets import load_digits
from test_dreal import PAIRS, network

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.layers import conv_bn_relu, recalibrated_residual
from keras_vision.training import DREAL, attention_modules, train

PROGRAM = Path(__file__).with_name("dreal_program.py")


def residual_network(placement="standard"):
    """conv1 and two blocks with squeeze-and-excitation, for digits."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    conv = functools.partial(conv_bn_relu, epsilon=1e-3, padding="both")
    x = conv(image, 8, 3, name="conv1")
    for number in (1, 2):
        x = recalibrated_residual(
            x,
            lambda y, number=number: conv(y, 8, 3, name=f"block{number}_1", relu=False),
            lambda y: y,
            reduction=4,
            placement=placement,
            name=f"block{number}",
        )
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10, "softmax", name="fc")(x))


def digits():
    data = load_digits()
    return (data.images[:600, :, :, None] / 8 - 1).astype("float32"), data.target[:600]


# ---------------------------------------------------------------------------------------- attention modules


@pytest.mark.parametrize(
    ("placement", "features"),
    [
        ("standard", ("block1_1_bn", "block2_1_bn")),
        ("pre", ("conv1", "block1")),
        ("post", ("block1_block", "block2_block")),
        ("identity", ("conv1", "block1")),
    ],
)
def test_every_placement_is_found(placement, features):
    found = attention_modules(residual_network(placement))
    assert [gate for _, gate in found] == ["block1_se_gate", "block2_se_gate"]
    assert tuple(name for name, _ in found) == features


@pytest.mark.parametrize(("name", "count"), [("SEResNet50", 3 + 4 + 6 + 3), ("SEInception", 10), ("ResNet50", 0)])
def test_the_families_modules_are_found(name, count):
    """Tables 1 and 2: one in each block or module."""
    net = kv.create_model(name, weights=None, classes=2)
    found = attention_modules(net)
    assert len(found) == count
    for features, gate in found:
        assert net.get_layer(gate).output.shape[-1] == net.get_layer(features).output.shape[-1]


# -------------------------------------------------------------------------------------------- in training


def test_evaluation_prediction_and_files_are_the_networks_own(tmp_path):
    x, y = digits()
    net = residual_network()
    parameters, outputs = net.count_params(), net.predict(x, verbose=0)
    model = DREAL(net, units=8)
    assert (net.count_params(), model.network.count_params()) == (parameters, parameters)
    np.testing.assert_array_equal(model.predict(x, verbose=0), outputs)
    for each in (net, model):
        each.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=100, verbose=0)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(net.evaluate(x, y, verbose=0))
    np.testing.assert_array_equal(model.predict(x, verbose=0), net.predict(x, verbose=0))
    assert [v.path for v in model.trainable_variables] == [v.path for v in net.trainable_variables]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == parameters
    np.testing.assert_array_equal(loaded(x), net(x))


def test_batch_norm_sees_each_batch_once():
    """The passes for rewards leave its statistics alone."""
    x, y = digits()
    alone, with_critic = residual_network(), residual_network()
    for model in (alone, DREAL(with_critic, weight=0.0, units=8)):
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
        model.fit(x, y, batch_size=100, shuffle=False, verbose=0)
    for one, other in zip(alone.variables, with_critic.variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_learns_digits(policy):
    x, y = digits()
    keras.config.set_dtype_policy(policy)
    try:
        model = DREAL(residual_network(), units=8)
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        errors = []
        record = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: errors.append(float(model.critic_loss)))
        history = model.fit(x, y, batch_size=50, epochs=7, verbose=0, callbacks=[record]).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert history["accuracy"][-1] > 0.75
    assert np.isfinite(errors).all()
    assert {v.dtype for v in model.critic.trainable_variables} == {"float32"}


def test_an_interrupted_training_goes_on_with_the_critic_and_its_optimizer(tmp_path):
    whole, first, second = (compiled(tf.distribute.get_strategy()) for _ in range(3))
    expected = train(whole, batches(), epochs=EPOCHS)
    train(first, batches(), epochs=1, snapshots=tmp_path / "s.npz")
    assert train(second, batches(), epochs=EPOCHS, snapshots=tmp_path / "s.npz") == expected
    names = {v.path for v in whole.critic_optimizer.variables}
    assert names <= {v.path for v in whole.variables}
    for one, other in zip(whole.variables, second.variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_two_replicas_give_what_one_device_gives(tmp_path):
    results = []
    for name in ("none", "mirrored"):
        out = tmp_path / f"{name}.json"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, PROGRAM, name, out], env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(json.loads(out.read_text()))
    alone, mirrored = results
    for expected, logs in zip(alone["history"], mirrored["history"], strict=True):
        assert logs == pytest.approx(expected, abs=1e-4)
    for one, other in zip(alone["weights"], mirrored["weights"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_rewards_wait_for_the_pass_before_them():
    """Else a step may update the weights before that pass has read them, on a busy machine."""
    model = compiled(tf.distribute.get_strategy())

    @tf.function(jit_compile=False)
    def rewards(x, y):
        given = model._seen(x)[0]
        return tf.identity(given, name="given"), model._rewards(x, y, given, tf.range(len(PAIRS)))

    graph = rewards.get_concrete_function(*next(iter(batches()))).graph
    (loop,) = (operation for operation in graph.get_operations() if operation.type in ("While", "StatelessWhile"))
    left, before = [loop], set()
    while left:
        operation = left.pop()
        left += {*operation.control_inputs, *(x.op for x in operation.inputs)} - before
        before |= set(left)
    given = graph.get_operation_by_name("given").inputs[0].op
    assert given in before


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(attentions=None, network="plain"), r"plain has no squeeze-and-excitation; give attentions="),
        (dict(attentions=()), "has no squeeze-and-excitation"),
        (dict(attentions=(("one", "three"),)), r"attention module \('one', 'three'\): give the names of two layers"),
        (dict(attentions=(("one", "two"),)), r"a map of shape \(None, 3, 3, 5\) does not weigh features of shape"),
        (dict(attentions=(("one", "channel_fc2"),)), r"a map of shape \(None, 4\) does not weigh"),
        (dict(attentions=(("one", "channel_gate"),) * 2), r"channel_gate twice"),
        (dict(weight=-1), "weight=-1"),
        (dict(judged=3), "judged=3; .* from 1 to 2 modules"),
        (dict(network="features"), r"give a classifier: \(n, classes\)"),
        (dict(network="own"), "give a functional network"),
    ],
)
def test_wrong_settings_are_errors(settings, message):
    class Own(keras.Model):
        pass

    net = network()
    plain = keras.Model(net.input, keras.layers.Dense(2)(keras.layers.Flatten()(net.input)), name="plain")
    networks = dict(plain=plain, features=keras.Model(net.input, net.get_layer("two").output), own=Own())
    settings = dict(settings)
    given = networks.get(settings.pop("network", ""), net)
    with pytest.raises(KerasVisionError, match=message):
        DREAL(given, **(dict(attentions=PAIRS) | settings))
