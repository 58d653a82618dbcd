"""Preprocessing against Pillow's resize-then-crop and Keras' preprocess_input."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.applications import inception_v3, squeezenet
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing

CAFFE = Preprocessing(size=(224, 224), resize_shorter=256, color="BGR", mean=(103.939, 116.779, 123.68))
TF = Preprocessing(size=(224, 224), resize_shorter=256, mean=(127.5,) * 3, std=(127.5,) * 3)
TORCH = Preprocessing(
    size=(224, 224),
    resize_shorter=256,
    mean=tuple(255 * m for m in (0.485, 0.456, 0.406)),
    std=tuple(255 * s for s in (0.229, 0.224, 0.225)),
)
MODES = {"caffe": CAFFE, "tf": TF, "torch": TORCH}


def photograph(height, width):
    """Smooth colours with some noise, so that a shift of the crop shows."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    smooth = np.stack([255 * y, 255 * x, 127 + 127 * np.sin(20 * x * y)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def resize_then_crop(image, spec):
    scale = spec.resize_shorter / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    left, top = (width - spec.size[1]) // 2, (height - spec.size[0]) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + spec.size[1], top + spec.size[0])))


# --------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("shape", [(300, 400), (401, 333), (227, 227), (120, 90), (97, 640), (1000, 256)])
@pytest.mark.parametrize(("size", "shorter"), [((227, 227), 256), ((64, 96), 96), ((96, 64), 128), ((299, 299), 342)])
def test_pixels_equal_resize_then_crop(shape, size, shorter):
    spec, image = Preprocessing(size, shorter), photograph(*shape)
    difference = np.abs(spec.pixels(image).astype(int) - resize_then_crop(image, spec))
    assert difference.max() <= 2  # Pillow rounds to 8 bits after each of its two passes
    assert (difference > 1).mean() < 1e-5


def test_pixels_without_a_shorter_side_squash():
    image = photograph(150, 400)
    squashed = np.asarray(image.resize((96, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Preprocessing((64, 96), None).pixels(image), squashed)


@pytest.mark.parametrize("size", [32, 49])
def test_a_crop_of_the_whole_shorter_side_fits_every_image(size):
    spec = Preprocessing((size, size), size)
    for side in range(1, 400):
        assert (spec.pixels(Image.new("L", (side, side + 3), 7)) == 7).all(), side
        assert (spec.pixels(Image.new("L", (side + 3, side), 7)) == 7).all(), side


STRIP = """
import resource
from PIL import Image
from keras_vision.runtime import Preprocessing
image = Image.new("RGB", {size}, "red")
resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))
pixels = Preprocessing((227, 227), 256)(image)
assert pixels.shape == (227, 227, 3) and (pixels[..., 0] == 255).all()
"""


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_a_strip_never_fills_the_memory(size):
    subprocess.run([sys.executable, "-c", STRIP.format(size=size)], check=True)


def test_an_array_is_no_image():
    with pytest.raises(KerasVisionError, match=r"ndarray is no Pillow image; .*open_image.*fromarray"):
        TF(np.zeros((9, 9, 3), np.uint8))


def test_grey_and_transparent_images():
    image = photograph(50, 60)
    grey = Preprocessing((32, 32), 40, color="L", mean=(10.0,), std=(2.0,))
    assert grey.pixels(image).shape == (32, 32, 1)
    np.testing.assert_array_equal(grey(image), (grey.pixels(image).astype("float32") - 10) / 2)
    rgb = Preprocessing((32, 32), 40)
    np.testing.assert_array_equal(rgb.pixels(image.convert("RGBA")), rgb.pixels(image))
    np.testing.assert_array_equal(np.ptp(rgb.pixels(image.convert("L")), axis=-1), 0)


# ----------------------------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("mode", MODES)
def test_normalisation_equals_keras(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3), np.uint8)
    expected = keras.applications.imagenet_utils.preprocess_input(pixels.astype("float32"), mode=mode)
    actual = MODES[mode].normalize(pixels)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("module", [squeezenet, inception_v3])
def test_preprocess_input_is_the_same_on_arrays_tensors_and_in_a_graph(module):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3), np.uint8)
    before = pixels.copy()
    expected = module.preprocess_input(pixels)
    np.testing.assert_array_equal(pixels, before)
    assert expected.dtype == np.float32
    graph = tf.function(module.preprocess_input)
    images = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(images, module.preprocess_input(images))
    for actual in (module.preprocess_input(tf.constant(pixels)), graph(tf.constant(pixels)), model(pixels)):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("module", [squeezenet, inception_v3])
