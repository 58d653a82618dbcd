"""Pictures of occlusion, of models whose score is known to depend on one patch alone."""

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib import colormaps
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.visualization import heat_picture, occlusion, occlusion_picture

HEIGHT, WIDTH = 60, 90
ROWS, COLUMNS = slice(36, 42), slice(66, 72)  # the patch
GREY = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def found():
    """Occlusion of an image of ones by the mean of the patch, and of its negative, squares of 18, every 6 pixels."""
    image = keras.Input((HEIGHT, WIDTH, 3))
    around = ((ROWS.start, HEIGHT - ROWS.stop), (COLUMNS.start, WIDTH - COLUMNS.stop))
    patch = layers.GlobalAveragePooling2D()(layers.Cropping2D(around)(image))
    scores = layers.Dense(2, use_bias=False)
    model = keras.Model(image, scores(patch))
    scores.set_weights([np.repeat([[1.0, -1.0]], 3, axis=0)])
    ones = np.ones((2, HEIGHT, WIDTH, 3), np.float32)
    return occlusion(model, ones, [0, 1], window=18, stride=6)


def heat_of(picture):
    """From 0 to 1, from the colours of a picture with `alpha=1`."""
    colours = 255 * colormaps["jet"](np.arange(256))[:, :3]
    pixels = np.asarray(picture, np.float64)
    return np.square(pixels[:, :, None] - colours).sum(-1).argmin(-1) / 255


def test_the_hottest_place_is_the_patch_that_the_score_depends_on(found):
    """Squares of 18 pixels that hide the whole patch of 6 have their centres up to 6 pixels from its own."""
    heat = heat_of(occlusion_picture(GREY, found[0], window=18, stride=6, alpha=1))
    hottest = np.argwhere(heat == heat.max())
    middle = np.array([(ROWS.start + ROWS.stop - 1) / 2, (COLUMNS.start + COLUMNS.stop - 1) / 2])
    np.testing.assert_allclose(hottest.mean(0), middle, atol=0.5)
    assert np.abs(hottest - middle).max() <= 6.5
    assert heat[ROWS, COLUMNS].min() == 1
    apart = np.abs(np.mgrid[:HEIGHT, :WIDTH] - middle[:, None, None]).max(0) > 12.5  # no square hides any of the patch
    assert heat[apart].max() == 0
    cold = heat_of(occlusion_picture(GREY, found[1], window=18, stride=6, alpha=1))  # where hiding raises the score
    np.testing.assert_allclose(cold, 1 - heat, atol=1 / 255)
    stretched = heat_of(heat_picture(GREY, -found[0], alpha=1))  # corners of squares, over the whole image
    assert np.abs(np.argwhere(stretched == stretched.max()).mean(0) - middle).max() > 2


def test_colours_lie_over_the_image_that_the_network_saw(found):
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 256, GREY.shape, np.uint8))
    without = occlusion_picture(photograph, found[0], window=18, stride=6, alpha=0)
    np.testing.assert_array_equal(without, photograph)
    colours, half = (occlusion_picture(photograph, found[0], window=18, stride=6, alpha=a) for a in (1, 0.5))
    np.testing.assert_allclose(half, (np.asarray(photograph, float) + np.asarray(colours, float)) / 2, atol=1)


@pytest.mark.parametrize(("settings", "image"), [
    (dict(window=18, stride=9), GREY),
    (dict(), GREY),
    (dict(window=18, stride=0), GREY),
    (dict(window=0, stride=6), GREY),
    (dict(window=18, stride=6), GREY[:, :-6]),
])  # fmt: skip
def test_squares_other_than_those_of_the_outputs_are_errors(settings, image, found):
    with pytest.raises(KerasVisionError, match=r"outputs of shape \(8, 13\)"):
        occlusion_picture(image, found[0], **settings)


def test_outputs_of_something_else_are_errors(found):
    for outputs in (found, np.where(found[0] > 0.5, np.nan, found[0])):
        with pytest.raises(KerasVisionError, match=r"finite outputs \(8, 13\)"):
            occlusion_picture(GREY, outputs, window=18, stride=6)
