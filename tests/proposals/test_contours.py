"""Contours without learning: on drawings whose edges are known, and on real photographs against people's regions."""

import numpy as np
import pytest
from skimage.color import rgb2lab

import keras_vision as kv
from keras_vision.data import bsds500, unpack
from keras_vision.errors import KerasVisionError


@pytest.fixture(scope="module")
def photographs(shared, tmp_path_factory):
    return bsds500(unpack(shared / "data/bsds500/bsds500.tar.gz", tmp_path_factory.mktemp("bsds") / "BSDS500"), "val")


def half_plane(angle, size=61):
    """Dark on one side of a line through the middle whose normal is at an angle, soft over one pixel."""
    y, x = np.mgrid[:size, :size] - size // 2
    return 0.3 + 0.3 * np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)


@pytest.mark.parametrize("k", range(8))
def test_an_edge_is_strongest_in_its_direction_and_on_its_line(k):
    angle = k * np.pi / 8
    planes = kv.proposals.gradient_contours(half_plane(angle))
    assert planes.shape == (8, 61, 61)
    assert planes[:, 30, 30].argmax() == k
    assert planes[:, 30, 30].min() == planes[(k + 4) % 8, 30, 30] < 0.05 * planes[k, 30, 30]
    y, x = np.mgrid[:61, :61] - 30
    away = np.abs(x * np.cos(angle) + y * np.sin(angle))
    assert planes[k][away < 1].min() > 2 * planes[k][(away > 8)].max()


def test_the_strength_is_that_of_the_derivative_of_a_gaussian():
    """A step of d has the slope d / (sigma sqrt(2 pi)), and the tensor smooths its square by sigma / 2."""
    image = np.repeat([[0.2] * 40 + [0.6] * 40], 30, 0)
    lab = rgb2lab(np.repeat(image[..., None], 3, 2))
    x = np.arange(80) - 39.5
    slope = (lab[0, -1, 0] - lab[0, 0, 0]) * np.exp(-x * x / 8) / (2 * np.sqrt(2 * np.pi))
    weights = np.exp(-np.square(x[:, None] - x[None]) / 2)
    contrast = np.sqrt(weights / weights.sum(1, keepdims=True) @ slope**2) * 2
    found = kv.proposals.gradient_contours(image, orientations=1, scales=(2,))[0, 15]
    np.testing.assert_allclose(found[30:50], 1 - np.exp(-contrast[30:50] / 12), atol=0.01)


def test_colour_alone_is_an_edge():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, :10], image[:, 10:] = (190, 60, 60), (60, 126, 60)
    assert kv.proposals.gradient_contours(image)[0, 10, 9:11].min() > 0.5


def test_grey_in_one_or_three_channels_is_the_same():
    grey = np.random.default_rng(0).integers(0, 256, (9, 12), np.uint8)
    found = kv.proposals.gradient_contours(grey)
    np.testing.assert_allclose(kv.proposals.gradient_contours(grey[..., None]), found)
    np.testing.assert_allclose(kv.proposals.gradient_contours(np.repeat(grey[..., None], 3, 2) / 255), found)
    assert 0 <= found.min() < found.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 2, 1), (30, 20, 3)])
def test_a_constant_image_has_no_contours_and_is_one_region(shape):
    contours = kv.proposals.gradient_contours(np.full(shape, 77, np.uint8))
    assert contours.max() < 1e-6
    assert (kv.proposals.segment(kv.proposals.ultrametric_contour_map(contours), 0.01) == 1).all()


def test_two_by_two():
    contours = kv.proposals.gradient_contours(np.array([[0, 255], [255, 0]], np.uint8))
    assert contours.shape == (8, 2, 2)
    assert kv.proposals.segment(kv.proposals.ultrametric_contour_map(contours), 0.1).shape == (2, 2)


def test_regions_of_real_photographs_cover_peoples_better_than_squares_do(photographs):
    some = (10, 50)
    hierarchies = [
        kv.proposals.ultrametric_contour_map(kv.proposals.gradient_contours(photographs.image(i))) for i in some
    ]
    found = kv.proposals.evaluate_regions(hierarchies, [photographs.segmentations(i) for i in some], thresholds=19)
    squares = []
    for i in some:
        people = photographs.segmentations(i)
        y, x = np.indices(people.shape[1:])
        squares.append(max(kv.proposals.covering(y // s * 1000 + x // s, people) for s in (60, 100, 160, 500)))
    assert found.covering_ois > np.mean(squares) + 0.1
    assert found.rand_ois > 0.75


def test_what_an_image_cannot_be():
    with pytest.raises(KerasVisionError, match=r"shape \(4, 5, 4\).*lay it on a background to be rid of alpha"):
        kv.proposals.gradient_contours(np.zeros((4, 5, 4), np.uint8))
    with pytest.raises(KerasVisionError, match=r"shape \(0, 5\); expected"):
        kv.proposals.gradient_contours(np.zeros((0, 5), np.uint8))
    with pytest.raises(KerasVisionError, match="type int64; expected uint8"):
        kv.proposals.gradient_contours(np.zeros((4, 5), int))
    with pytest.raises(KerasVisionError, match="outside 0 to 1, or not finite"):
        kv.proposals.gradient_contours(np.full((4, 5), np.nan))
    with pytest.raises(KerasVisionError, match="outside 0 to 1"):
        kv.proposals.gradient_contours(np.full((4, 5), 200.0))
    with pytest.raises(KerasVisionError, match=r"40.0 megapixels; at most 16"):
        kv.proposals.gradient_contours(np.broadcast_to(np.uint8(0), (5000, 8000, 3)))
    with pytest.raises(KerasVisionError, match="orientations=0"):
        kv.proposals.gradient_contours(np.zeros((4, 5)), orientations=0)
    with pytest.raises(KerasVisionError, match=r"scales=\(0,\)"):
        kv.proposals.gradient_contours(np.zeros((4, 5)), scales=(0,))
