"""BN-Inception against a forward in NumPy after the public PyTorch network."""

import keras
import numpy as np
import pytest
from naive_bn_inception import FIGURE_5, BatchNormNet, forward, normalise
from naive_caffe import max_pool
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import BNInception, BNInceptionSeparable
from keras_vision.applications.bn_inception import pass_through
from keras_vision.errors import KerasVisionError, WeightsError

SIZE, CLASSES = 96, 7


class TorchNet(BatchNormNet):
    """Convolutions with bias, batch norm and ReLU, under the names of the public PyTorch file."""

    def weights(self, name, shape):
        kernel, bias = super().weights(name, shape)
        self.arrays |= {
            f"{name}.{key}": self.arrays.pop(f"{name}.blobs.{i}") for i, key in enumerate(["weight", "bias"])
        }
        return kernel, bias

    def batch_norm(self, x, name):
        values = self.seeded_norm(x.shape[1])
        keys = ("weight", "bias", "running_mean", "running_var")
        self.arrays |= {f"{name}.{key}": value for key, value in zip(keys, values, strict=True)}
        return normalise(x, *values)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 1, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def released(images, tmp_path_factory):
    """A file with the names of the public one, and the logits of the naive forward."""
    net, path = TorchNet(), tmp_path_factory.mktemp("bn_inception") / "released.safetensors"
    logits = forward(net, images.transpose(0, 3, 1, 2).astype("float64"), CLASSES)
    save_file(net.arrays, path)
    return path, logits


@pytest.mark.parametrize("use_bias", [False, True], ids=["biases_folded", "biases_kept"])
def test_equals_the_naive_forward(use_bias, released, images):
    path, expected = released
    shape = (SIZE, SIZE, 3)
    model = BNInception(weights=path, classifier_activation=None, use_bias=use_bias, input_shape=shape)
    assert np.ptp(expected) > 0.1
    assert np.abs(np.asarray(model(images)) - expected).max() <= 1e-5 * np.ptp(expected)


def test_the_separable_row_refuses_a_plain_conv1(released):
    with pytest.raises(WeightsError, match="conv1_conv"):
        BNInceptionSeparable(weights=released[0])


def test_widths_are_those_that_add_up():
    taps = kv.taps(BNInception(weights=None))
    shapes = {number: taps[f"inception_{number}"].shape for number in FIGURE_5}
    assert shapes == {
        "3a": (28, 28, 256), "3b": (28, 28, 320), "3c": (14, 14, 576), "4a": (14, 14, 576), "4b": (14, 14, 576),
        "4c": (14, 14, 608), "4d": (14, 14, 608), "4e": (7, 7, 1056), "5a": (7, 7, 1024), "5b": (7, 7, 1024),
    }  # fmt: skip


@pytest.mark.parametrize(("size", "cells"), [(97, 3), (139, 5), (224, 7), (299, 10)])
def test_maps_of_odd_size_fit_together(size, cells):
    """At 139 pixels 3c and 4e take 17 and 9 cells, of which a pooling without padding would leave one less."""
    model = BNInception(weights=None, include_top=False, input_shape=(size, size, 3))
    assert model.output_shape[1] == cells


@pytest.mark.parametrize("size", [6, 8, 14, 28])
def test_passing_through_pools_as_caffe_does_where_the_size_is_even(size):
    x = np.random.default_rng(size).uniform(0, 1, (1, size, size, 2)).astype("float32")
    actual = np.asarray(pass_through(keras.ops.convert_to_tensor(x), name="pool"))
    np.testing.assert_array_equal(actual, max_pool(x.transpose(0, 3, 1, 2), 3, 2).transpose(0, 2, 3, 1))


def test_separable_conv1_is_the_plain_one_of_the_product_kernel(randomize):
    """A depthwise and a pointwise convolution in a row are one convolution with the product of their kernels."""
    separable = randomize(BNInceptionSeparable(weights=None, include_top=False, input_shape=(64, 64, 3)))
    layer = separable.get_layer("conv1_conv")
    depthwise, pointwise = (np.asarray(w, "float64") for w in layer.get_weights())
    kernel = np.einsum("ijcm,cmo->ijco", depthwise, pointwise.reshape(3, 8, 64)).astype("float32")
    plain = BNInception(weights=None, include_top=False, input_shape=(64, 64, 3))
    plain.set_weights([kernel, *separable.get_weights()[2:]])
    x = np.random.default_rng(0).normal(0, 1, (1, 64, 64, 3)).astype("float32")
    expected = np.asarray(plain(x))
    assert np.abs(np.asarray(separable(x)) - expected).max() <= 1e-5 * np.ptp(expected)


def test_atrous_convolution_fits_together():
    model = BNInception(weights=None, include_top=False, output_stride=16, input_shape=(96, 96, 3))
    assert isinstance(model, keras.Model)
    assert model.output_shape == (None, 6, 6, 1024)


def test_too_small_an_image_is_an_error():
    with pytest.raises(KerasVisionError, match=r"too small for BNInception: at least \d+ x \d+"):
        BNInception(weights=None, input_shape=(4, 4, 3))


def test_litert_gives_the_same_outputs(randomize, tmp_path):
    model = randomize(BNInception(weights=None, classes=5, input_shape=(64, 64, 3)))
    checked = kv.export.to_litert(model, tmp_path / "model.tflite")
    assert checked.max_difference <= 1e-4 * checked.output_range
