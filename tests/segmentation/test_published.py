"""Figures of the papers and the releases on the networks themselves: counts, receptive fields, strides, offsets."""

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision import graph
from keras_vision.segmentation import FCN8s, FCN16s, FCN32s, FCNCaffeNet, FCNGoogLeNet

COUNTS = {  # without and with the weights of the transposed convolutions
    "FCN32s": (134_346_581, 136_152_917),
    "FCN16s": (134_357_354, 134_815_994),
    "FCN8s": (134_362_751, 134_489_759),
    "FCN8sAtOnce": (134_362_751, 134_489_759),
    "FCNCaffeNet": (56_954_261, 58_704_590),
    "FCNGoogLeNet": (5_995_077, 5_995_077),
    "DeepLab7x7": (134_346_581, 134_346_581),
    "DeepLab": (65_140_565, 65_140_565),
    "DeepLab4x4": (65_140_565, 65_140_565),
    "DeepLabLargeFOV": (20_505_429, 20_505_429),
}
FIXED = {"FCN32s": 64, "FCN16s": 32, "FCN8s": 16, "FCN8sAtOnce": 16, "FCNCaffeNet": 63}  # size of the last kernel
LEARNED = {"FCN16s": 1, "FCN8s": 2, "FCN8sAtOnce": 2}  # transposed convolutions of 4 x 4


@pytest.mark.parametrize("name", kv.list_models(task="segmentation"))
def test_parameter_counts(name):
    card, (without, with_all) = kv.model_card(name), COUNTS[name]
    assert card.parameters == with_all
    assert with_all - without == 21**2 * (FIXED.get(name, 0) ** 2 + 16 * LEARNED.get(name, 0))
    assert card.trainable_parameters == without + 21**2 * 16 * LEARNED.get(name, 0)


@pytest.mark.parametrize(("name", "count"), [("DeepLab", 66_346_686), ("DeepLabLargeFOV", 21_711_550)])
def test_parameter_counts_with_early_maps(name, count):
    assert kv.create_model(name, msc=True).card.parameters == count


@pytest.mark.parametrize(("build", "field"), [(FCNCaffeNet, 355), (FCN32s, 404), (FCNGoogLeNet, 907 - 6 * 32)])
def test_receptive_field_and_stride(build, field):
    model = build(classes=2, fc=4)
    axes = {layer.name: axes for layer, axes in graph.feature_maps(model)}
    assert [(axis.receptive_field, axis.stride) for axis in axes["score_fr"]] == [(field, 32)] * 2
    assert kv.taps(model)["score_fr"].receptive_field == (field, field)
    assert "upscore" not in axes


def test_receptive_field_of_googlenet_is_printed_with_its_pooling_over_7_cells():
    classifier = kv.applications.fully_convolutional(kv.create_model("GoogLeNet", weights=None))
    _, (height, width) = list(graph.feature_maps(classifier))[-1]
    assert (height.receptive_field, width.receptive_field, height.stride) == (907, 907, 32)


@pytest.mark.parametrize(("build", "offsets"), [
    (FCN32s, {"score": 19}),
    (FCN16s, {"score_pool4c": 5, "score": 27}),
    (FCN8s, {"score_pool4c": 5, "score_pool3c": 9, "score": 31}),
    (FCNCaffeNet, {"score": 18}),
])  # fmt: skip
def test_crop_offsets_are_the_release_s(build, offsets):
    model = build(classes=2, fc=4)
    assert {layer.name: layer.offset[0] for layer in model.layers if hasattr(layer, "offset")} == offsets
    kernels = {layer.name: layer.kernel_size[0] for layer in model.layers if "upscore" in layer.name}
    last = list(kernels)[-1]
    assert kernels[last] == FIXED[build.__name__]
    assert {kernels[name] for name in kernels if name != last} <= {4}


def test_scales_of_all_at_once():
    model = kv.create_model("fcn_8s_at_once", classes=2, fc=4)
    assert (model.get_layer("scale_pool4").scale, model.get_layer("scale_pool3").scale) == (0.01, 0.0001)


@pytest.mark.parametrize("size", [224, 100])
def test_score_map_of_the_image_s_size_has_a_cell_for_32_pixels_begun(size):
    for backbone in ("VGG11", "ResNet18", "GoogLeNet"):
        model = FCN32s(backbone=backbone, geometry="same", classes=2, fc=4, input_shape=(size, size + 1, 3))
        assert model.get_layer("score_fr").output.shape[1:3] == (-(-size // 32), -(-(size + 1) // 32))


def test_multiply_adds_of_a_fixed_size_are_counted():
    model = FCN32s(backbone="VGG11", geometry="same", classes=2, fc=4, input_shape=(64, 64, 3))
    trunk = kv.create_model("VGG11", include_top=False, weights=None, input_shape=(64, 64, 3)).card.multiply_adds
    assert model.card.multiply_adds == trunk + 4 * (7 * 7 * 512 * 4 + 4 * 4 + 4 * 2)


def test_fc_layers_start_from_the_classifier_and_the_middle_cell_equals_it(tmp_path, randomize):
    """At the classifier's size fc6, padded, sees the whole map at its middle cell."""
    image = keras.Input((224, 224, 3))
    x = kv.create_model("VGG11", include_top=False, weights=None, input_tensor=image).output
    x = keras.layers.Dense(8, activation="relu", name="fc6")(keras.layers.Flatten()(x))
    x = keras.layers.Dense(8, activation="relu", name="fc7")(x)
    classifier = randomize(keras.Model(image, x))
    kv.weights.save(classifier, tmp_path / "vgg.npz")
    model = FCN32s(backbone="VGG11", geometry="same", backbone_weights=tmp_path / "vgg.npz", fc=8)
    pixels = np.random.default_rng(0).normal(0, 1, (1, 224, 224, 3)).astype("float32")
    fc7 = keras.Model(model.input, model.get_layer("fc7").output)(pixels)
    assert fc7.shape == (1, 7, 7, 8)
    np.testing.assert_allclose(fc7[:, 3, 3], classifier(pixels), rtol=1e-4, atol=1e-4)
    fc6 = np.asarray(classifier.get_layer("fc6").kernel).reshape(7, 7, 512, 8)
    for name, kept, dilation in (("DeepLabLargeFOV", [0, 3, 6], 12), ("DeepLab4x4", [0, 2, 4, 6], 8)):
        arguments = dict(backbone="VGG11", backbone_weights=tmp_path / "vgg.npz", fc6=(len(kept), 4, dilation))
        small = kv.create_model(name, **arguments)
        np.testing.assert_array_equal(small.get_layer("fc6").kernel, fc6[kept][:, kept][..., ::2])
        np.testing.assert_array_equal(
            small.get_layer("fc7").kernel[0, 0], np.asarray(classifier.get_layer("fc7").kernel)[::2, ::2]
        )
    with pytest.raises(kv.KerasVisionError, match="16 filters or cells cannot be taken from 8"):
        FCN32s(backbone="VGG11", backbone_weights=tmp_path / "vgg.npz", fc=16)
