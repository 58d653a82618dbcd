"""DeepLab on small backbones: cells at every eighth pixel, holes, early maps, the CRF."""

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.layers import DenseCRF
from keras_vision.segmentation import DeepLab, DeepLabLargeFOV, train_only
from keras_vision.upsampling import placed

SIZES = [(1, 1), (7, 3), (33, 66), (64, 50), (41, 97)]
SMALL = dict(classes=4, fc6=(3, 16, 12))


def images(height, width, n=1):
    return np.random.default_rng(height + width).normal(0, 1, (n, height, width, 3)).astype("float32")


@pytest.mark.parametrize("backbone", ["VGG11", "SqueezeNetV1_1", "GoogLeNet", "ResNet18"])
def test_cell_i_lies_at_pixel_8i(backbone, randomize):
    cells = randomize(DeepLabLargeFOV(backbone=backbone, upsample=False, **SMALL))
    pixels = DeepLabLargeFOV(backbone=backbone, **SMALL)
    pixels.set_weights(cells.get_weights())
    where = placed(cells.get_layer("fc8").output)
    assert (where.stride, where.start) == (8, (0, 0))
    for size in SIZES:
        x = images(*size)
        coarse, fine = np.asarray(cells(x)), np.asarray(pixels(x))
        assert coarse.shape == (1, *np.zeros(size)[::8, ::8].shape, 4)
        assert fine.shape == (1, *size, 4)
        np.testing.assert_allclose(fine[:, ::8, ::8], coarse, rtol=1e-4, atol=1e-5)
        below, right = coarse[:, -1, -1], fine[:, -1, -1]
        np.testing.assert_allclose(right, below, rtol=1e-4, atol=1e-5)  # beyond the last cell, its value


def test_between_two_cells_pixels_are_interpolated(randomize):
    model = randomize(DeepLabLargeFOV(backbone="VGG11", **SMALL))
    fine = np.asarray(model(images(17, 17)))[0]
    for pixel in range(9):
        expected = fine[0] * (1 - pixel / 8) + fine[8] * pixel / 8
        np.testing.assert_allclose(fine[pixel], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("backbone", "stride"), [("VGG11", 4), ("VGG11", 16), ("VGG11", 32), ("ResNet18", 16)])
def test_other_strides(backbone, stride):
    model = DeepLabLargeFOV(backbone=backbone, output_stride=stride, upsample=False, **SMALL)
    assert model(images(65, 66)).shape == (1, -(-65 // stride), -(-66 // stride), 4)


def test_holes_and_poolings_of_vgg_are_the_release_s():
    model = DeepLabLargeFOV(backbone="VGG11", **SMALL)
    pools = [(p.pool_size[0], p.strides[0]) for p in map(model.get_layer, ("pool1", "pool3", "pool4", "pool5"))]
    assert pools == [(3, 2), (3, 2), (3, 1), (3, 1)]
    rates = {name: model.get_layer(name).dilation_rate[0] for name in ("conv4_2", "conv5_1", "conv5_2", "fc6")}
    assert rates == {"conv4_2": 1, "conv5_1": 2, "conv5_2": 2, "fc6": 12}
    assert isinstance(model.get_layer("pool5a"), keras.layers.AveragePooling2D)
    assert "pool5a" not in [layer.name for layer in DeepLab(backbone="VGG11", **SMALL).layers]


@pytest.mark.parametrize("backbone", ["VGG11", "SqueezeNetV1_1"])
def test_early_maps_add_their_scores(backbone, randomize):
    plain = DeepLabLargeFOV(backbone=backbone, upsample=False, **SMALL)
    model = randomize(DeepLabLargeFOV(backbone=backbone, upsample=False, msc=True, **SMALL))
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    for size in SIZES:
        assert model(images(*size)).shape == plain(images(*size)).shape
    x = images(41, 33)
    for layer in model.layers:
        if layer.name.startswith("fc8_") and layer.weights:
            layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    np.testing.assert_allclose(model(x), plain(x), rtol=1e-5, atol=1e-5)
    model.get_layer("fc8_image").bias.assign([1, 2, 3, 4])
    np.testing.assert_allclose(model(x) - plain(x), np.broadcast_to([1, 2, 3, 4], plain(x).shape), atol=1e-4)


def test_early_maps_alone_are_trained():
    model = train_only(DeepLabLargeFOV(backbone="VGG11", msc=True, **SMALL), "msc_", "fc8_")
    trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
    names = ("image", "pool1", "pool2", "pool3", "pool4")
    assert trained == {
        f"{part}_{name}{end}" for name in names for part, end in (("msc", "_1"), ("msc", "_2"), ("fc8", ""))
    }
    assert model.card.trainable_parameters == sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_crf_gives_the_marginals_of_logits_and_pixels(randomize):
    model = randomize(DeepLabLargeFOV(backbone="VGG11", crf=True, **SMALL))
    model.get_layer("crf").set_weights([np.float32([5, 3]), np.float32(1)])
    plain = DeepLabLargeFOV(backbone="VGG11", **SMALL)
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    pixels = np.random.default_rng(0).uniform(0, 60, (1, 40, 48, 3)).astype("float32")
    x = model.preprocessing.normalize(pixels)
    marginals = np.asarray(model(x))

    def apart(theta_beta, image):
        kernels = (kv.ops.Bilateral(5, 50, theta_beta), kv.ops.Gaussian(3, 3))
        return np.abs(DenseCRF(kernels, iterations=10)([plain(x), image]) - marginals).mean()

    assert apart(3, x) < 1e-6
    assert 1e-4 < apart(3, pixels) < min(apart(2.5, pixels), apart(3.5, pixels))  # its lattice begins elsewhere
    np.testing.assert_allclose(marginals.sum(axis=-1), 1, atol=1e-5)
    assert model.card.output == "probability"
    assert not [w.path for w in model.trainable_weights if "crf" in w.path]


def test_crf_measures_colours_in_pixel_values_whatever_the_normalisation():
    model = DeepLabLargeFOV(backbone="ResNet20CIFAR", output_stride=4, crf=True, **SMALL)
    assert min(model.preprocessing.std) > 50
    theta = model.get_layer("crf").kernels[0].theta_beta
    np.testing.assert_allclose(np.array(theta) * model.preprocessing.std, 3)


@pytest.mark.parametrize("settings", [dict(msc=True), dict(crf=True)])
def test_keras_file_keeps_outputs_and_card(settings, randomize, tmp_path):
    model = randomize(DeepLabLargeFOV(backbone="SqueezeNetV1_1", **settings, **SMALL))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.card == model.card
    np.testing.assert_array_equal(loaded(images(20, 33)), model(images(20, 33)))


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(upsample=False, crf=True), "leave upsample=True"),
    (dict(output_stride=6), "accepted: 2, 4, 8, 16, 32"),
    (dict(backbone="ResNet18", output_stride=6), r"passes through the strides \[1, 2, 4, 8, 16, 32\]"),
])  # fmt: skip
def test_what_cannot_be_built_is_an_error(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        DeepLabLargeFOV(**{"backbone": "VGG11", **arguments}, **SMALL)


def test_several_outputs(randomize):
    model = randomize(DeepLabLargeFOV(backbone="SqueezeNetV1_1", classes={"a": 2, "b": 3}, fc6=None, msc=True))
    assert {name: x.shape for name, x in model(images(20, 30)).items()} == {"a": (1, 20, 30, 2), "b": (1, 20, 30, 3)}