def test_preprocess_input_is_channels_last_only(module):
    with pytest.raises(KerasVisionError, match="channels_last only"):
        module.preprocess_input(np.zeros((1, 3, 8, 8)), data_format="channels_first")
    module.preprocess_input(np.zeros((1, 8, 8, 3)), data_format="channels_last")


def test_preprocess_input_of_inception_equals_keras():
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 9, 8, 3)).astype("float32")
    expected = keras.applications.inception_v3.preprocess_input(pixels.copy())
    np.testing.assert_allclose(inception_v3.preprocess_input(pixels), expected, atol=1e-6)


def test_without_normalization_keeps_geometry_only():
    image = photograph(300, 400)
    plain = CAFFE.without_normalization()
    np.testing.assert_array_equal(plain(image), CAFFE.pixels(image).astype("float32"))
    np.testing.assert_array_equal(CAFFE.normalize(plain(image)), CAFFE(image))


# --------------------------------------------------------------------------------------------------- variants


@pytest.mark.parametrize(
    ("size", "shorter"), [((112, 112), 128), ((224, 224), 256), ((299, 299), 342), ((100, 200), 200)]
)
def test_another_input_size_keeps_the_share_of_the_crop(size, shorter):
    spec = CAFFE.for_input(*size, 3)
    assert (spec.size, spec.resize_shorter) == (size, shorter)
    assert (spec.color, spec.mean, spec.std) == (CAFFE.color, CAFFE.mean, CAFFE.std)


def test_another_input_size_still_squashes_what_was_squashed():
    assert Preprocessing((227, 227), None).for_input(64, 96, 3) == Preprocessing((64, 96), None)


def test_grey_input_takes_the_average_of_the_channels():
    grey = TORCH.for_input(224, 224, 1)
    assert (grey.color, grey.channels) == ("L", 1)
    np.testing.assert_allclose(grey.mean, [np.mean(TORCH.mean)])
    np.testing.assert_allclose(grey.std, [np.mean(TORCH.std)])
    assert grey.for_input(224, 224, 1) == grey


@pytest.mark.parametrize("spec", [CAFFE, TF, TORCH, TORCH.for_input(64, 96, 1), Preprocessing((8, 9), None)])
def test_dictionary_round_trip_through_json(spec):
    assert Preprocessing.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


GOOD = dict(size=(8, 8), resize_shorter=None)
WRONG = [
    (dict(color="CMYK"), "color='CMYK'; accepted: RGB, BGR, L"),
    (dict(mean=(0.0,)), "need 3 values each for color='RGB'"),
    (dict(std=(1.0, 1.0)), "need 3 values each for color='RGB'"),
    (dict(color="L"), "need 1 values each for color='L'"),
    (dict(resize_shorter=7), "resize_shorter=7 leaves no room for a crop of .8, 8.; give at least 8, or None"),
    (dict(size=(8, 12), resize_shorter=10), "give at least 12"),
    (dict(std=(1.0, 0.0, 1.0)), "std"),
    (dict(size=(0, 8)), "size"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_wrong_values_are_named(values, message):
    with pytest.raises(KerasVisionError, match=message):
        Preprocessing(**{**GOOD, **values})


@pytest.mark.parametrize("values", [{}, {**GOOD, "crop": 3}, {**GOOD, "mean": None}, {**GOOD, "size": 8}])
def test_what_is_no_description_is_an_error(values):
    with pytest.raises(KerasVisionError):
        Preprocessing.from_dict(values)


def test_other_channels_take_the_three_again_and_again_and_need_arrays():
    spec = Preprocessing((8, 8), 9, "BGR", (104.0, 117.0, 123.0), (1.0, 2.0, 4.0)).for_input(8, 8, 5)
    assert spec.mean == (104.0, 117.0, 123.0, 104.0, 117.0)
    assert spec.std == (1.0, 2.0, 4.0, 1.0, 2.0)
    assert spec.normalize(np.full((8, 8, 5), 104, np.uint8)).shape == (8, 8, 5)
    with pytest.raises(KerasVisionError, match="5 channels"):
        spec.pixels(Image.new("RGB", (8, 8)))
