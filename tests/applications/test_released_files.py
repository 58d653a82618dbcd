"""Authors' Caffe files and the Keras port of SENets: naive forwards under their layers' names, at a few blocks."""

import string

import keras
import naive_residual
import numpy as np
import pytest
from keras import layers, ops
from naive_residual import ScaledNet
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import _senet_files, resnet, senet
from keras_vision.errors import WeightsError

BLOCKS, CLASSES = (2, 3, 1, 1), 7


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(0, 1, (2, 78, 75, 3)).astype("float32")


def loaded(name, arrays, images, tmp_path, **settings):
    """Logits of the network with these arrays, read from a file."""
    save_file({key: np.ascontiguousarray(a, "float32") for key, a in arrays.items()}, tmp_path / "a.safetensors")
    model = kv.create_model(
        name, weights=tmp_path / "a.safetensors", classifier_activation=None, input_shape=images.shape[1:], **settings
    )
    return model.predict(images, verbose=0)


def assert_close(actual, expected):
    assert actual.shape == (2, CLASSES)
    assert np.ptp(expected) > 0.1
    assert np.abs(actual - expected).max() <= 1e-5 * np.ptp(expected)


# ------------------------------------------------------------------------------------------------- ResNet


def he_net():
    return ScaledNet(lambda name: [kind + name.removeprefix("res") for kind in ("bn", "scale")]
                     if name.startswith("res") else [f"bn_{name}", f"scale_{name}"])  # fmt: skip


def letters(stage, position):
    return string.ascii_lowercase[position]


def long_letters(stage, position):
    """The third and the fourth stage of 101 and 152 layers number their blocks."""
    return (f"b{position}" if position else "a") if stage in (3, 4) else string.ascii_lowercase[position]


@pytest.mark.parametrize(("names", "bias"), [(letters, True), (long_letters, False)])
def test_resnet_in_caffe(names, bias, images, tmp_path):
    """conv1 of 50 layers has biases, that of 101 and 152 has none."""
    net = he_net()
    expected = naive_residual.resnet(net, channels_first(images), BLOCKS, names, CLASSES, bias)
    assert ("conv1.blobs.1" in net.arrays) == bias
    assert {"res2a_branch1.blobs.0", "scale3a_branch2c.blobs.1", "bn5a_branch2b.blobs.2"} <= set(net.arrays)
    actual = loaded("ResNet50", net.arrays, images, tmp_path, layout="caffe", blocks=BLOCKS)
    assert_close(actual, expected)


def test_layouts_refuse_each_others_files(images, tmp_path):
    net = he_net()
    naive_residual.resnet(net, channels_first(images), (1, 1, 1, 1), letters, CLASSES, True)
    for layout in ("keras", "torch"):
        with pytest.raises(
            WeightsError, match=f"layout='caffe', without biases, .* layout='{layout}': pass layout='caf"
        ):
            loaded("ResNet50", net.arrays, images, tmp_path, layout=layout, blocks=(1, 1, 1, 1))
    torch = {"conv1.weight": np.zeros((64, 3, 7, 7)), "bn1.running_mean": np.zeros(64)}
    with pytest.raises(WeightsError, match="pass layout='torch'"):
        loaded("ResNet50", torch, images, tmp_path, layout="caffe")


def test_own_files_without_biases_fit_both_layouts_that_have_none(images, randomize):
    model = randomize(kv.create_model("ResNet18", weights=None, layout="caffe", classes=CLASSES))
    arrays = {f"{layer.name}/{v.name}": v.numpy() for layer in model.layers for v in layer.weights}
    for layout in ("torch", "caffe"):
        assert resnet.convert(arrays, resnet.TABLE["ResNet18"] | dict(layout=layout)).keys() == arrays.keys()


# ------------------------------------------------------------------------------------------------- SENet

STEMS = {
    1: {"conv1/7x7_s2": (64, 7, 2)},
    3: {"conv1_1/3x3_s2": (64, 3, 2), "conv1_2/3x3": (64, 3, 1), "conv1_3/3x3": (128, 3, 1)},
}
SE_ROWS = {
    "SEResNet50": dict(stem=STEMS[1], widths=(64, 64, 256), groups=1, projection=1),
    "SEResNeXt50": dict(stem=STEMS[1], widths=(128, 128, 256), groups=32, projection=1),
    "SENet154": dict(stem=STEMS[3], widths=(128, 256, 256), groups=64, projection=3),
}  # fmt: skip


