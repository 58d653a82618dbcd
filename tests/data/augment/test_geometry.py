"""Where the windows lie: bounds, distributions, and crops of resized images made with NumPy and Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from keras_vision.data import augment
from keras_vision.runtime import Preprocessing

GEOMETRIES = {
    "AreaCrop": augment.AreaCrop(),
    "ScaleJitter": augment.ScaleJitter(),
    "CentrePatchCrop": augment.CentrePatchCrop(),
    "Translation": augment.Translation(),
    "ScaleAndCrop": augment.ScaleAndCrop(),
    "PaddedCrop": augment.PaddedCrop(),
    "CentreCrop": augment.CentreCrop(256),
    "squash": augment.CentreCrop(),
}
INSIDE = ("AreaCrop", "ScaleJitter", "CentrePatchCrop", "CentreCrop", "squash")
SIGNIFICANT = 1e-3  # draws are seeded, so a test that passes once passes always


def _windows(geometry, source, target, count=4000):
    """Offsets `(count, 2)`, extents `(count, 2)`, mirrors `(count,)`, drawn inside tf.data.map."""
    seeds = tf.data.Dataset.range(count).map(lambda n: geometry(tf.constant(source), target, tf.stack([n, 5])))
    return next(seeds.batch(count).as_numpy_iterator())


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_same_eagerly_and_in_graphs(name):
    rng = np.random.default_rng(0)
    sources = rng.integers(1, 900, (300, 2)).astype(np.int32)
    seeds = rng.integers(0, 2**31, (300, 2)).astype(np.int32)

    def window(source, seed):
        return GEOMETRIES[name](source, (224, 190), seed)

    mapped = tf.data.Dataset.from_tensor_slices((sources, seeds)).map(window).as_numpy_iterator()
    traced = tf.function(window)
    for source, seed, expected in zip(sources, seeds, mapped, strict=True):
        for got in (window(tf.constant(source), tf.constant(seed)), traced(source, seed)):
            for part, same in zip(got, expected, strict=True):
                np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("source", [(300, 500), (500, 300), (7, 900), (1, 1)])
def test_crops_lie_inside_the_image(name, source):
    offset, extent, _ = _windows(GEOMETRIES[name], source, (224, 190), 500)
    slack = 1e-4 * max(source)
    assert (offset >= -slack).all()
    assert (extent > 0).all()
    assert (offset + extent <= np.array(source) + slack).all()


@pytest.mark.parametrize("name", sorted({*GEOMETRIES} - {"CentreCrop", "squash"}))
def test_half_are_mirrored_or_as_many_as_asked(name):
    mirrored = _windows(GEOMETRIES[name], (300, 400), (224, 224))[2]
    assert stats.binomtest(int(mirrored.sum()), mirrored.size).pvalue > SIGNIFICANT
    never = type(GEOMETRIES[name])(mirror=0.0)
    always = type(GEOMETRIES[name])(mirror=1.0)
    assert not _windows(never, (300, 400), (224, 224), 50)[2].any()
    assert _windows(always, (300, 400), (224, 224), 50)[2].all()


def _paper_crop(rng, height, width):
    """Szegedy et al.: one shape after the other until one fits."""
    while True:
        area = rng.uniform(0.08, 1.0) * height * width
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if w <= width and h <= height:
            return rng.uniform(0, height - h), rng.uniform(0, width - w), h, w


def test_inception_crops_are_distributed_as_in_a_naive_loop():
    offset, extent, _ = _windows(augment.AreaCrop(tries=100), (300, 400), (299, 299))
    got = np.concatenate([offset, extent], 1)
    rng = np.random.default_rng(1)
    expected = np.array([_paper_crop(rng, 300, 400) for _ in range(4000)])
    for values, same in zip(got.T, expected.T, strict=True):
        assert stats.ks_2samp(values, same).pvalue > SIGNIFICANT
    share, aspect = extent.prod(1) / (300 * 400), extent[:, 1] / extent[:, 0]
    assert 0.08 <= share.min() <= share.max() <= 1
    assert 3 / 4 - 1e-5 <= aspect.min() <= aspect.max() <= 4 / 3 + 1e-5


@pytest.mark.parametrize(("source", "extent"), [
    ((10, 1000), (10, 10 * 4 / 3)),
    ((1000, 10), (10 / (3 / 4), 10)),
])  # fmt: skip
def test_where_nothing_fits_the_largest_centred_window_is_shown(source, extent):
    offset, got, _ = _windows(augment.AreaCrop((0.9, 1.0)), source, (299, 299), 50)
    np.testing.assert_allclose(got, np.tile(extent, (50, 1)), rtol=1e-6)
    np.testing.assert_allclose(offset, (np.array(source) - got) / 2, rtol=1e-5)


def test_scale_jitter_takes_each_shorter_side_as_often():
    offset, extent, _ = _windows(augment.ScaleJitter((256, 300)), (600, 800), (224, 224))
    shorter = np.rint(224 / extent[:, 0] * 600).astype(int)
    counts = np.bincount(shorter - 256, minlength=45)
    assert counts.size == 45
    assert stats.chisquare(counts).pvalue > SIGNIFICANT
    place = offset / (np.array([600, 800]) - extent)
    assert stats.ks_1samp(place[:, 0], stats.uniform.cdf).statistic < 0.05  # whole pixels, so not quite uniform


def test_segmentation_scales_are_uniform():
    extent = _windows(augment.ScaleAndCrop((0.5, 1.5)), (2000, 2000), (321, 321))[1]
    assert stats.ks_1samp(321 / extent[:, 0] - 0.5, stats.uniform.cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize("size", [40, 400])  # smaller, and larger, than the target
def test_segmentation_shows_the_whole_image_or_fills_the_target(size):
    offset, extent, _ = _windows(augment.ScaleAndCrop((0.9, 1.1)), (size, size), (100, 100), 500)
    scale = 100 / extent
    left, right = -offset * scale, (size - offset - extent) * scale  # empty columns, columns cut off on the right
    if size == 40:
        assert (left >= -1e-3).all()
        assert (right <= 1e-3).all()
        assert left.min() < 2
        assert right.max() > -2
    else:
        assert (left <= 1e-3).all()
        assert (right >= -1e-3).all()


def test_padded_crops_are_all_those_of_numpy():
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    padded = np.pad(pixels, ((2, 2), (2, 2), (0, 0)))
    crops = [padded[y : y + 8, x : x + 8] for y in range(5) for x in range(5)]
    expected = {crop.tobytes() for crop in crops} | {crop[:, ::-1].tobytes() for crop in crops}

    def crop(number):
        window = augment.PaddedCrop(2)(tf.shape(pixels)[:2], (8, 8), tf.stack([number, 1]))
        return augment.show(pixels, window, (8, 8))

    got = tf.data.Dataset.range(1000).map(crop).as_numpy_iterator()
    assert {shown.astype(np.uint8).tobytes() for shown in got} == expected
    assert len(expected) == 50


@pytest.mark.parametrize("target", [(50, 60), (70, 80), (50, 80)])
def test_fcn_moves_the_centred_image_by_up_to_so_many_pixels(target):
    offset, extent, _ = _windows(augment.Translation(3), (50, 60), target, 1000)
    moves = offset - np.floor((np.array([50, 60]) - target) / 2)
    assert (extent == target).all()
    assert {tuple(move) for move in moves} == {(y, x) for y in range(-3, 4) for x in range(-3, 4)}


def _resized_crop(pixels, shorter, corner, target):
    scale = shorter / min(pixels.shape[:2])
    size = [round(side * scale) for side in pixels.shape[:2]]
    resized = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    return resized[corner[0] : corner[0] + target[0], corner[1] : corner[1] + target[1]]


@pytest.mark.parametrize("shape", [(90, 130, 3), (131, 47, 3)])
@pytest.mark.parametrize("geometry", [augment.ScaleJitter((64, 64)), augment.CentrePatchCrop(64)])
def test_a_crop_is_one_of_the_resized_image(geometry, shape):
    pixels = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    target = (50, 40)
    resized = [round(side * 64 / min(shape[:2])) for side in shape[:2]]
    for seed in range(8):
        window = geometry(tf.constant(shape[:2]), target, tf.constant([seed, 0]))
        corner = np.rint(window.offset.numpy() * resized / shape[:2]).astype(int)
        expected = _resized_crop(pixels, 64, corner, target)
        shown = augment.show(pixels, window._replace(mirror=tf.constant(False)), target)
        assert np.abs(shown.numpy() - expected).max() <= 1.01
        if isinstance(geometry, augment.CentrePatchCrop):
            low = np.array([(side - 64) // 2 for side in resized])
            assert (corner >= low).all()
            assert (corner + target <= low + 64).all()


@pytest.mark.parametrize("size", [(300, 200), (201, 333), (17, 400), (500, 500)])
@pytest.mark.parametrize("shorter", [None, 256])
def test_the_evaluation_window_is_that_of_preprocessing(size, shorter):
    left, top, right, bottom = Preprocessing((224, 240), shorter).source_box(*size)
    window = augment.evaluation(shorter=shorter).geometry(tf.constant(size), (224, 240), tf.constant([1, 2]))
    np.testing.assert_allclose(window.offset, (top, left), atol=1e-3)
    np.testing.assert_allclose(window.extent, (bottom - top, right - left), rtol=1e-5)
    assert not window.mirror
