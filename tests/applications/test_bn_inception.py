"""BN-Inception against a forward in NumPy after the public PyTorch network."""

import keras
import numpy as np
import pytest
from naive_caffe import Net, average_pool, correlate, max_pool
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import BNInception, BNInceptionSeparable
from keras_vision.applications.bn_inception import pass_through
from keras_vision.errors import KerasVisionError, WeightsError

SIZE, CLASSES = 96, 7
FIGURE_5 = {  # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool + proj
    "3a": (64, 64, 64, 64, 96, "avg", 32), "3b": (64, 64, 96, 64, 96, "avg", 64), "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128), "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128), "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0), "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}  # fmt: skip


class TorchNet(Net):
    """Convolutions with bias, batch norm and ReLU, under the names of the public PyTorch file."""

    def weights(self, name, shape):
        kernel, bias = super().weights(name, shape)
        self.arrays |= {
            f"{name}.{key}": self.arrays.pop(f"{name}.blobs.{i}") for i, key in enumerate(["weight", "bias"])
        }
        return kernel, bias

    def batch_norm(self, x, name):
        values = {key: self.rng.normal(0, 0.1, x.shape[1]) for key in ("bias", "running_mean")}
        values |= {key: self.rng.uniform(0.5, 1.5, x.shape[1]) for key in ("weight", "running_var")}
        values = {key: value.astype("float32") for key, value in values.items()}
        self.arrays |= {f"{name}.{key}": value for key, value in values.items()}
        weight, bias, mean, var = (
            values[key][:, None, None] for key in ("weight", "bias", "running_mean", "running_var")
        )
        return weight * (x - mean) / np.sqrt(var.astype("float64") + 1e-5) + bias

    def conv(self, x, name, filters, size, stride=1):
        kernel, bias = self.weights(name, (filters, x.shape[1], size, size))
        pad = [(0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)]
        y = correlate(np.pad(x, pad), kernel, stride) + bias[:, None, None]
        return np.maximum(self.batch_norm(y, f"{name}_bn"), 0)


def inception(net, x, number):
    n1x1, reduce, n3x3, double_reduce, double, pool, proj = FIGURE_5[number]
    name, stride = f"inception_{number}", 1 if proj else 2
    parts = [net.conv(x, f"{name}_1x1", n1x1, 1)] if n1x1 else []
    parts.append(net.conv(net.conv(x, f"{name}_3x3_reduce", reduce, 1), f"{name}_3x3", n3x3, 3, stride))
    y = net.conv(net.conv(x, f"{name}_double_3x3_reduce", double_reduce, 1), f"{name}_double_3x3_1", double, 3)
    parts.append(net.conv(y, f"{name}_double_3x3_2", double, 3, stride))
    if pool == "avg":
        x = average_pool(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]), 3, 1)
    else:
        x = max_pool(x, 3, stride, pad=1 if proj else 0)
    parts.append(net.conv(x, f"{name}_pool_proj", proj, 1) if proj else x)
    return np.concatenate(parts, axis=1)


def forward(net, x):
    x = max_pool(net.conv(x, "conv1_7x7_s2", 64, 7, stride=2), 3, 2)
    x = max_pool(net.conv(net.conv(x, "conv2_3x3_reduce", 64, 1), "conv2_3x3", 192, 3), 3, 2)
    for number in FIGURE_5:
        x = inception(net, x, number)
    return net.dense(x.mean(axis=(2, 3)), "last_linear", CLASSES)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 1, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def released(images, tmp_path_factory):
    """A file with the names of the public one, and the logits of the naive forward."""
    net, path = TorchNet(), tmp_path_factory.mktemp("bn_inception") / "released.safetensors"
    logits = forward(net, images.transpose(0, 3, 1, 2).astype("float64"))
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
