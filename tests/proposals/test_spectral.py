"""Spectral contours on drawings whose borders are known; the multiscale map; contours of the trained network."""

import numpy as np
import pytest
from scipy import ndimage

import keras_vision as kv
from keras_vision.errors import KerasVisionError


def two_halves(shape=(40, 56), strength=0.6):
    """A line across the middle, and texture everywhere: short, stronger pieces of contour that close nothing."""
    contours = np.zeros(shape)
    contours[:, shape[1] // 2] = strength
    rng = np.random.default_rng(0)
    for y, x in zip(rng.integers(2, shape[0] - 4, 25), rng.integers(2, shape[1] - 4, 25), strict=True):
        contours[y : y + 3, x] = 0.8
    return contours


def test_a_border_that_closes_something_stands_out_from_texture():
    contours = two_halves()
    found = kv.proposals.spectral_contours(contours, 1).max(0)
    assert found.max() == 1
    border = found[:, 26:31].max(1)
    rest = np.delete(found, np.s_[23:34], axis=1)
    assert border.min() > 3 * rest.max()  # the texture is stronger locally


def test_the_sum_over_vectors_is_that_of_a_loop():
    contours = ndimage.gaussian_filter(np.random.default_rng(1).random((24, 28)), 1)
    contours = (contours - contours.min()) / np.ptp(contours)
    values, vectors = kv.proposals.normalized_cuts(contours, 4)
    naive = np.zeros((8, 24, 28))
    for value, vector in zip(values, vectors, strict=True):
        gradient = [ndimage.gaussian_filter1d(ndimage.gaussian_filter1d(vector, 1, axis, 1, mode="nearest"), 1,
                                              1 - axis, mode="nearest") for axis in (0, 1)]  # fmt: skip
        for k in range(8):
            across = np.cos(k * np.pi / 8), np.sin(k * np.pi / 8)
            naive[k] += abs(across[0] * gradient[1] + across[1] * gradient[0]) * value**-0.5
    np.testing.assert_allclose(kv.proposals.spectral_contours(contours, 4), naive / naive.max(), atol=1e-9)


def test_planes_hold_the_contours_of_their_direction():
    planes = kv.proposals.spectral_contours(two_halves(), 1)
    upright = planes[:, 20, 27:30].max(1)
    assert upright.argmax() == 0  # the normal of an upright border lies along x
    assert upright[4] < 0.2 * upright[0]


def test_large_maps_are_cut_at_a_smaller_size(monkeypatch):
    contours = two_halves((41, 57))
    monkeypatch.setattr("keras_vision.proposals.spectral.PIXELS", 800)
    found = kv.proposals.spectral_contours(contours, 1).max(0)
    assert found.shape == (41, 57)
    assert abs(int(found[20].argmax()) - 28) <= 2


def test_both_contours_together():
    contours = two_halves()
    local = kv.proposals.orient(contours)
    np.testing.assert_array_equal(kv.proposals.globalized(contours, 0), local)
    spectral = kv.proposals.globalized(contours, 1, count=1)
    assert spectral.max() == pytest.approx(local.max())
    half = kv.proposals.globalized(contours, 0.5, count=1)
    np.testing.assert_allclose(half, (local + spectral) / 2, atol=1e-12)
    top = kv.proposals.ultrametric_contour_map(half).heights[-2:]
    assert top[1] > 1.5 * top[0]  # the border, and after a gap the texture


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 7), (9, 9), (24, 30)])
def test_nothing_and_too_little_have_no_spectral_contours(shape):
    assert not kv.proposals.spectral_contours(np.zeros(shape)).any()
    assert not kv.proposals.globalized(np.zeros(shape)).any()
    found = kv.proposals.spectral_contours(np.random.default_rng(0).random(shape))
    assert found.shape == (8, *shape)
    assert np.isfinite(found).all()


def test_bad_input_is_named():
    contours = np.zeros((9, 9))
    contours[1, 2] = np.nan
    with pytest.raises(KerasVisionError, match="nan in row 1, column 2"):
        kv.proposals.globalized(contours)
    with pytest.raises(KerasVisionError, match="weight=2"):
        kv.proposals.globalized(np.zeros((9, 9)), 2)
    with pytest.raises(KerasVisionError, match="count=0"):
        kv.proposals.spectral_contours(np.zeros((9, 9)), 0)
    image = np.zeros((8, 9, 4), np.uint8)
    for way in (kv.proposals.single_scale_contours, kv.proposals.multiscale_contours):
        with pytest.raises(KerasVisionError, match="be rid of alpha"):
            way(image)
        with pytest.raises(KerasVisionError, match=r"40\.0 megapixels"):
            way(np.broadcast_to(np.uint8(0), (5000, 8000, 3)))
        assert len(way(image[..., :3])) == 1  # of one colour
        assert way(image[:2, :2, 0]).labels.shape == (2, 2)


def test_the_multiscale_map_is_the_combined_hierarchy():
    image = np.zeros((32, 40, 3), np.uint8)
    image[8:24, 10:30] = 200
    ucm = kv.proposals.multiscale_contours(image, scales=(0.5, 1))
    *_, last = kv.proposals.multiscale_hierarchies(image, (0.5, 1), spectral=0.3)
    np.testing.assert_array_equal(ucm.labels, last.labels)
    np.testing.assert_allclose(ucm.heights, last.heights)
    truth = (image[..., 0] > 0).astype(int)
    assert max(kv.proposals.covering(kv.proposals.segment(ucm, height), truth) for height in ucm.heights) > 0.85


def test_the_trained_network_finds_the_borders_people_drew(networks_folder, berkeley_training):
    contours = kv.proposals.network_contours(networks_folder / "hed-squeezenet-bsds", threads=1)
    image = berkeley_training.image(2)[::2, ::2]
    found = contours(image / 255.0)
    assert found.shape == image.shape[:2]
    assert found.min() >= 0
    drawn = berkeley_training.boundaries(2).any(0)[: 2 * (image.shape[0] // 2), : 2 * (image.shape[1] // 2)]
    drawn = drawn.reshape(drawn.shape[0] // 2, 2, -1, 2).any((1, 3))
    found = found[: drawn.shape[0], : drawn.shape[1]]
    assert found[drawn].mean() > 3 * found[~ndimage.binary_dilation(drawn, iterations=3)].mean()


def test_a_network_of_several_maps_is_refused(networks_folder):
    with pytest.raises(KerasVisionError, match="gives 11 maps; contours are one"):
        kv.proposals.network_contours(networks_folder / "fcn-8s-camvid")
