"""Local response normalisation against a loop, TensorFlow's op and finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import LocalResponseNormalization, local_response_norm

VALUES = np.random.default_rng(0).normal(0, 20, (2, 3, 4, 11)).astype("float32")


def loop(x, size, alpha, beta, k):
    """Equation of section 3.3, one channel at a time."""
    y = np.empty_like(x, "float64")
    for c in range(x.shape[-1]):
        window = x[..., max(c - size // 2, 0) : c + size // 2 + 1].astype("float64")
        y[..., c] = x[..., c] / (k + alpha * (window**2).sum(-1)) ** beta
    return y


@pytest.mark.parametrize("size", [1, 3, 5, 13])
@pytest.mark.parametrize(("scaling", "share"), [("paper", lambda size: 1), ("caffe", lambda size: 1 / size)])
def test_equals_a_loop(size, scaling, share):
    layer = LocalResponseNormalization(size, alpha=1e-2, beta=0.6, k=1.5, scaling=scaling)
    expected = loop(VALUES, size, 1e-2 * share(size), 0.6, 1.5)
    np.testing.assert_allclose(layer(VALUES), expected, rtol=1e-5)


def test_defaults_are_the_papers_and_equal_tensorflows_op():
    expected = tf.nn.local_response_normalization(VALUES, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(LocalResponseNormalization()(VALUES), expected, rtol=1e-5)


def test_gradient_by_finite_differences():
    layer = LocalResponseNormalization(3, alpha=0.1, beta=0.75, k=2.0)
    x = tf.constant(VALUES[:1, :1, :1] / 20)
    weights = np.random.default_rng(1).normal(0, 1, x.shape).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x) * weights)
    actual = tape.gradient(y, x).numpy()[0, 0, 0]
    for c in range(x.shape[-1]):
        step = np.zeros(x.shape)
        step[..., c] = 1e-4
        sides = [(loop(x.numpy() + s * step, 3, 0.1, 0.75, 2.0) * weights).sum() for s in (1, -1)]
        assert actual[c] == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-4)


def test_float16_does_not_overflow():
    layer = LocalResponseNormalization(dtype="mixed_float16")
    large = np.full((1, 1, 1, 8), 300, "float16")  # its square is beyond float16
    y = layer(large)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y, loop(large.astype("float32"), 5, 1e-4, 0.75, 2.0), rtol=1e-2)


def test_config_round_trip():
    layer = LocalResponseNormalization(7, alpha=0.5, beta=0.25, k=1.0, scaling="caffe")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(again(VALUES), layer(VALUES))


@pytest.mark.parametrize(("arguments", "says"), [
    (dict(size=4), "size=4; give an odd number"),
    (dict(size=0), "odd number"),
    (dict(scaling="torch"), "'paper', 'caffe'"),
])  # fmt: skip
def test_bad_arguments(arguments, says):
    with pytest.raises(KerasVisionError, match=says):
        LocalResponseNormalization(**arguments)


def test_kinds_are_those_of_the_paper_and_of_caffe():
    image = keras.Input((3, 4, 11))
    for kind, k, scaling in (("paper", 2.0, "paper"), ("caffe", 1.0, "caffe")):
        layer = local_response_norm(image, kind, name="norm")._keras_history.operation
        assert (layer.size, layer.alpha, layer.beta, layer.k, layer.scaling) == (5, 1e-4, 0.75, k, scaling)
    assert local_response_norm(image, None, name="norm") is image
    with pytest.raises(KerasVisionError, match="lrn='other'; accepted: None, 'paper', 'caffe'"):
        local_response_norm(image, "other", name="norm")
