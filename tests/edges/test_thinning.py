"""Thinning and non-maximum suppression, against loops over pixels and by what they must keep."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import keras_vision as kv
from keras_vision.errors import KerasVisionError

EIGHT = np.ones((3, 3), int)


def naive_thin(edges):
    """The conditions as the paper words them, one pixel at a time."""
    image = np.pad(edges.astype(int), 1)
    while True:
        before = image.copy()
        for last in (False, True):
            gone = [p for p in np.argwhere(image) if deletable(image, *p, last)]
            for y, x in gone:
                image[y, x] = 0
        if (image == before).all():
            return image[1:-1, 1:-1].astype(bool)


def deletable(image, y, x, last):
    p = [None, image[y, x + 1], image[y - 1, x + 1], image[y - 1, x], image[y - 1, x - 1]]
    p += [image[y, x - 1], image[y + 1, x - 1], image[y + 1, x], image[y + 1, x + 1]]
    p.append(p[1])
    crossing = sum(p[2 * i - 1] == 0 and (p[2 * i] == 1 or p[2 * i + 1] == 1) for i in (1, 2, 3, 4))
    n1 = sum(p[2 * k - 1] or p[2 * k] for k in (1, 2, 3, 4))
    n2 = sum(p[2 * k] or p[2 * k + 1] for k in (1, 2, 3, 4))
    third = (p[6] or p[7] or not p[4]) and p[5] if last else (p[2] or p[3] or not p[8]) and p[1]
    return crossing == 1 and 2 <= min(n1, n2) <= 3 and not third


def blobs(seed, shape=(40, 50), sigma=1.5, level=0.52):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    return noise > np.quantile(noise, level)


@pytest.mark.parametrize("seed", range(4))
def test_thinning_is_that_of_a_loop_over_pixels(seed):
    edges = blobs(seed, level=(0.3, 0.5, 0.7, 0.85)[seed])
    np.testing.assert_array_equal(kv.edges.thin(edges), naive_thin(edges))
    noise = np.random.default_rng(seed).random((25, 23)) < 0.6
    np.testing.assert_array_equal(kv.edges.thin(noise), naive_thin(noise))


@pytest.mark.parametrize("seed", range(5))
def test_what_thinning_keeps(seed):
    edges = blobs(seed, (120, 90), sigma=1 + seed)
    thinned = kv.edges.thin(edges)
    assert 0 < thinned.sum() < 0.6 * edges.sum()
    assert not (thinned & ~edges).any()
    np.testing.assert_array_equal(kv.edges.thin(thinned), thinned)
    parts, count = ndimage.label(edges, EIGHT)
    assert ndimage.label(thinned, EIGHT)[1] == count  # none lost, none torn apart
    assert len(np.unique(parts[thinned])) == count
    assert ndimage.label(~np.pad(thinned, 1))[1] == ndimage.label(~np.pad(edges, 1))[1]  # holes stay
    blocks = thinned[1:, 1:] & thinned[:-1, 1:] & thinned[1:, :-1] & thinned[:-1, :-1]
    assert blocks.sum() <= 0.002 * thinned.sum()  # only where branches meet


def test_simple_shapes():
    bar = np.zeros((9, 30), bool)
    bar[3:6, 4:26] = True
    np.testing.assert_array_equal(np.flatnonzero(kv.edges.thin(bar).any(1)), [4])  # its middle row
    line = np.eye(12, dtype=int)
    np.testing.assert_array_equal(kv.edges.thin(line), line)
    full = kv.edges.thin(np.ones((7, 9), int))  # the rim counts as the edge of the figure
    assert 0 < full.sum() < 9
    assert not kv.edges.thin(np.zeros((3, 4), bool)).any()
    assert kv.edges.thin(np.ones((1, 1), bool)).all()


def naive_suppression(strength, normal, radius, border, multiplier):
    h, w = strength.shape
    kept = strength.copy()

    def at(y, x):
        y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
        y0, x0 = min(int(y), h - 2), min(int(x), w - 2)
        fy, fx = y - y0, x - x0
        rows = strength[y0 : y0 + 2, x0 : x0 + 2] @ [1 - fx, fx]
        return rows @ [1 - fy, fy]

    for y in range(h):
        for x in range(w):
            for d in range(-radius, radius + 1):
                if d and strength[y, x] * multiplier < at(y + d * np.sin(normal[y, x]), x + d * np.cos(normal[y, x])):
                    kept[y, x] = 0
    for s in range(border):
        for line in (kept[s], kept[h - 1 - s], kept[:, s], kept[:, w - 1 - s]):
            line *= s / border
    return kept


@pytest.mark.parametrize(("radius", "border", "multiplier"), [(1, 5, 1.01), (2, 0, 1.0), (3, 2, 1.2)])
def test_suppression_is_that_of_a_loop_over_pixels(radius, border, multiplier):
    strength = ndimage.gaussian_filter(np.random.default_rng(1).random((26, 31)), 1)
    strength[5:9, 3:11] = 0
    smooth = strength
    for axis in (0, 1):
        smooth = ndimage.convolve1d(smooth, np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25, axis, mode="reflect")
    gy, gx = np.gradient(smooth)
    (gxy, gxx), gyy = np.gradient(gx), np.gradient(gy)[0]
    normal = np.arctan(gyy * np.sign(-gxy) / (gxx + 1e-5)) % np.pi
    expected = naive_suppression(strength, normal, radius, border, multiplier)
    found = kv.edges.suppress_non_maxima(strength, radius, border, multiplier)
    assert 0.1 < (found > 0).mean() < 0.9
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_a_ridge_becomes_its_crest(degrees):
    """A soft line of any direction leaves pixels within 0.8 of its middle, and all along it."""
    y, x = np.mgrid[:81, :81] - 40.0
    across = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    kept = kv.edges.suppress_non_maxima(np.exp(-((across / 3) ** 2)), border=0) > 0.5
    assert np.abs(across[kept]).max() < 0.8
    assert kept.any(1).all() if abs(np.cos(np.radians(degrees))) > 0.6 else kept.any(0).all()


def test_smoothing_is_the_triangle_filter():
    strength = np.zeros((11, 11))
    strength[5, 5] = 1
    kept = kv.edges.suppress_non_maxima(strength, smoothing=1, border=0)
    assert kept[5, 5] == pytest.approx(0.25)  # (1, 2, 1) / 4 both ways
    assert kept.dtype == np.float32
    assert not kv.edges.suppress_non_maxima(np.zeros((6, 7))).any()


def test_the_published_hed_output_becomes_thin(shared):
    strength = np.asarray(Image.open(shared / "data/hed_reference/official_caffe.png")) / 255
    kept = kv.edges.suppress_non_maxima(strength)
    assert not (kept > strength + 1e-6).any()
    strong, lines = strength > 0.5, kept > 0.5
    assert lines.sum() < 0.45 * strong.sum()
    near = ndimage.binary_dilation(lines, EIGHT, 4)
    assert (strong & near).sum() > 0.97 * strong[5:-5, 5:-5].sum()  # no edge is lost


def test_bad_input():
    with pytest.raises(KerasVisionError, match=r"edges of shape \(2, 3, 1\)"):
        kv.edges.thin(np.zeros((2, 3, 1)))
    with pytest.raises(KerasVisionError, match="edges has the value 2"):
        kv.edges.thin(np.full((2, 3), 2))
    with pytest.raises(KerasVisionError, match=r"values from 0 to 255; expected 0 to 1.*divide 8-bit"):
        kv.edges.suppress_non_maxima(np.array([[0, 255]], np.uint8))
    with pytest.raises(KerasVisionError, match="nan in row 1, column 0"):
        kv.edges.suppress_non_maxima(np.array([[0, 1], [np.nan, 1]]))
    with pytest.raises(KerasVisionError, match="has no directions"):
        kv.edges.suppress_non_maxima(np.ones((1, 5)))
    for wrong in (dict(radius=0), dict(border=-1), dict(multiplier=0), dict(smoothing=-1)):
        with pytest.raises(KerasVisionError, match="a radius of at least 1"):
            kv.edges.suppress_non_maxima(np.ones((5, 5)), **wrong)
