"""VGG against Table 1 and against Keras Applications in the same process."""

import keras
import make_timm
import make_torchvision
import numpy as np
import pytest
from closeness import close
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import vgg
from keras_vision.errors import KerasVisionWarning, WeightsError

SHAPE = (64, 64, 3)
WEIGHT_LAYERS = {"VGG11": 11, "VGG11LRN": 11, "VGG13": 13, "VGG16C": 16, "VGG16": 16, "VGG19": 19}  # Table 1


@pytest.mark.parametrize("name", WEIGHT_LAYERS)
def test_number_of_weight_layers_is_the_papers(name):
    model = kv.create_model(name, weights=None, input_shape=SHAPE)
    assert len([layer for layer in model.layers if layer.weights]) == WEIGHT_LAYERS[name]


def test_configuration_c_has_three_1x1_convolutions():
    model = kv.create_model("VGG16C", weights=None, include_top=False)
    small = [layer.name for layer in model.layers if getattr(layer, "kernel_size", None) == (1, 1)]
    assert small == ["conv3_3", "conv4_3", "conv5_3"]


def test_the_normalised_row_normalises_after_the_first_relu():
    model = kv.create_model("VGG11LRN", weights=None, include_top=False)
    norm = model.get_layer("norm1")
    assert (norm.size, norm.alpha, norm.beta, norm.k, norm.scaling) == (5, 1e-4, 0.75, 2.0, "paper")
    assert norm.input is model.get_layer("conv1_1").output
    assert model.get_layer("pool1").input is norm.output


def test_receptive_fields_double_with_each_pool():
    taps = kv.taps(kv.create_model("VGG16", weights=None, include_top=False))
    fields = {name: taps[name].receptive_field[0] for name in ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")}
    assert fields == {"conv1_2": 5, "conv2_2": 14, "conv3_3": 40, "conv4_3": 92, "conv5_3": 196}


# -------------------------------------------------------------------------------------- Keras Applications


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 60, (2, *SHAPE)).astype("float32")


@pytest.fixture(scope="module", params=["VGG16", "VGG19"])
def peer(request, randomize):
    """Keras' own network."""
    return randomize(getattr(keras.applications, request.param)(weights=None, input_shape=SHAPE), seed=5)


@pytest.fixture(scope="module")
def ours(peer):
    return getattr(kv.applications, peer.name.upper())


@pytest.fixture(scope="module")
def file(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / f"{peer.name}.h5"
    peer.save(path)
    return path


def trunk_of(peer):
    return keras.Model(peer.input, peer.get_layer("block5_pool").output)


def test_equals_keras_applications_with_top(ours, file, peer, images):
    assert close(ours(weights=file, input_shape=SHAPE)(images), peer(images))


def test_equals_keras_applications_without_top(ours, file, peer, images):
    model = ours(weights=file, include_top=False)
    assert close(model(images), trunk_of(peer)(images))


def test_one_channel_equals_the_grey_image_fed_three_times(ours, file, peer, images):
    grey = images[..., :1]
    model = ours(weights=file, input_shape=(64, 64, 1))
    assert close(model(grey), peer(np.repeat(grey, 3, axis=-1)))


def test_four_channels_tile_the_first_kernel(ours, file, peer, images):
    x = np.concatenate([images, images[..., :1]], axis=-1)
    model = ours(weights=file, input_shape=(64, 64, 4), include_top=False)
    three = peer.get_layer("block1_conv1").kernel.numpy()
    kernel = model.get_layer("conv1_1").kernel
    np.testing.assert_array_equal(kernel, three[:, :, [0, 1, 2, 0]] * np.float32(0.75))
    grey = np.repeat(images[..., :1], 4, axis=-1)
    expected = trunk_of(peer)(np.concatenate([grey[..., :1] * 1.5, grey[..., :2] * 0.75], axis=-1))
    assert close(model(grey), expected)
    assert model(x).shape == (2, 2, 2, 512)


def test_another_number_of_classes_keeps_fc6_and_fc7(ours, file, peer):
    with pytest.warns(KerasVisionWarning, match="random values in fc8"):
        model = ours(weights=file, classes=10, input_shape=SHAPE)
    np.testing.assert_array_equal(model.get_layer("fc6").kernel, peer.get_layer("fc1").kernel)


def test_weights_of_another_configuration_are_refused(file, peer):
    other = kv.applications.VGG19 if peer.name == "vgg16" else kv.applications.VGG16
    with pytest.raises(WeightsError, match=r"3 (missing|unexpected)|6 (missing|unexpected)"):
        other(weights=file, input_shape=SHAPE)


def test_weights_of_another_input_size_are_refused(ours, file):
    with pytest.raises(WeightsError, match=r"fc6/kernel \(2048, 4096\) for \(4608, 4096\)"):
        ours(weights=file, input_shape=(96, 96, 3))


def test_preprocessing_equals_keras_applications():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype("float32")
    expected = keras.applications.vgg16.preprocess_input(pixels.copy())
    np.testing.assert_allclose(vgg.preprocess_input(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["VGG11LRN", "VGG11BN"])
def test_exports_give_the_same_outputs(name, randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(kv.create_model(name, weights=None, classes=5, input_shape=(48, 48, 3)))
    litert = kv.export.to_litert(model, tmp_path / "model.tflite")
    saved = kv.export.to_saved_model(model, tmp_path / "saved")
    for checked in (litert, saved):
        assert checked.max_difference <= 1e-4 * checked.output_range


# ------------------------------------------------------------------------------------------------- timm, Cadene


def test_logits_equal_timms_whose_first_dense_layers_are_convolutions(tmp_path):
    arrays = {}
    dense = {"fc6": ("pre_logits.fc1", (4096, 512, 7, 7)), "fc7": ("pre_logits.fc2", (4096, 4096, 1, 1))}
    dense["fc8"] = ("head.fc", (1000, 4096))
    modules = {ours: theirs for theirs, ours in vgg.torch_modules(**vgg.TABLE["VGG11"])}
    for layer in kv.create_model("VGG11", weights=None, include_top=False).layers:
        if layer.weights:
            height, width, channels, filters = layer.kernel.shape
            dense[layer.name] = (modules[layer.name], (filters, channels, height, width))
    for module, shape in dense.values():
        arrays[f"{module}.weight"] = make_timm.seeded(f"{module}.weight", shape)
        arrays[f"{module}.bias"] = make_timm.seeded(f"{module}.bias", shape[:1])
    save_file(arrays, tmp_path / "timm.safetensors")
    model = kv.create_model("VGG11", weights=tmp_path / "timm.safetensors", classifier_activation=None)
    expected = np.load(make_timm.FILE)["vgg11"]
    assert 0.1 <= expected.std() <= 10
    assert np.abs(np.asarray(model(make_torchvision.image(224))) - expected).max() <= 1e-4 * expected.std()


def test_cadenes_names_mean_torchvisions():
    names = {"classifier.0": "linear0", "classifier.3": "linear1", "classifier.6": "last_linear"}
    settings, rng = vgg.TABLE["VGG11"], np.random.default_rng(0)
    theirs = {f"{module}.weight": rng.normal(size=(5, 512 * 4)).astype("float32") for module in names}
    cadenes = {f"{names[module]}.weight": theirs[f"{module}.weight"] for module in names}
    expected, actual = vgg.convert(theirs, settings), vgg.convert(cadenes, settings)
    assert expected.keys() == {"fc6/kernel", "fc7/kernel", "fc8/kernel"}
    for key, array in expected.items():
        np.testing.assert_array_equal(actual[key], array)
