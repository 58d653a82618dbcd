"""Descriptors against windows cut out one by one, and on real images with real weights."""

import doctest
import io
import tarfile

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from sklearn.svm import LinearSVC

import keras_vision as kv
from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import caltech_splits, describe, features, mean_class_recall
from keras_vision.model import VisionModel

SIZE = 96  # pool5 of VGG is then 3 x 3, and 4 x 5 for the photograph at a scale of 128


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def close(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * np.ptp(expected)


def classifier(name, size, randomize, **settings):
    return randomize(kv.create_model(name, weights=None, classes=10, input_shape=(size, size, 3), **settings))


@pytest.fixture(scope="module")
def vgg(randomize):
    return classifier("VGG11", SIZE, randomize)


@pytest.fixture(scope="module")
def photograph():
    """Smooth noise, so that resizing leaves something of it: 110 x 150 pixels."""
    noise = np.random.default_rng(3).integers(0, 256, (11, 15, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((150, 110), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def windows(vgg):
    """`(pixels) -> fc7` of each window of pool5 in turn, averaged: VGG's dense evaluation by hand."""
    trunk = kv.applications.VGG11(include_top=False, weights=None, input_shape=(None, None, 3))
    for layer in trunk.layers:
        layer.set_weights(vgg.get_layer(layer.name).get_weights())

    def averaged(pixels):
        maps = np.asarray(trunk(vgg.preprocessing.normalize(pixels)[None]))[0]
        rows, columns = (cells - 2 for cells in maps.shape[:2])
        vectors = []
        for row in range(rows):
            for column in range(columns):
                x = maps[row : row + 3, column : column + 3].reshape(-1)
                for name in ("fc6", "fc7"):
                    kernel, bias = vgg.get_layer(name).get_weights()
                    x = np.maximum(x @ kernel + bias, 0)
                vectors.append(x)
        return np.mean(vectors, axis=0), (rows, columns)

    return averaged


@pytest.fixture(scope="module")
def by_hand(windows, photograph):
    """Descriptors before the normalisation, by (scale, mirrored)."""
    found = {}
    for scale, size in ((96, (131, 96)), (128, (175, 128))):
        pixels = np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BILINEAR))
        for mirrored in (False, True):
            found[scale, mirrored], shape = windows(pixels[:, ::-1] if mirrored else pixels)
            assert shape == {96: (1, 2), 128: (2, 3)}[scale]
    return found


def test_the_mean_over_windows(vgg, photograph, by_hand):
    close(describe(vgg, [photograph], scales=(128,), mirror=False), unit(by_hand[128, False])[None])


def test_the_mean_with_the_mirrored_image(vgg, photograph, by_hand):
    expected = unit((by_hand[128, False] + by_hand[128, True]) / 2)
    close(describe(vgg, [photograph], scales=(128,)), expected[None])
    assert np.abs(expected - unit(by_hand[128, False])).max() > 1e-3
    close(describe(vgg, [photograph, photograph[:, ::-1]], scales=(128,)), np.stack([expected, expected]))


def test_two_scales_averaged_or_stacked(vgg, photograph, by_hand):
    small, large = ((by_hand[scale, False] + by_hand[scale, True]) / 2 for scale in (96, 128))
    averaged = describe(vgg, [photograph], scales=(96, 128))
    stacked = describe(vgg, [photograph], scales=(96, 128), aggregate="stack")
    close(averaged, unit((small + large) / 2)[None])
    close(stacked, unit(np.concatenate([small, large]))[None])
    assert averaged.dtype == stacked.dtype == np.float32
    np.testing.assert_allclose([np.linalg.norm(averaged), np.linalg.norm(stacked)], 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [
        ("VGG11BN", 64, "fc7"),
        ("SqueezeNet", 99, "fire9"),
        ("SqueezeNetV1_1", 99, "fire9"),
        ("InceptionV3_79", 79, "avg_pool"),
    ],
)
def test_at_its_own_size_it_is_what_the_classifiers_last_layer_sees(name, size, layer, randomize):
    model = classifier(name, size, randomize)
    pixels = np.random.default_rng(4).integers(0, 256, (2, size, size, 3), np.uint8)
    seen = keras.Model(model.input, model.get_layer(layer).output)(model.preprocessing.normalize(pixels))
    expected = np.asarray(seen) if len(seen.shape) == 2 else np.asarray(seen).mean((1, 2))
    close(describe(model, pixels, scales=(size,), mirror=False), unit(expected))


@pytest.mark.parametrize("scale", [20, 75])
def test_pooled_networks_take_any_scale_and_weigh_all_positions_alike(scale, vgg, randomize):
    convolution = layers.Conv2D(8, 3, strides=4, activation="relu")
    image = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(convolution(image))
    model = randomize(VisionModel(image, layers.Dense(4)(layers.Dropout(0.5)(pooled)))).with_card(vgg.card)
    pixels = np.random.default_rng(5).integers(0, 256, (1, scale, scale + 10, 3), np.uint8)
    expected = np.asarray(convolution(model.preprocessing.normalize(pixels))).mean((1, 2))
    close(describe(model, pixels, scales=(scale,), mirror=False), unit(expected))


def test_another_layer_by_its_name(vgg, photograph):
    assert describe(vgg, [photograph], scales=(96,), layer="pool5").shape == (1, 512)
    squeezenet = kv.create_model("SqueezeNet", weights=None, classes=10, input_shape=(64, 64, 3))
    squeezed = describe(squeezenet, [photograph], scales=(64,), layer="fire5/squeeze1x1")
    assert squeezed.shape == (1, 32)


def test_sources_of_any_kind_in_their_order(vgg, photograph, tmp_path):
    Image.fromarray(photograph).save(tmp_path / "a.png")
    grey = photograph[..., 0]
    encoded = (tmp_path / "a.png").read_bytes()
    calls = []
    sources = [tmp_path / "a.png", grey, str(tmp_path / "a.png"), encoded, Image.fromarray(grey)]
    found = describe(vgg, sources, scales=(96,), progress=lambda *call: calls.append(call))
    close(found[[0, 0, 1]], found[[2, 3, 4]])
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert calls == [(done, 5) for done in range(1, 6)]
    images = LabelledImages(sources[:2], np.array([0, 1]), ("a", "b"))
    close(describe(vgg, images, scales=(96,)), found[:2])


def test_unusable_images_are_found_before_any_work_and_named_together(vgg, photograph, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    strip = np.zeros((1, 500, 3), np.uint8)
    with pytest.raises(KerasVisionError) as caught:
        describe(vgg, [photograph, tmp_path / "broken.jpg", tmp_path / "gone.jpg", strip], progress=pytest.fail)
    message = str(caught.value)
    assert "3 of 4 images" in message
    assert f"image 1: {tmp_path / 'broken.jpg'}: not an image in a known format" in message
    assert "image 2:" in message
    assert "image 3: 256000 x 512 pixels at scale 512" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(aggregate="max"), "accepted: average, stack"),
        (dict(layer="fc9"), "Did you mean fc"),
        (dict(layer="nothing"), "Known: "),
        (dict(scales=(95, 96)), "at least 96"),
        (dict(scales=()), "at least one scale"),
        (dict(images=[]), "at least one image"),
        (dict(images="photos"), "give a list"),
    ],
)
def test_what_it_does_not_take(vgg, photograph, arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        describe(vgg, **{"images": [photograph], "scales": (96,), **arguments})


def test_models_it_does_not_take(vgg, photograph):
    with pytest.raises(KerasVisionError, match="no model card"):
        describe(keras.Model(vgg.input, vgg.output), [photograph])
    with pytest.raises(KerasVisionError, match="not classes"):
        describe(kv.applications.VGG11(include_top=False, weights=None), [photograph])
    broken = kv.create_model("SqueezeNetV1_1", weights=None, classes=10, input_shape=(64, 64, 3))
    broken.get_layer("conv1").bias.assign(np.full(64, np.nan))
    with pytest.raises(KerasVisionError, match="not finite"):
        describe(broken, [photograph], scales=(64,))


def test_the_modules_example():
    result = doctest.testmod(features)
    assert (result.attempted > 10, result.failed) == (True, 0)


def test_squeezenets_features_recognise_cifars_classes_from_thirty_images_each(shared):
    """A linear SVM on them finds 65 % of 200 test images, chance is 10 %, the same SVM on pixels finds 24 %."""
    with tarfile.open(shared / "data/cifar10_jpeg/cifar10_jpeg_test.tar.gz") as archive:
        wanted = [m for m in archive.getmembers() if m.isfile() and int(m.name[-8:-4]) < 50]
        files = {member.name: archive.extractfile(member).read() for member in wanted}
    sources, labels = [files[name] for name in sorted(files)], np.repeat(np.arange(10), 50)
    [(train, test)] = caltech_splits(labels, per_class=30, test_per_class=20, splits=1)
    model = kv.create_model("SqueezeNet", weights=shared / "weights/compressed_SqueezeNet.net")
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(source))).reshape(-1) for source in sources])
    recall = {
        name: mean_class_recall(LinearSVC().fit(x[train], labels[train]).predict(x[test]), labels[test])
        for name, x in (("features", describe(model, sources, scales=(96,))), ("pixels", unit(pixels)))
    }
    assert recall["features"] > 0.55
    assert 0.1 < recall["pixels"] < 0.35