@pytest.mark.parametrize("name", SE_ROWS)
def test_senet_in_caffe(name, images, tmp_path):
    net, blocks = ScaledNet(lambda name: (f"{name}/bn", f"{name}/bn/scale")), (2, 1, 1, 1)
    expected = naive_residual.senet(net, channels_first(images), SE_ROWS[name] | dict(blocks=blocks), CLASSES)
    assert {"conv2_1_1x1_proj/bn.blobs.2", "conv2_2_1x1_down.blobs.1", "conv5_1_3x3/bn/scale.blobs.0"} <= set(
        net.arrays
    )
    assert_close(loaded(name, net.arrays, images, tmp_path, blocks=blocks), expected)


def port(name, shape):
    """The Keras port: a convolution per group, layers named by Keras, pool1 padded."""
    row = senet.TABLE[name] | dict(blocks=(2, 1, 1, 1))
    x = inputs = keras.Input(shape)
    for filters, size, stride in row["stem"]:
        x = ported_conv(x, filters, size, stride)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, count in enumerate(row["blocks"]):
        narrow, middle, wide = (width << stage for width in row["widths"])
        for position in range(count):
            stride = 2 if stage and not position else 1
            strides = (1, stride) if row["groups"] > 1 else (stride, 1)
            y = ported_conv(x, narrow, 1, strides[0])
            y = ported_conv(y, middle, 3, strides[1], row["groups"])
            y = ported_conv(y, wide, 1, relu=False)
            if not position:
                x = ported_conv(x, wide, row["projection"] if stride == 2 else 1, stride, relu=False)
            z = layers.Conv2D(wide // 16, 1, activation="relu")(ops.mean(y, (1, 2), keepdims=True))
            x = layers.Activation("relu")(y * layers.Conv2D(wide, 1, activation="sigmoid")(z) + x)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def ported_conv(x, filters, size, stride=1, groups=1, relu=True):
    x = layers.ZeroPadding2D(size // 2)(x)
    width = x.shape[-1] // groups
    parts = [x[..., i * width : (i + 1) * width] for i in range(groups)] if groups > 1 else [x]
    parts = [layers.Conv2D(filters // groups, size, stride, use_bias=False)(part) for part in parts]
    x = layers.BatchNormalization(epsilon=1e-5)(layers.Concatenate()(parts) if groups > 1 else parts[0])
    return layers.Activation("relu")(x) if relu else x


@pytest.mark.parametrize("name", SE_ROWS)
def test_the_keras_port(name, images, randomize, tmp_path):
    peer = randomize(port(name, images.shape[1:]))
    arrays = {f"{layer.name}/{v.name}": v.numpy() for layer in peer.layers for v in layer.weights}
    actual = loaded(name, arrays, images, tmp_path, blocks=(2, 1, 1, 1), pool="padded")
    assert_close(actual, peer.predict(images, verbose=0))


def test_files_of_the_port_bring_their_pool_and_the_authors_their_preprocessing():
    for files in _senet_files.WEIGHTS.values():
        for known in files:
            assert ("pool" in known.settings) == (known.name in ("keras", "keras_notop", "timm"))
            assert known.preprocessing.color == ("BGR" if known.file.endswith(".caffemodel") else "RGB")


# ---------------------------------------------------------------------------------------------- DenseNet


def test_densenet_in_caffe(images, tmp_path):
    net, blocks = ScaledNet(lambda name: (f"{name}/bn", f"{name}/scale")), (2, 1, 2)
    expected = naive_residual.densenet(net, channels_first(images[:, :72, :72]), blocks, 8, CLASSES)
    assert {"conv2_2/x1/bn.blobs.2", "conv3_blk/scale.blobs.1", "conv4_blk/bn.blobs.0", "fc6.blobs.1"} <= set(
        net.arrays
    )
    settings = dict(blocks=blocks, growth=8, epsilon=1e-5)
    assert_close(loaded("DenseNet121", net.arrays, images[:, :72, :72], tmp_path, **settings), expected)


def channels_first(images):
    return images.transpose(0, 3, 1, 2).astype("float64")
