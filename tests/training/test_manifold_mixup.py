"""Manifold MixUp: what each place makes of a batch and its loss, computed by hand from the drawn numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.training import ManifoldMixUp

rng = np.random.default_rng(0)
X, Y = rng.normal(0, 1, (6, 4)).astype("float32"), rng.integers(0, 3, 6)


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((4,), name="given")
    x = keras.layers.Dense(5, "tanh", name="one")(image)
    y = keras.layers.Dense(5, "tanh", name="two")(x)
    x = keras.layers.Add(name="sum")([x, y])  # a branch around "two"
    return keras.Model(image, keras.layers.Dense(3, "softmax", name="out")(x))


def draws(seed, places, n, alpha):
    """Place, share and order, as the model draws them."""
    generator = keras.random.SeedGenerator(seed)
    place = int(keras.random.randint((), 0, places, seed=generator))
    share = float(keras.random.beta((), alpha, alpha, seed=generator))
    return place, share, np.asarray(keras.random.shuffle(np.arange(n), seed=generator))


def by_hand(net, place, share, order):
    """Outputs of the network for a batch mixed at one place, in NumPy."""

    def mixed(x, name):
        return share * x + (1 - share) * x[order] if name == place else x

    def dense(x, name):
        kernel, bias = net.get_layer(name).get_weights()
        return x @ kernel + bias

    one = mixed(np.tanh(dense(mixed(X, "image"), "one")), "one")
    x = mixed(one + mixed(np.tanh(dense(one, "two")), "two"), "sum")
    e = np.exp(dense(x, "out"))
    return e / e.sum(axis=1, keepdims=True)


PLACES = ("image", "one", "two", "sum")


@pytest.mark.parametrize("eagerly", [False, True])
def test_each_draw_equals_the_computation_by_hand(eagerly):
    net, seen = network(), set()
    for seed in range(8):
        place, share, order = draws(seed, 4, 6, 0.7)
        model = ManifoldMixUp(net, PLACES, alpha=0.7, seed=seed)
        model.compile(
            keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", run_eagerly=eagerly, jit_compile=False
        )
        p = by_hand(net, PLACES[place], share, order)
        own, other = (-np.log(p[np.arange(6), labels]).mean() for labels in (Y, Y[order]))
        expected = share * own + (1 - share) * other
        assert float(model.train_on_batch(X, Y)) == pytest.approx(expected, rel=1e-4)
        seen.add(place)
    assert seen == {0, 1, 2, 3}


def test_mixed_labels_give_the_same_loss():
    """Cross-entropy is linear in the labels: mixing two losses is mixing the labels."""
    net = network()
    _, share, order = draws(5, 1, 6, 1.0)
    model = ManifoldMixUp(net, ("one",), alpha=1.0, seed=5)
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", jit_compile=False)
    rows = np.eye(3)[Y]
    p = by_hand(net, "one", share, order)
    expected = -np.sum((share * rows + (1 - share) * rows[order]) * np.log(p), axis=1).mean()
    assert float(model.train_on_batch(X, rows)) == pytest.approx(expected, rel=1e-4)


def test_every_step_of_fit_draws_anew():
    model = ManifoldMixUp(network(), PLACES, seed=0)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", jit_compile=False)
    losses = [model.fit(X, Y, batch_size=6, verbose=0).history["loss"][0] for _ in range(4)]
    assert len(set(losses)) == 4


def test_evaluation_prediction_and_files_are_the_networks_own(tmp_path):
    net = network()
    model = ManifoldMixUp(net, PLACES, seed=0)
    for each in (net, model):
        each.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(net.evaluate(X, Y, verbose=0))
    np.testing.assert_array_equal(model.predict(X, verbose=0), net.predict(X, verbose=0))
    assert [v.path for v in model.trainable_variables] == [v.path for v in net.trainable_variables]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in net.layers]
    np.testing.assert_array_equal(loaded(X), net(X))


def test_a_registered_network_learns_digits_and_moves_its_statistics():
    data = load_digits()
    x = np.repeat(data.images[..., None] / 8 - 1, 3, axis=-1)[:600].astype("float32")
    keras.utils.set_random_seed(0)
    net = kv.create_model("ResNet20CIFAR", weights=None, n=1, input_shape=(8, 8, 3))
    model = ManifoldMixUp(net, ("image", "conv1", "conv2_1"), seed=0)
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = np.asarray(net.get_layer("conv3_1_1_bn").moving_mean).copy()
    model.fit(x[:500], data.target[:500], epochs=8, batch_size=25, verbose=0)
    assert np.abs(np.asarray(net.get_layer("conv3_1_1_bn").moving_mean) - before).max() > 1e-2
    assert model.evaluate(x[500:], data.target[500:600], verbose=0)[1] > 0.8


@pytest.mark.parametrize("places", [(), ("conv1",), ("one", "three"), ("given",)])
def test_unknown_places_are_errors(places):
    with pytest.raises(KerasVisionError, match=r"give one or more of the layers: image, one, two, sum, out"):
        ManifoldMixUp(network(), places)


def test_trains_without_xla_which_cannot_draw_from_a_beta_distribution():
    """On a GPU Keras turns XLA on by itself; here it is asked for."""
    model = ManifoldMixUp(network(), PLACES, seed=0)
    with pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"):
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    assert np.isfinite(model.train_on_batch(X, Y))


def test_alpha_and_a_network_of_its_own_class_are_errors():
    with pytest.raises(KerasVisionError, match="alpha=0"):
        ManifoldMixUp(network(), ("one",), alpha=0)

    class Own(keras.Model):
        pass

    with pytest.raises(KerasVisionError, match="give a functional network"):
        ManifoldMixUp(Own(), ("one",))


def test_each_replica_mixes_as_it_has_drawn():
    """Replicas take turns within a step: one must not see what the other has drawn."""
    program = Path(__file__).with_name("manifold_mixup_program.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    for actual, expected in json.loads(done.stdout.splitlines()[-1]):
        assert actual == pytest.approx(expected, rel=1e-4)
