"""Colours against colorsys and NumPy, hidden parts against naive loops, and how often each comes."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_vision import KerasVisionError
from keras_vision.data import augment, decode_image
from keras_vision.data.augment.photometric import IMAGENET_EIGENVALUES, IMAGENET_EIGENVECTORS

SIGNIFICANT = 1e-3
NOTHING = dict(brightness=0, saturation=(1, 1), hue=0, contrast=(1, 1))
CHANGES = {
    "ColorDistortion": augment.ColorDistortion(),
    "PCAColor": augment.PCAColor(),
    "Cutout": augment.Cutout(8, fill=(1.0, 2.0, 3.0), rate=0.7),
    "HideAndSeek": augment.HideAndSeek((0, 5, 8)),
}


def _many(change, pixels, count):
    """Results for seeds (0, 9), (1, 9) ..., drawn inside tf.data.map, `(count, h, w, 3)`."""
    seeds = tf.data.Dataset.range(count).map(lambda n: change(tf.constant(pixels), tf.stack([n, 9])))
    return next(seeds.batch(count).as_numpy_iterator())


def _pixels(low=0, high=256, shape=(13, 17, 3)):
    return np.random.default_rng(0).integers(low, high, shape).astype(np.float32)


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_eagerly_and_in_graphs(name):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (60, 31, 40, 3)).astype(np.float32)
    seeds = rng.integers(0, 2**31, (60, 2)).astype(np.int32)
    mapped = tf.data.Dataset.from_tensor_slices((images, seeds)).map(CHANGES[name]).as_numpy_iterator()
    traced = tf.function(CHANGES[name])
    changed = 0
    for image, seed, expected in zip(images, seeds, mapped, strict=True):
        np.testing.assert_array_equal(CHANGES[name](tf.constant(image), tf.constant(seed)), expected)
        np.testing.assert_array_equal(traced(image, seed), expected)
        assert expected.min() >= 0
        assert expected.max() <= 255
        changed += (expected != image).any()
    assert changed > 30


def test_without_any_range_nothing_changes():
    np.testing.assert_array_equal(augment.ColorDistortion(**NOTHING)(tf.constant(_pixels()), (1, 2)), _pixels())


def _by_colorsys(pixels, change):
    flat = [change(*colorsys.rgb_to_hsv(*(pixel / 255.0))) for pixel in pixels.reshape(-1, 3)]
    return np.array([colorsys.hsv_to_rgb(*pixel) for pixel in flat]).reshape(pixels.shape) * 255


def test_saturation_as_colorsys():
    change = augment.ColorDistortion(**NOTHING | dict(saturation=(1.4, 1.4)))
    expected = _by_colorsys(_pixels(), lambda h, s, v: (h, min(s * 1.4, 1), v))
    np.testing.assert_allclose(_many(change, _pixels(), 3), np.stack([expected] * 3), atol=1e-2)


def test_hue_turns_all_colours_alike_and_as_far_as_allowed():
    results = _many(augment.ColorDistortion(**NOTHING | dict(hue=0.2)), _pixels(), 300)
    first = colorsys.rgb_to_hsv(*_pixels()[0, 0])[0]
    turns = np.array([(colorsys.rgb_to_hsv(*image[0, 0])[0] - first + 0.5) % 1 - 0.5 for image in results])
    assert stats.ks_1samp((turns + 0.2) / 0.4, stats.uniform.cdf).pvalue > SIGNIFICANT
    expected = _by_colorsys(_pixels(), lambda h, s, v: ((h + turns[0]) % 1, s, v))
    np.testing.assert_allclose(results[0], expected, atol=0.05)


def test_brightness_is_uniform():
    pixels = _pixels(100, 150)
    added = _many(augment.ColorDistortion(**NOTHING | dict(brightness=32)), pixels, 1000) - pixels
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], added.shape), atol=1e-4)
    assert stats.ks_1samp((added[:, 0, 0, 0] + 32) / 64, stats.uniform.cdf).pvalue > SIGNIFICANT


def test_changes_come_in_either_order():
    pixels = _pixels(100, 150)

    def contrast(image):
        mean = image.mean((0, 1))
        return (image - mean) * 1.5 + mean

    def saturation(image):
        return _by_colorsys(image, lambda h, s, v: (h, s * 0.5, v))

    one, other = saturation(contrast(pixels)), contrast(saturation(pixels))
    change = augment.ColorDistortion(**NOTHING | dict(saturation=(0.5, 0.5), contrast=(1.5, 1.5)))
    results = _many(change, pixels, 400)
    first = np.abs(results - one).max((1, 2, 3)) < 0.01
    second = np.abs(results - other).max((1, 2, 3)) < 0.01
    assert (first ^ second).all()
    assert stats.binomtest(int(first.sum()), 400).pvalue > SIGNIFICANT


def test_pca_colour_shifts_along_the_principal_components():
    pixels = _pixels(100, 150)
    shifts = _many(augment.PCAColor(0.1), pixels, 4000) - pixels
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:, :1, :1], shifts.shape), atol=1e-4)
    amounts = shifts[:, 0, 0] @ np.array(IMAGENET_EIGENVECTORS)  # the eigenvectors are orthonormal
    for amount, eigenvalue in zip(amounts.T, IMAGENET_EIGENVALUES, strict=True):
        assert stats.ks_1samp(amount / (255 * 0.1 * eigenvalue), stats.norm.cdf).pvalue > SIGNIFICANT
    independent = np.corrcoef(amounts.T) - np.eye(3)
    assert np.abs(independent).max() < 0.06  # 3.8 standard deviations for 4000 draws


def test_the_principal_components_are_those_of_photographs(shared):
    files = sorted((shared / "data" / "imagenet_sample").glob("*.JPEG"))[::4]
    sample = np.concatenate([decode_image(file.read_bytes()).numpy()[::9, ::9].reshape(-1, 3) for file in files]) / 255
    values, vectors = np.linalg.eigh(np.cov(sample.T))
    for column, value in enumerate(IMAGENET_EIGENVALUES):
        assert abs(vectors[:, 2 - column] @ np.array(IMAGENET_EIGENVECTORS)[:, column]) > 0.98
        assert value / 1.5 < values[2 - column] < value * 1.5


def _cut(pixels, y, x, size):
    """A pixel at a time."""
    cut = pixels.copy()
    for row in range(y - size // 2, y - size // 2 + size):
        for column in range(x - size // 2, x - size // 2 + size):
            if 0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]:
                cut[row, column] = (7, 8, 9)
    return cut


@pytest.mark.parametrize("size", [1, 3, 4])
def test_cutout_takes_every_centre_as_often(size):
    pixels = _pixels(10, 256, (6, 7, 3))
    every = [_cut(pixels, y, x, size).tobytes() for y in range(6) for x in range(7)]
    results = [image.tobytes() for image in _many(augment.Cutout(size, fill=(7.0, 8.0, 9.0)), pixels, 4200)]
    assert {*results} == {*every}
    counts = [results.count(key) for key in dict.fromkeys(every)]
    assert stats.chisquare(counts, [100.0 * every.count(key) for key in dict.fromkeys(every)]).pvalue > SIGNIFICANT


def test_cutout_changes_as_many_images_as_asked():
    pixels = _pixels(10, 256)
    results = _many(augment.Cutout(4, fill=0, rate=0.3), pixels, 1000)
    assert stats.binomtest(int((results != pixels).any((1, 2, 3)).sum()), 1000, 0.3).pvalue > SIGNIFICANT


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_hide_and_seek_hides_patches_as_a_naive_loop(rate):
    pixels, fill = _pixels(10, 256), (1.0, 2.0, 3.0)
    results = _many(augment.HideAndSeek((5,), rate, fill), pixels, 300)
    hidden = total = 0
    for image in results:
        expected = pixels.copy()
        for y in range(0, 13, 5):
            for x in range(0, 17, 5):
                total += 1
                if (image[y, x] == fill).all():
                    hidden += 1
                    expected[y : y + 5, x : x + 5] = fill
        np.testing.assert_array_equal(image, expected)
    assert total == 300 * 12
    assert stats.binomtest(hidden, total, rate).pvalue > SIGNIFICANT


def test_hide_and_seek_draws_a_size_per_image():
    pixels = _pixels(10, 256)
    results = _many(augment.HideAndSeek((0, 100, 5, 0), 1.0, 0.0), pixels, 400)
    untouched = (results == pixels).all((1, 2, 3))
    assert ((results == 0).all((1, 2, 3)) ^ untouched).all()
    assert stats.binomtest(int(untouched.sum()), 400, 0.5).pvalue > SIGNIFICANT


@pytest.mark.parametrize("change", [augment.PCAColor(), augment.ColorDistortion()])
def test_colours_are_not_for_grey_images(change):
    with pytest.raises(KerasVisionError, match="is of RGB images"):
        change(tf.zeros([4, 4, 1]), tf.constant([0, 1]))
