"""AlexNet and CaffeNet against a forward in NumPy."""

import numpy as np
import pytest
from naive_caffe import Net, lrn, max_pool
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import AlexNet, CaffeNet
from keras_vision.errors import KerasVisionError

SIZE, CLASSES = 103, 7  # a size at which each pooling rounds up


def caffenet(net, x):
    """bvlc_reference_caffenet: two groups, pooling before normalisation."""
    x = lrn(max_pool(net.conv(x, "conv1", 96, 11, stride=4), 3, 2))
    x = lrn(max_pool(net.conv(x, "conv2", 256, 5, pad=2, groups=2), 3, 2))
    x = net.conv(x, "conv3", 384, 3, pad=1)
    x = net.conv(x, "conv4", 384, 3, pad=1, groups=2)
    return max_pool(net.conv(x, "conv5", 256, 3, pad=1, groups=2), 3, 2)


def alexnet(net, x):
    """The paper's layers in one column; normalisation before pooling, with k = 2 and all of alpha."""
    paper = dict(k=2.0, alpha=1e-4)
    x = max_pool(lrn(net.conv(x, "conv1", 96, 11, stride=4), **paper), 3, 2)
    x = max_pool(lrn(net.conv(x, "conv2", 256, 5, pad=2), **paper), 3, 2)
    x = net.conv(x, "conv3", 384, 3, pad=1)
    x = net.conv(x, "conv4", 384, 3, pad=1)
    return max_pool(net.conv(x, "conv5", 256, 3, pad=1), 3, 2)


def classifier(net, x):
    x = np.maximum(net.dense(x, "fc6", 4096), 0)
    return net.dense(np.maximum(net.dense(x, "fc7", 4096), 0), "fc8", CLASSES)


@pytest.fixture(scope="module", params=[(AlexNet, alexnet), (CaffeNet, caffenet)], ids=["AlexNet", "CaffeNet"])
def both(request, tmp_path_factory):
    """Our logits from a file with Caffe's names, and those of the naive forward."""
    construct, trunk = request.param
    images = np.random.default_rng(3).normal(0, 60, (2, SIZE, SIZE, 3)).astype("float32")
    net, path = Net(), tmp_path_factory.mktemp("alexnet") / "caffe.safetensors"
    expected = classifier(net, trunk(net, images.transpose(0, 3, 1, 2).astype("float64")))
    save_file(net.arrays, path)
    model = construct(weights=path, classifier_activation=None, input_shape=(SIZE, SIZE, 3))
    return np.asarray(model(images)), expected


def test_equals_the_naive_forward(both):
    actual, expected = both
    assert np.ptp(expected) > 0.1
    assert np.abs(actual - expected).max() <= 1e-5 * np.ptp(expected)


def test_maps_have_the_papers_sizes():
    taps = kv.taps(AlexNet(weights=None))
    sizes = {name: taps[name].shape for name in ("conv1", "pool1", "conv2", "pool2", "conv4", "conv5", "pool5")}
    assert list(sizes.values()) == [
        (55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384), (13, 13, 256), (6, 6, 256),
    ]  # fmt: skip


def test_receptive_field_of_the_last_pooling_is_195_pixels():
    assert kv.taps(CaffeNet(weights=None, include_top=False))["pool5"].receptive_field == (195, 195)


def test_the_paper_starts_some_biases_at_one():
    model = AlexNet(weights=None, input_shape=(67, 67, 3))
    ones = [layer.name for layer in model.layers if layer.weights and (np.asarray(layer.bias) == 1).all()]
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]


def test_hidden_kernels_start_differently():
    model = AlexNet(weights=None, input_shape=(67, 67, 3))
    fc6, fc7 = (np.asarray(model.get_layer(name).kernel) for name in ("fc6", "fc7"))
    assert abs(fc6.std() - 0.01) < 1e-3
    assert not np.array_equal(fc6, fc7[:256])


def test_too_small_an_image_is_an_error():
    with pytest.raises(KerasVisionError, match=r"too small for CaffeNet: at least \d+ x \d+"):
        CaffeNet(weights=None, input_shape=(30, 30, 3))


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Groups run in LiteRT and a SavedModel too."""
    model = randomize(CaffeNet(weights=None, classes=5, input_shape=(67, 67, 3)))
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "b")):
        assert checked.max_difference <= 1e-4 * checked.output_range
