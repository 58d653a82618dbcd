"""How images and masks are shown through a window: against Pillow, naive loops, and each other."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import augment

VOID = 255


def _window(offset, extent, mirror=False):
    return augment.Window(tf.constant(offset, tf.float32), tf.constant(extent, tf.float32), tf.constant(mirror))


def _nearest(mask, offset, extent, size, mirror):
    """A cell at a time: the pixel that holds the cell's centre."""
    shown = np.full(size, VOID, mask.dtype)
    for row in range(size[0]):
        for column in range(size[1]):
            y = int(np.floor(offset[0] + (row + 0.5) * extent[0] / size[0]))
            x = int(np.floor(offset[1] + (column + 0.5) * extent[1] / size[1]))
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                shown[row, column] = mask[y, x]
    return shown[:, ::-1] if mirror else shown


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("offset", "extent"), [
    ((0, 0), (12, 16)),  # each cell's centre lies on a corner of four pixels
    ((0, 0), (6, 8)),
    ((-3.25, 2.5), (20.0, 9.75)),
    ((-40, -40), (6, 8)),  # nothing of the image
])  # fmt: skip
def test_masks_as_a_naive_loop(offset, extent, mirror):
    mask = np.random.default_rng(0).integers(0, 21, (12, 16), dtype=np.uint8)
    shown = augment.show_mask(tf.constant(mask), _window(offset, extent, mirror), (6, 8), VOID)
    assert shown.dtype == tf.uint8
    np.testing.assert_array_equal(shown, _nearest(mask, offset, extent, (6, 8), mirror))


def test_classes_are_never_averaged():
    mask = np.array([[0, 10], [0, 10]], np.uint8)  # the only cell's centre is the middle
    assert augment.show_mask(tf.constant(mask), _window((0, 0), (2, 2)), (1, 1), VOID).numpy() == [[10]]


@pytest.mark.parametrize("size", [(10, 12), (57, 80)])  # smaller and larger than what is shown
@pytest.mark.parametrize("mirror", [False, True])
def test_images_as_pillow(size, mirror):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    box = (3.5, 1.25, 43.5, 36.25)  # left, top, right, bottom
    shown = augment.show(tf.constant(pixels), _window((1.25, 3.5), (35, 40), mirror), size)
    expected = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR, box=box))
    expected = expected[:, ::-1] if mirror else expected
    inner = (slice(3, -3), slice(3, -3))  # Pillow takes no pixel from outside the box
    assert np.abs(shown.numpy() - expected)[inner].max() <= 1.01


def test_outside_of_the_image_is_the_fill():
    pixels = tf.fill([4, 5, 3], 200.0)
    shown = augment.show(pixels, _window((-2, -1), (8, 8)), (8, 8), fill=50.0).numpy()
    expected = np.full((8, 8, 3), 50.0)
    expected[2:6, 1:6] = 200
    np.testing.assert_array_equal(shown, expected)


GEOMETRIES = {
    "AreaCrop": augment.AreaCrop(),
    "ScaleJitter": augment.ScaleJitter((24, 70)),
    "CentrePatchCrop": augment.CentrePatchCrop(32),
    "Translation": augment.Translation(9),
    "ScaleAndCrop": augment.ScaleAndCrop(),
    "PaddedCrop": augment.PaddedCrop(),
    "CentreCrop": augment.CentreCrop(28),
    "squash": augment.CentreCrop(),
}


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("axis", [0, 1])
def test_masks_go_where_their_images_go(name, axis):
    """The image's values, and the mask's classes, are the coordinate: a cell of both says where it comes from."""
    source, target = (61, 47), (24, 20)
    coordinate = np.broadcast_to(np.arange(source[axis]).reshape((-1, 1) if axis == 0 else (1, -1)), source)
    compared = 0
    for seed in range(20):
        window = GEOMETRIES[name](tf.constant(source), target, tf.constant([seed, 7]))
        image = augment.show(tf.constant(coordinate[..., None], tf.float32), window, target).numpy()[..., 0]
        mask = augment.show_mask(tf.constant(coordinate, tf.int32), window, target, -1).numpy()
        reach = 1 + float(window.extent[axis]) / target[axis]  # further in, no border changes the average
        inner = (mask >= reach) & (mask <= source[axis] - 1 - reach)
        compared += inner.sum()
        assert np.abs(image - mask)[inner].max() <= 0.5 + 1e-3
    assert compared > 20 * 100


@pytest.mark.parametrize("name", GEOMETRIES)
def test_shown_the_same_eagerly_and_in_a_map(name):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (61, 47, 3), dtype=np.uint8)
    mask = rng.integers(0, 21, (61, 47), dtype=np.uint8)

    def shown(seed):
        window = GEOMETRIES[name](tf.shape(pixels)[:2], (24, 20), tf.stack([seed, 7]))
        image = augment.show(tf.constant(pixels), window, (24, 20), fill=128.0)
        # A sum after a sum is what graphs like to merge.
        return augment.PCAColor()(image, tf.stack([seed, 8])), augment.show_mask(mask, window, (24, 20), VOID)

    mapped = tf.data.Dataset.range(30).map(shown).as_numpy_iterator()
    for number, (image, classes) in enumerate(mapped):
        same_image, same_classes = shown(tf.constant(number, tf.int64))
        np.testing.assert_array_equal(image, same_image)
        np.testing.assert_array_equal(classes, same_classes)


@pytest.mark.parametrize("name", ["Translation", "PaddedCrop", "ScaleAndCrop"])
def test_at_the_same_scale_an_image_is_its_own_mask(name):
    mask = np.random.default_rng(2).integers(1, 200, (24, 20), dtype=np.uint8)
    geometry = augment.ScaleAndCrop((1.0, 1.0)) if name == "ScaleAndCrop" else GEOMETRIES[name]
    for seed in range(20):
        window = geometry(tf.constant(mask.shape), (24, 20), tf.constant([seed, 3]))
        red = augment.show(tf.constant(np.repeat(mask[..., None], 3, -1)), window, (24, 20))[..., 0]
        np.testing.assert_array_equal(red, augment.show_mask(tf.constant(mask), window, (24, 20), 0))


def test_an_augmentation_knows_whether_masks_may_follow():
    import keras

    moving = augment.keras_photometric(keras.layers.RandAugment())
    still = augment.keras_photometric(keras.layers.RandomErasing())
    assert augment.vgg().mask_safe
    assert augment.Augmentation(augment.AreaCrop(), (augment.Cutout(), still)).mask_safe
    assert not augment.Augmentation(augment.AreaCrop(), (augment.Cutout(), moving)).mask_safe
