"""Squeeze-and-excitation against NumPy, alone and at each of its places in a residual block."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import excitation, recalibrated_residual, squeeze_excite

SHAPE = (5, 4, 12)
VALUES = np.random.default_rng(0).normal(0, 1, (3, *SHAPE)).astype("float32")


def gate(x, model, name):
    """Equations 2 and 3."""
    (w1, b1), (w2, b2) = (model.get_layer(f"{name}_{part}").get_weights() for part in ("fc1", "fc2"))
    z = np.maximum(x.mean(axis=(1, 2)) @ w1 + b1, 0)
    return (1 / (1 + np.exp(-(z @ w2 + b2))))[:, None, None]


def built(make):
    image = keras.Input(SHAPE)
    return keras.Model(image, make(image))


@pytest.mark.parametrize("reduction", [1, 4, 5, 12])
def test_equals_numpy(reduction, randomize):
    model = randomize(built(lambda x: squeeze_excite(x, reduction, name="se")))
    assert model.get_layer("se_fc1").units == 12 // reduction
    np.testing.assert_allclose(model(VALUES), VALUES * gate(VALUES, model, "se"), rtol=1e-5, atol=1e-6)


def test_the_weights_alone_are_between_0_and_1(randomize):
    model = randomize(built(lambda x: excitation(x, 4, name="se")))
    assert model.output_shape == (None, 1, 1, 12)
    np.testing.assert_allclose(model(VALUES), gate(VALUES, model, "se"), rtol=1e-5)


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("place", ["standard", "pre", "post", "identity"])
def test_each_placement_equals_numpy(place, projected, randomize):
    """Figure 5, with 1x1 convolutions for the branch and for the shortcut."""
    outputs = 6 if projected else 12
    branch = keras.layers.Conv2D(outputs, 1, name="branch")
    shortcut = keras.layers.Conv2D(outputs, 1, name="shortcut") if projected else lambda x: x
    model = built(lambda x: recalibrated_residual(x, branch, shortcut, reduction=3, placement=place, name="block"))
    randomize(model)

    def se(x, where):
        return x * gate(x, model, "block_se") if place == where else x

    def convolution(x, name):
        kernel, bias = model.get_layer(name).get_weights()
        return x @ kernel[0, 0] + bias

    residual = se(convolution(se(VALUES, "pre"), "branch"), "standard")
    identity = se(convolution(VALUES, "shortcut") if projected else VALUES, "identity")
    expected = se(np.maximum(residual + identity, 0), "post")
    assert model.layers[-1].name == "block"
    np.testing.assert_allclose(model(VALUES), expected, rtol=1e-4, atol=1e-5)


def test_gradient_by_finite_differences(randomize):
    model = randomize(built(lambda x: squeeze_excite(x, 3, name="se")))
    weights = np.random.default_rng(1).normal(0, 1, VALUES[:1].shape)

    def loss(x):
        return (x * gate(x, model, "se") * weights).sum()

    x = tf.constant(VALUES[:1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(model(x) * weights.astype("float32"))
    actual = tape.gradient(y, x).numpy()
    for cell in ((0, 0, 0, 0), (0, 2, 3, 7), (0, 4, 1, 11)):
        step = np.zeros(VALUES[:1].shape)
        step[cell] = 1e-4
        difference = (loss(VALUES[:1] + step) - loss(VALUES[:1] - step)) / 2e-4
        assert actual[cell] == pytest.approx(difference, abs=1e-3)


def test_any_image_size_and_float16():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        image = keras.Input((None, None, 8))
        model = keras.Model(image, squeeze_excite(image, 2, name="se"))
    finally:
        keras.config.set_dtype_policy("float32")
    y = model(np.full((1, 9, 3, 8), 2, "float32"))
    assert (y.shape, y.dtype) == ((1, 9, 3, 8), "float16")


def test_leaves_the_geometry_alone():
    """A gate has no place in the image: strides, fields and smallest input are those of the net without it."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, name="conv")(image)
    model = keras.Model(image, squeeze_excite(x, name="se", reduction=2))
    found = {layer.name: axes[0] for layer, axes in graph.feature_maps(model)}
    assert found["se"] == found["conv"]
    assert "se_gate" not in found
    assert graph.minimum_size(model) == (3, 3)


def test_keras_file(randomize, tmp_path):
    model = randomize(built(lambda x: squeeze_excite(x, 4, name="se")))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(VALUES), model(VALUES))


@pytest.mark.parametrize("reduction", [0, -1, 13, 2.0, None])
def test_bad_reduction(reduction):
    with pytest.raises(KerasVisionError, match=r"reduction=.* at se, which has 12 channels; give a whole number"):
        squeeze_excite(keras.Input(SHAPE), reduction, name="se")


def test_bad_placement():
    with pytest.raises(KerasVisionError, match="placement='both'; accepted: 'standard', 'pre', 'post', 'identity'"):
        recalibrated_residual(keras.Input(SHAPE), abs, abs, placement="both", name="block")
