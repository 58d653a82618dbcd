"""All-CNN's twelve networks against a forward in NumPy."""

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import Net, max_pool
from naive_weights import fill

import keras_vision as kv
from keras_vision.errors import KerasVisionError

KERNELS = {"A": [5], "B": [5, 1], "C": [3, 3]}
LETTERS = ("A", "B", "C")


def same(net, x, name, filters, size, stride=1):
    """Padding as TensorFlow has it: a stride of 2 pads an even map below and to the right alone."""
    if stride == 2:
        assert x.shape[2] % 2 == x.shape[3] % 2 == 0
        total = size - 2 if size > 1 else 0
        x = np.pad(x, [(0, 0), (0, 0)] + [(total // 2, total - total // 2)] * 2)
        return net.conv(x, name, filters, size, stride)
    return net.conv(x, name, filters, size, pad=size // 2)


def naive(net, x, kind, kernels, classes=10):
    """Tables 1 and 2, up to the logits."""
    for stage, width in ((1, 96), (2, 192)):
        for position, size in enumerate(kernels, 1):
            stride = 2 if kind == "Strided" and position == len(kernels) else 1
            x = same(net, x, f"conv{stage}_{position}", width, size, stride)
        if kind == "ConvPool":
            x = same(net, x, f"conv{stage}_{len(kernels) + 1}", width, 3)
        if kind == "All":
            x = same(net, x, f"pool{stage}", width, 3, 2)
        elif kind != "Strided":
            x = max_pool(x, 3, 2)
    x = net.conv(x, "conv3_1", 192, 3)
    x = net.conv(x, "conv3_2", 192, 1)
    return net.conv(x, "conv3_3", classes, 1).mean(axis=(2, 3))


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("kind", ["Base", "Strided", "ConvPool", "All"])
def test_equals_the_naive_forward(kind, letter):
    images = np.random.default_rng(1).normal(0, 1, (2, 16, 20, 3)).astype("float32")
    net = Net()
    expected = naive(net, images.transpose(0, 3, 1, 2).astype("float64"), kind, KERNELS[letter])
    model = kv.create_model(f"{kind}CNN{letter}", weights=None, classifier_activation=None, input_shape=(16, 20, 3))
    assert model.count_params() == sum(blob.size for blob in net.arrays.values())
    assert close(fill(model, net.arrays)(images), expected)


@pytest.mark.parametrize("letter", LETTERS)
def test_maps_have_the_papers_sizes(letter):
    for kind in ("Base", "ConvPool", "All"):
        taps = kv.taps(kv.create_model(f"{kind}CNN{letter}", weights=None))
        sizes = [taps[name].shape for name in ("conv1_1", "pool1", "conv2_1", "pool2", "conv3_1", "conv3_3")]
        assert sizes == [(32, 32, 96), (16, 16, 96), (16, 16, 192), (8, 8, 192), (6, 6, 192), (6, 6, 10)]
    strided = kv.taps(kv.create_model(f"StridedCNN{letter}", weights=None))
    last = len(KERNELS[letter])
    assert [strided[f"conv{i}_{last}"].shape[:2] for i in (1, 2)] == [(16, 16), (8, 8)]
    assert not [name for name in strided if "pool" in name]


def test_dropout_is_that_of_section_3_1():
    model = kv.create_model("AllCNNC", weights=None)
    drops = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert drops == {"drop0": 0.2, "drop1": 0.5, "drop2": 0.5}
    without = kv.create_model("AllCNNC", weights=None, dropout=(0, 0))
    x = np.ones((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(without(x, training=True), without(x))


@pytest.mark.parametrize(("setting", "says"), [
    (dict(downsampling="mean"), "downsampling='mean'; accepted: 'max', 'strided', 'conv_max', 'conv'"),
    (dict(kernels=()), r"kernels=\(\); give the sizes"),
    (dict(kernels=(3, 0)), r"kernels=\(3, 0\); give the sizes"),
    (dict(dropout=0.5), r"dropout=0.5; give two rates"),
    (dict(dropout=(0.2, 1)), r"dropout=\(0.2, 1\); give two rates"),
])  # fmt: skip
def test_wrong_settings_are_named(setting, says):
    with pytest.raises(KerasVisionError, match=says):
        kv.create_model("AllCNNC", weights=None, **setting)


def test_a_dilated_network_is_refused_in_words():
    with pytest.raises(KerasVisionError, match="a strided layer with padding 'same' cannot be dilated"):
        kv.create_model("AllCNNC", weights=None, output_stride=2)


@pytest.mark.parametrize("name", ["BaseCNNA", "AllCNNC"])
def test_exports_give_the_same_outputs(name, randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(kv.create_model(name, weights=None))
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range
