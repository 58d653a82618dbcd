"""Alignment against a naive descent on masks; combined hierarchies against averages of ultrametric distances."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.proposals.alignment import _descended
from keras_vision.proposals.hierarchy import joining_heights


def random_hierarchy(seed, shape=(20, 26), smooth=1.2):
    contours = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), smooth)
    contours -= contours.min()
    return kv.proposals.ultrametric_contour_map(contours / contours.max())


def naive_leaf(ucm, region, enlarged):
    """Down from the root to the half that holds more of the region's pixels."""
    leaves = [{i} for i in range(len(ucm))]
    for a, b in ucm.children:
        leaves.append(leaves[a] | leaves[b])
    at = len(leaves) - 1
    while at >= len(ucm):
        a, b = ucm.children[at - len(ucm)]
        inside = [(region & np.isin(enlarged, list(leaves[node]))).sum() for node in (a, b)]
        at = a if inside[0] >= inside[1] else b
    return at


@pytest.mark.parametrize("seed", range(2))
def test_leaves_go_to_the_half_that_holds_more_of_them(seed):
    fine, coarse = random_hierarchy(seed, (20, 26), 0.9), random_hierarchy(seed + 5, (10, 13))
    enlarged = coarse.labels.repeat(2, 0).repeat(2, 1)
    naive = [naive_leaf(coarse, fine.labels == leaf, enlarged) for leaf in range(len(fine))]
    np.testing.assert_array_equal(_descended(coarse, fine), naive)


def test_a_hierarchy_aligned_with_itself_is_itself():
    ucm = random_hierarchy(3)
    same = kv.proposals.align(ucm, ucm)
    np.testing.assert_array_equal(same.labels, ucm.labels)
    pairs = np.array(list(itertools.combinations(range(len(ucm)), 2)))
    np.testing.assert_allclose(joining_heights(same, pairs), joining_heights(ucm, pairs))
    for threshold in (0.1, 0.3, 0.5):
        np.testing.assert_array_equal(kv.proposals.segment(same, threshold), kv.proposals.segment(ucm, threshold))


def test_aligned_hierarchies_have_the_fine_ones_borders_and_their_own_nesting():
    fine, coarse = random_hierarchy(1, (30, 40), 0.8), random_hierarchy(2, (30, 40), 2.5)
    moved = kv.proposals.align(coarse, fine)
    before = kv.proposals.segment(moved, -1)
    for threshold in np.linspace(0, 1, 11):
        labels = kv.proposals.segment(moved, threshold)
        for finer in (before, fine.labels):
            assert len(np.unique(finer.astype(int) * 10_000 + labels)) == len(np.unique(finer))
        before = labels
    nearest = [
        kv.proposals.covering(kv.proposals.segment(moved, t), kv.proposals.segment(coarse, t)) for t in (0.2, 0.4)
    ]
    assert min(nearest) > 0.6


def test_a_shifted_border_is_moved_onto_the_fine_one():
    fine_map, coarse_map = np.zeros((20, 40)), np.zeros((10, 20))
    fine_map[:, 20] = fine_map[:, 10] = 0.6
    coarse_map[:, 9] = 0.8  # two pixels beside the fine border, after enlargement
    fine, coarse = (kv.proposals.ultrametric_contour_map(contours) for contours in (fine_map, coarse_map))
    moved = kv.proposals.align(coarse, fine)
    labels = kv.proposals.segment(moved, 0.5)
    assert labels.max() == 2
    assert kv.proposals.covering(labels, kv.proposals.segment(fine, 0.1) > 2) > 0.7
    np.testing.assert_allclose(np.sort(moved.heights), [0, coarse.heights[-1]], atol=1e-9)


def test_combined_borders_are_the_mean_of_the_hierarchies():
    first = random_hierarchy(4)
    second = kv.proposals.align(random_hierarchy(9), first)
    combined = kv.proposals.combine([first, second])
    mean = (joining_heights(first, first.pairs) + joining_heights(second, first.pairs)) / 2
    assert combined.heights[0] == pytest.approx(mean.min())
    low, high = joining_heights(combined, first.pairs), np.sort(mean)
    assert high[0] <= low.min() <= low.max() <= high[-1]
    assert (np.diff(combined.heights) >= 0).all()
    alone = kv.proposals.combine([first, first])
    np.testing.assert_allclose(np.sort(alone.heights), first.heights)


def test_scales_of_an_image_share_their_regions():
    y, x = np.indices((32, 48))
    image = np.where(np.hypot(y - 16, x - 30) < 9, 200, 90).astype(np.uint8)
    image += np.random.default_rng(0).integers(0, 12, image.shape, np.uint8)
    found = kv.proposals.multiscale_hierarchies(image)
    assert len(found) == 4
    for ucm in found:
        np.testing.assert_array_equal(ucm.labels, found[0].labels)
    halves = kv.proposals.segment(found[-1], found[-1].heights[-2])
    assert halves.max() == 2
    assert kv.proposals.covering(halves, (np.hypot(y - 16, x - 30) < 9).astype(int)) > 0.9
    sizes = []
    assert len(kv.proposals.multiscale_hierarchies(image, (0.5, 1), lambda p: sizes.append(p.shape) or p[..., 0])) == 3
    assert sizes == [(16, 24, 3), (32, 48, 3)]


@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (24, 30, 3)])
def test_a_constant_image_is_one_region_at_all_scales(shape):
    assert [len(ucm) for ucm in kv.proposals.multiscale_hierarchies(np.full(shape, 9, np.uint8))] == [1] * 4


def test_what_cannot_be_aligned():
    ucm = random_hierarchy(0)
    with pytest.raises(KerasVisionError, match="no hierarchies"):
        kv.proposals.combine([])
    with pytest.raises(KerasVisionError, match="hierarchy 1 has other leaves"):
        kv.proposals.combine([ucm, random_hierarchy(1)])
    image = np.zeros((8, 8), np.uint8)
    for scales in ((), (0,), (1, 0.5)):
        with pytest.raises(KerasVisionError, match="scales="):
            kv.proposals.multiscale_hierarchies(image, scales)
    with pytest.raises(KerasVisionError, match=r"64\.0 megapixels at a scale of 1000"):
        kv.proposals.multiscale_hierarchies(image, (1, 1000))
    with pytest.raises(KerasVisionError, match=r"contours of \(3, 3\) pixels for an image of \(8, 8\)"):
        kv.proposals.multiscale_hierarchies(image, (1,), lambda _: np.zeros((3, 3)))
    with pytest.raises(KerasVisionError, match="alpha"):
        kv.proposals.multiscale_hierarchies(np.zeros((8, 8, 4), np.uint8))
