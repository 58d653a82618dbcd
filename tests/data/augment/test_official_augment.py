"""Golden values of tf-models-official 2.20: how far the operations of Keras, and ours, are from them.

tf-models-official cuts results off to whole grey levels, Keras does not; what differs by more is said at each bound.
"""

import make_official_augment
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image, ImageEnhance, ImageOps

from keras_vision.data import augment
from keras_vision.data.augment.photometric import square

GOLDEN = np.load(make_official_augment.FILE)
PIXELS = make_official_augment.image()
BATCH = PIXELS[None].astype(np.float32)
NEAREST = dict(interpolation="nearest", fill_mode="reflect")
EVERYWHERE, INNER = (slice(None),), (slice(1, -1), slice(1, -1))

KERAS = {  # name: the same by Keras, where it is compared, largest difference in grey levels
    "autocontrast": (lambda: layers.AutoContrast()(BATCH), EVERYWHERE, 1),
    "invert": (lambda: layers.RandomInvert((1, 1))(BATCH, training=True), EVERYWHERE, 0),
    "posterize_3": (lambda: layers.RandomPosterization((3, 3))(BATCH, training=True), EVERYWHERE, 0),
    "solarize_100": (lambda: _given(layers.Solarization(), additions=0.0, thresholds=100.0), EVERYWHERE, 0),
    "color_0.3": (lambda: _given(layers.RandomColorDegeneration(0.5), factor=0.7), EVERYWHERE, 1.5),  # grey rounded too
    "color_1.7": (lambda: _given(layers.RandomColorDegeneration(0.5), factor=-0.7), EVERYWHERE, 1.5),
    "contrast_0.4": (lambda: _given(layers.RandomContrast(0.5), contrast_factor=0.4), EVERYWHERE, 1),
    "contrast_1.6": (lambda: _given(layers.RandomContrast(0.5), contrast_factor=1.6), EVERYWHERE, 1),
    # Keras takes black for what is beyond the border, tf-models-official leaves the border as it is.
    "sharpness_0.2": (lambda: _given(layers.RandomSharpness(0.5), factor=tf.constant([0.1])), INNER, 1.61),
    "sharpness_1.8": (lambda: _given(layers.RandomSharpness(0.5), factor=tf.constant([0.9])), INNER, 1),
    "rotate_17": (lambda: layers.RandomRotation((17 / 360, 17 / 360), **NEAREST)(BATCH, training=True), EVERYWHERE, 0),
    "shear_x_0.2": (lambda: _sheared(0.2, 0.0), EVERYWHERE, 0),
    "shear_y_-0.2": (lambda: _sheared(0.0, -0.2), EVERYWHERE, 0),
    "translate_x_5": (lambda: _translated(x=-5), EVERYWHERE, 0),
    "translate_y_-4": (lambda: _translated(y=4), EVERYWHERE, 0),
}


def _given(layer, **drawn):
    return layer.transform_images(BATCH, drawn)


def _sheared(x, y):
    return _given(layers.RandomShear(0.5, 0.5, **NEAREST), shear_factor=tf.constant([[x, y]]))


def _translated(x=0, y=0):
    return layers.RandomTranslation((y / 24, y / 24), (x / 30, x / 30), **NEAREST)(BATCH, training=True)


@pytest.mark.parametrize("name", KERAS)
def test_keras(name):
    call, where, bound = KERAS[name]
    difference = np.abs(np.asarray(call())[0] - GOLDEN[name].astype(np.float32))
    assert difference[where].max() <= bound


def test_sharpness_of_keras_differs_at_the_border():
    difference = np.asarray(KERAS["sharpness_0.2"][0]())[0] - GOLDEN["sharpness_0.2"].astype(np.float32)
    assert 50 < np.abs(difference).max() < 70  # the day this fails, Keras has mended it, and the bound above is for all


def test_equalize_is_pillows_and_that_of_keras_is_another():
    """Pillow steps by whole numbers of pixels, which tells in small pictures."""
    np.testing.assert_array_equal(GOLDEN["equalize"], ImageOps.equalize(Image.fromarray(PIXELS)))
    assert np.abs(np.asarray(layers.Equalization()(BATCH))[0] - GOLDEN["equalize"]).max() == 74
    large = (np.random.default_rng(1).integers(0, 256, (224, 224, 3)) // 2 + 40).astype(np.uint8)
    pillow = np.asarray(ImageOps.equalize(Image.fromarray(large)), np.float32)
    assert np.abs(np.asarray(layers.Equalization()(large[None].astype(np.float32)))[0] - pillow).max() <= 2


def test_brightness_is_pillows_and_keras_adds_instead():
    expected = np.asarray(ImageEnhance.Brightness(Image.fromarray(PIXELS)).enhance(1.3), np.float32)
    assert np.abs(GOLDEN["brightness_1.3"] - expected).max() <= 1
    added = np.asarray(_given(layers.RandomBrightness(0.5), rgb_delta=30.0))[0]
    np.testing.assert_array_equal(added, np.minimum(BATCH[0] + 30, 255))


@pytest.mark.parametrize("factor", [0.4, 1.6])
def test_contrast_of_ours(factor):
    change = augment.ColorDistortion(brightness=0, saturation=(1, 1), hue=0, contrast=(factor, factor))
    got = change(tf.constant(BATCH[0]), tf.constant([1, 2])).numpy()
    assert np.abs(got - GOLDEN[f"contrast_{factor}"]).max() <= 1


@pytest.mark.parametrize(("name", "offset", "shown"), [
    ("translate_x_5", (0, 5), (slice(0, 24), slice(0, 25))),
    ("translate_y_-4", (-4, 0), (slice(4, 24), slice(0, 30))),
])  # fmt: skip
def test_windows_of_ours_move_by_the_same_pixels(name, offset, shown):
    window = augment.Window(tf.constant(offset, tf.float32), tf.constant([24.0, 30.0]), tf.constant(False))
    got = augment.show(tf.constant(PIXELS), window, (24, 30)).numpy()
    np.testing.assert_array_equal(got[shown], GOLDEN[name][shown])


@pytest.mark.parametrize(("name", "y", "x"), [("cutout_3_at_10_1", 10, 1), ("cutout_3_at_22_20", 22, 20)])
def test_the_square_of_cutout(name, y, x):
    inside = square((24, 30), (y - 3, x - 3), 6).numpy()
    np.testing.assert_array_equal(np.where(inside[..., None], 128, PIXELS), GOLDEN[name])
