"""Dense layers by singular value decomposition, and dense-sparse-dense training."""

import keras
import numpy as np
import pytest
from small_classifier import blobs, classifier

import keras_vision as kv
from keras_vision import KerasVisionError, compression
from keras_vision.model import VisionModel


def perceptron(rank=None):
    """Two dense layers, of 40 x 30 and 30 x 20; the first of the given rank."""
    keras.utils.set_random_seed(3)
    vector = keras.Input((40,))
    x = keras.layers.Dense(30, activation="relu", name="fc6")(vector)
    model = keras.Model(vector, keras.layers.Dense(20, name="fc7")(x), name="perceptron")
    rng = np.random.default_rng(0)
    model.get_layer("fc6").bias.assign(rng.normal(size=30))
    if rank is not None:
        model.get_layer("fc6").kernel.assign(rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 30)))
    return model


def test_a_layer_of_low_rank_computes_the_same_with_fewer_weights():
    model, x = perceptron(rank=5), np.random.default_rng(1).normal(size=(8, 40)).astype("float32")
    small = compression.factorize_dense(model, energy=1 - 1e-9, layers=["fc6"])
    assert small.get_layer("fc6_low").kernel.shape == (40, 5)
    assert small.get_layer("fc6").kernel.shape == (5, 30)
    assert small.count_params() == model.count_params() - 40 * 30 + 5 * 70
    assert np.asarray(small(x)) == pytest.approx(np.asarray(model(x)), rel=1e-4, abs=1e-3)
    assert model.get_layer("fc6").kernel.shape == (40, 30)


@pytest.mark.parametrize("rank", [3, 11])
def test_the_product_is_the_closest_of_its_rank(rank):
    model = perceptron()
    small = compression.factorize_dense(model, {"fc6": rank})
    product = np.asarray(small.get_layer("fc6_low").kernel) @ np.asarray(small.get_layer("fc6").kernel)
    kernel = np.asarray(model.get_layer("fc6").kernel)
    singular = np.linalg.svd(kernel, compute_uv=False)
    assert np.linalg.norm(kernel - product) == pytest.approx(np.linalg.norm(singular[rank:]), rel=1e-4)
    assert np.linalg.matrix_rank(product, tol=1e-4) == rank
    assert small.get_layer("fc7").kernel.shape == (30, 20)


def test_a_layer_that_would_grow_stays_and_so_do_card_and_labels():
    card = kv.model_card("SqueezeNet")
    plain = perceptron()
    model = VisionModel(plain.inputs, plain.outputs, card=card)
    model.labels = [str(number) for number in range(20)]
    small = compression.factorize_dense(model, 14)
    assert small.labels == model.labels
    assert small.card.parameters == small.count_params() == 40 * 14 + 14 * 30 + 30 + 30 * 20 + 20
    assert small.card.multiply_adds == 40 * 14 + 14 * 30 + 30 * 20
    assert [layer.name for layer in small.layers if layer.weights] == ["fc6_low", "fc6", "fc7"]  # 50 * 14 > 600
    again = VisionModel.from_config(small.get_config())
    assert again.count_params() == small.count_params()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(), "give one of them"),
        (dict(rank=3, energy=0.5), "give one of them"),
        (dict(rank=0), "whole number from 1"),
        (dict(rank=2.5), "whole number from 1"),
        (dict(energy=1.5), "above 0 and up to 1"),
        (dict(rank=3, layers=["fc9"]), "no dense layers"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        compression.factorize_dense(perceptron(), **arguments)


def test_three_phases_of_dense_sparse_dense():
    model, seen = classifier(), []

    def fit(phase, callbacks):
        model.optimizer.learning_rate = 0.001 if phase == "dense again" else 0.01
        done = model.fit(*blobs(), epochs=3, verbose=0, callbacks=callbacks)
        seen.append((phase, compression.sparsity_of(model)))
        return done.history["accuracy"][-1]

    found = compression.dense_sparse_dense(model, fit, sparsity=0.4)
    assert [phase for phase, _ in seen] == list(found) == ["dense", "sparse", "dense again"]
    assert [share for _, share in seen] == pytest.approx([0, 0.4, 0], abs=0.01)
    assert found["dense again"] >= found["dense"]
    assert list(compression.dense_sparse_dense(model, fit, trained=True)) == ["sparse", "dense again"]
