"""Copies with synchronised batch norm: the same network on one device. Several devices: test_strategies.py."""

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.training import synchronized

X = np.random.default_rng(0).normal(0, 1, (4, 8, 8, 3)).astype("float32")


def batch_norms(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from batch_norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def nested():
    inner = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.BatchNormalization(), keras.layers.ReLU()])
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization(trainable=False)(keras.layers.Conv2D(4, 3, padding="same")(image))
    x = keras.layers.Dropout(0.5, seed=1)(inner(x))
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))


def registered():
    model = kv.create_model("ResNet20CIFAR", weights=None, n=1, classes=3, input_shape=(8, 8, 3))
    model.labels = ("a", "b", "c")
    return model


@pytest.mark.parametrize("build", [nested, registered])
def test_the_copy_computes_the_same_and_is_synchronised(build, randomize):
    model = randomize(build())
    model.compile("sgd", "mse")
    copy = synchronized(model)
    norms = list(batch_norms(copy))
    assert len(norms) == len(list(batch_norms(model))) > 1
    assert all(norm.synchronized for norm in norms)
    assert not any(norm.synchronized for norm in batch_norms(model))
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [w.path for w in copy.trainable_weights] == [w.path for w in model.trainable_weights]
    for training in (False, True):  # in training both draw the same masks, and move their statistics alike
        np.testing.assert_allclose(copy(X, training=training), model(X, training=training), atol=1e-5)
    for one, other in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_copy_has_weights_of_its_own_and_keeps_card_and_labels():
    model = registered()
    copy = synchronized(model)
    assert (copy.labels, copy.card, type(copy)) == (model.labels, model.card, type(model))
    before = model(X)
    copy.set_weights([w + 1 for w in copy.get_weights()])
    np.testing.assert_array_equal(model(X), before)


def test_a_network_of_its_own_class_is_an_error():
    class Own(keras.Model):
        pass

    with pytest.raises(KerasVisionError, match="Own: give a functional model"):
        synchronized(Own())
