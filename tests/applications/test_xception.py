"""Xception against Keras Applications in the same process, through the layouts of its weight files."""

import h5py
import keras
import numpy as np
import pytest
from closeness import close
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import Xception, xception
from keras_vision.errors import KerasVisionError, KerasVisionWarning, WeightsError

SHAPE = (71, 71, 3)  # the least that Keras Applications takes
SHORTCUTS = ("block2", "block3", "block4", "block13")
KERAS_1 = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).uniform(-1, 1, (2, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def peer(randomize):
    """Keras' own network, with batch-norm statistics that matter."""
    return randomize(keras.applications.Xception(weights=None, input_shape=SHAPE), seed=5)


def by_creation(peer):
    """Layers with weights in the order of Keras' source text: a block's shortcut stands before its main path."""
    layers = [layer for layer in peer.layers if layer.weights]
    extra = [layer for layer in layers if layer.name.startswith(("conv2d", "batch_normalization"))]
    convs, norms = extra[::2], extra[1::2]
    order = [layer for layer in layers if layer not in extra]
    for block, pair in zip(SHORTCUTS, zip(convs, norms, strict=True), strict=True):
        first = next(i for i, layer in enumerate(order) if layer.name == f"{block}_sepconv1")
        order[first:first] = pair
    return order


def write_keras_1(peer, path, top=True):
    """The layout of the public file: every layer by its Keras 1 class and number, the layers in no useful order."""
    kinds = {keras.layers.Conv2D: "convolution2d", keras.layers.SeparableConv2D: "separableconvolution2d"}
    kinds |= {keras.layers.BatchNormalization: "batchnormalization", keras.layers.Dense: "dense"}
    names = []
    with h5py.File(path, "w") as file:
        for layer in by_creation(peer)[: None if top else -1]:
            kind = kinds[type(layer)]
            name = f"{kind}_{sum(other.rpartition('_')[0] == kind for other in names) + 1}"
            weights = [f"{name}_{KERAS_1.get(v.name, v.name)}:0" for v in layer.weights]
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array(weights, "S")
            for weight, variable in zip(weights, layer.weights, strict=True):
                group[weight] = variable.numpy()
            names.append(name)
        file.attrs["layer_names"] = np.array(sorted(names, reverse=True), "S")
    assert names[-1] == ("dense_1" if top else "batchnormalization_40")


@pytest.fixture(scope="module", params=["whole_model", "weights", "keras_1"])
def file(request, peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("xception")
    if request.param == "keras_1":
        write_keras_1(peer, folder / "keras_1.h5")
        return folder / "keras_1.h5"
    path = folder / ("whole.h5" if request.param == "whole_model" else "own.weights.h5")
    peer.save(path) if request.param == "whole_model" else peer.save_weights(path)
    return path


@pytest.fixture(scope="module")
def plain(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("xception") / "plain.h5"
    write_keras_1(peer, path)
    return path


def trunk_of(peer):
    return keras.Model(peer.input, peer.get_layer("block14_sepconv2_act").output)


def test_equals_keras_applications_with_top(file, peer, images):
    model = Xception(weights=file, input_shape=SHAPE)
    assert model.card.loaded == file.name
    assert close(model(images), peer(images))


def test_equals_keras_applications_without_top(file, peer, images):
    assert close(Xception(weights=file, include_top=False)(images), trunk_of(peer)(images))


@pytest.mark.parametrize("size", [72, 75, 80, 96])  # maps with an even and with an odd number of cells
def test_equals_keras_applications_at_other_sizes(plain, peer, size):
    images = np.random.default_rng(size).uniform(-1, 1, (1, size, size + 1, 3)).astype("float32")
    resized = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
    resized.set_weights(trunk_of(peer).get_weights())
    assert close(Xception(weights=plain, include_top=False)(images), resized(images))


def test_taps_equal_the_sums_of_keras_applications(plain, peer, images):
    sums = [layer for layer in peer.layers if isinstance(layer, keras.layers.Add)]
    names = {f"block{number}": layer for number, layer in enumerate(sums, 2)}
    assert list(names)[-1] == "block13"
    maps = Xception(weights=plain, features_only=True, taps=list(names))(images)
    expected = keras.Model(peer.input, {name: layer.output for name, layer in names.items()})(images)
    assert [name for name in names if not close(maps[name], expected[name])] == []


def test_file_without_top_gives_the_same_features(peer, images, tmp_path):
    write_keras_1(peer, tmp_path / "notop.h5", top=False)
    model = Xception(weights=tmp_path / "notop.h5", include_top=False, pooling="avg", input_shape=SHAPE)
    assert close(model(images), keras.Model(peer.input, peer.get_layer("avg_pool").output)(images))
    with pytest.raises(WeightsError, match="holds no classifier"):
        Xception(weights=tmp_path / "notop.h5")


def test_one_channel_equals_the_grey_image_fed_three_times(plain, peer, images):
    grey = images[..., :1]
    model = Xception(weights=plain, input_shape=(71, 71, 1))
    assert close(model(grey), peer(np.repeat(grey, 3, axis=-1)))


def test_four_channels_tile_the_first_kernel(plain, peer, images):
    model = Xception(weights=plain, input_shape=(71, 71, 4), include_top=False)
    three = peer.get_layer("block1_conv1").kernel.numpy()
    kernel = model.get_layer("block1_conv1_conv").kernel
    np.testing.assert_array_equal(kernel, three[:, :, [0, 1, 2, 0]] * np.float32(0.75))
    grey = np.repeat(images[..., :1], 4, axis=-1)
    expected = trunk_of(peer)(np.concatenate([grey[..., :1] * 1.5, grey[..., :2] * 0.75], axis=-1))
    assert close(model(grey), expected)


def test_another_number_of_classes_keeps_the_trunk(plain, peer, images):
    with pytest.warns(KerasVisionWarning, match="random values in predictions"):
        model = Xception(weights=plain, classes=10, input_shape=SHAPE)
    trunk = keras.Model(model.input, model.get_layer("block14_sepconv2").output)
    assert close(trunk(images), trunk_of(peer)(images))


def test_preprocessing_equals_keras_applications():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype("float32")
    expected = keras.applications.xception.preprocess_input(pixels.copy())
    np.testing.assert_allclose(xception.preprocess_input(pixels), expected, atol=1e-6)


def test_fewer_blocks_and_dropout_are_settings():
    model = Xception(weights=None, middle=1, dropout=0.5, input_shape=SHAPE, classes=10)
    assert model.get_layer("predictions_drop").rate == 0.5
    assert [name for name in kv.taps(model) if name.startswith("block7")] == ["block7_sepconv1", "block7_sepconv2"]


@pytest.mark.parametrize(("arguments", "says"), [
    (dict(middle=-1), "middle=-1; give the number of blocks"),
    (dict(input_shape=(6, 71, 3)), "at least 7 x 7 pixels"),
    (dict(include_top=False, output_stride=8), "block4_pool: a strided layer with padding 'same'"),
])  # fmt: skip
def test_bad_arguments(arguments, says):
    with pytest.raises(KerasVisionError, match=says):
        Xception(weights=None, **arguments)


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(Xception(weights=None, middle=1, classes=5, input_shape=SHAPE))
    litert = kv.export.to_litert(model, tmp_path / "model.tflite")
    saved = kv.export.to_saved_model(model, tmp_path / "saved")
    for checked in (litert, saved):
        assert checked.max_difference <= 1e-4 * checked.output_range


CADENE = {  # of the published module, by its source: module, ours, shape in PyTorch
    "conv1.weight": ("block1_conv1_conv", "kernel", (32, 3, 3, 3)),
    "bn2.running_var": ("block1_conv2_bn", "moving_variance", (64,)),
    "block1.rep.0.conv1.weight": ("block2_sepconv1_conv", "depthwise_kernel", (64, 1, 3, 3)),
    "block1.rep.3.pointwise.weight": ("block2_sepconv2_conv", "pointwise_kernel", (128, 128, 1, 1)),
    "block2.rep.1.conv1.weight": ("block3_sepconv1_conv", "depthwise_kernel", (128, 1, 3, 3)),
    "block2.rep.5.bias": ("block3_sepconv2_bn", "beta", (256,)),
    "block3.skip.weight": ("block4_shortcut_conv", "kernel", (728, 256, 1, 1)),
    "block11.rep.8.weight": ("block12_sepconv3_bn", "gamma", (728,)),
    "block12.rep.4.pointwise.weight": ("block13_sepconv2_conv", "pointwise_kernel", (1024, 728, 1, 1)),
    "block12.skipbn.running_mean": ("block13_shortcut_bn", "moving_mean", (1024,)),
    "conv3.conv1.weight": ("block14_sepconv1_conv", "depthwise_kernel", (1024, 1, 3, 3)),
    "bn4.weight": ("block14_sepconv2_bn", "gamma", (2048,)),
    "last_linear.weight": ("predictions", "kernel", (1000, 2048)),
}


def in_pytorch(variable, array):
    if variable == "depthwise_kernel":
        return array.transpose(2, 3, 0, 1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def test_cadenes_names_are_known(peer, images, tmp_path, randomize):
    """Every variable of the network under Cadene's names gives the network back."""
    source = randomize(Xception(weights=None, input_shape=SHAPE), seed=7)
    modules = {ours: theirs for theirs, ours in xception.torch_modules(**xception.TABLE["Xception"])}
    suffixes = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    suffixes |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    arrays = {}
    for layer in source.layers:
        for variable in layer.weights:
            part = variable.name.removesuffix("_kernel")
            own = layer.name if part == variable.name else f"{layer.name}/{part}"
            key = f"{modules[own]}.{'weight' if own != layer.name else suffixes.get(variable.name, variable.name)}"
            arrays[key] = np.ascontiguousarray(in_pytorch(variable.name, variable.numpy()))
    for key, (layer, variable, shape) in CADENE.items():
        weight = next(w for w in source.get_layer(layer).weights if w.name == variable)
        np.testing.assert_array_equal(arrays[key], in_pytorch(variable, weight.numpy()))
        assert arrays[key].shape == shape
    assert len(arrays) == len(source.weights) == 236
    save_file(arrays, tmp_path / "cadene.safetensors")
    assert close(Xception(weights=tmp_path / "cadene.safetensors", input_shape=SHAPE)(images), source(images))
