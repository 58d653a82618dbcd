"""Hierarchies against a naive loop, SciPy's tree functions, and what an ultrametric is."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.cluster.hierarchy import cophenet, fcluster, is_valid_linkage
from scipy.spatial.distance import squareform

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.proposals.arcs import Arcs, watershed_arcs
from keras_vision.proposals.hierarchy import joining_heights, merged


def noise(seed, shape=(24, 30), smooth=1.0):
    contours = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), smooth)
    contours -= contours.min()
    return contours / contours.max()


def as_linkage(ucm):
    sizes = [1] * len(ucm)
    for a, b in ucm.children:
        sizes.append(sizes[a] + sizes[b])
    return np.column_stack([ucm.children, ucm.heights, sizes[len(ucm) :]]).astype(float)


def naive_segmentations(arcs):
    """Joins the two regions whose common border is weakest, all borders summed anew; yields (height, labels)."""
    labels = arcs.labels.copy()
    of = {n: {n} for n in range(labels.max() + 1)}
    arc_of = {tuple(p): (s, n) for p, s, n in zip(arcs.pairs.tolist(), arcs.strength, arcs.length, strict=True)}
    while len(of) > 1:
        means, neighbours = {}, dict.fromkeys(of, 0)
        for a, b in itertools.combinations(sorted(of), 2):
            shared = [v for (p, q), v in arc_of.items() if (p in of[a] and q in of[b]) or (p in of[b] and q in of[a])]
            if shared:
                means[a, b] = sum(s for s, _ in shared) / sum(n for _, n in shared)
                neighbours[a] += 1
                neighbours[b] += 1
        (a, b), height = min(means.items(), key=lambda item: (round(item[1], 12), item[0]))
        kept, gone = (a, b) if neighbours[a] >= neighbours[b] else (b, a)
        of[kept] |= of.pop(gone)
        labels[labels == gone] = kept
        yield height, labels.copy()


@pytest.mark.parametrize("seed", range(3))
def test_the_merging_is_that_of_a_naive_loop(seed):
    arcs = watershed_arcs(noise(seed, (13, 15), 0.8))
    ucm = merged(arcs)
    steps = list(naive_segmentations(arcs))
    assert len(steps) == len(ucm.heights) > 8
    np.testing.assert_allclose(ucm.heights, [height for height, _ in steps], atol=1e-9)
    for k in np.flatnonzero(np.diff(ucm.heights) > 1e-9):
        found = kv.proposals.segment(ucm, (ucm.heights[k] + ucm.heights[k + 1]) / 2)
        assert kv.proposals.variation_of_information(found, steps[k][1]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_heights_are_an_ultrametric_and_scipys(seed):
    ucm = kv.proposals.ultrametric_contour_map(noise(seed))
    n = len(ucm)
    assert n > 10
    linkage = as_linkage(ucm)
    assert is_valid_linkage(linkage)
    pairs = np.array(list(itertools.combinations(range(n), 2)))
    heights = joining_heights(ucm, pairs)
    np.testing.assert_allclose(heights, cophenet(linkage))
    d = squareform(heights)
    assert (d[:, :, None] <= np.maximum(d[:, None, :], d.T[None]) + 1e-12).all()
    for threshold in (0, 0.1, 0.25, *ucm.heights[:4], 1):
        found = kv.proposals.segment(ucm, threshold)
        groups = fcluster(linkage, threshold, "distance")[ucm.labels]
        assert kv.proposals.variation_of_information(found, groups) == 0
        assert found.min() == 1
        assert len(np.unique(found)) == found.max()


def test_segmentations_are_nested_and_their_regions_connected():
    ucm = kv.proposals.ultrametric_contour_map(noise(5, (40, 50)))
    finer = kv.proposals.segment(ucm, -1)
    assert finer.max() == len(ucm)
    for threshold in np.linspace(0, 1, 21):
        coarser = kv.proposals.segment(ucm, threshold)
        assert len(np.unique(finer.astype(int) * 10_000 + coarser)) == finer.max()  # each lies in one
        assert all(ndimage.label(coarser == region)[1] == 1 for region in range(1, coarser.max() + 1))
        finer = coarser
    assert (finer == 1).all()


def test_the_map_cut_at_a_threshold_is_the_border_of_the_segmentation():
    ucm = kv.proposals.ultrametric_contour_map(noise(7))
    strength = ucm.contours()
    assert (strength.dtype, strength.shape) == (np.float32, (24, 30))
    for threshold in (0.1, 0.3, 0.5):
        labels = kv.proposals.segment(ucm, threshold)
        border = np.zeros(labels.shape, bool)
        border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
        border[:-1] |= labels[:-1] != labels[1:]
        np.testing.assert_array_equal(strength > threshold, border)


def test_squares_are_found_and_join_at_their_contours_strength():
    contours = np.zeros((40, 60))
    contours[:, 30] = 0.8  # two halves; the left is divided by a weaker line
    contours[20, :30] = 0.3
    ucm = kv.proposals.ultrametric_contour_map(contours)
    assert len(ucm) == 3
    np.testing.assert_allclose(ucm.heights, [0.3, 0.8], atol=0.06)
    halves = kv.proposals.segment(ucm, 0.5)
    assert halves.max() == 2
    assert kv.proposals.covering(halves, np.repeat([[0, 1]], 40, 0).repeat(30, 1)) > 0.95


def test_a_weak_arc_does_not_take_the_strength_of_a_contour_that_it_meets():
    planes = np.zeros((8, 40, 60))
    planes[0, :, 30] = 1.0  # normal along x: a strong vertical line
    planes[4, 20, :31] = 0.1  # normal along y: a weak level one, drawn into the strong one
    planes[0, 20, 24:30] = 1.0  # what a strong contour's side lobes look like
    arcs = watershed_arcs(planes)
    mean = arcs.strength / arcs.length
    assert mean.min() == pytest.approx(0.1)
    assert np.sort(mean)[1] > 0.7  # the line itself, with the corner where the three meet
    flat = watershed_arcs(planes.max(0)[None])  # one plane: nothing is known of directions
    assert np.sort(flat.strength / flat.length)[0] > mean.min() + 0.1


def test_orientation_follows_a_line():
    y, x = np.mgrid[:41, :41] - 20
    for k in range(8):
        across = x * np.cos(k * np.pi / 8) + y * np.sin(k * np.pi / 8)
        planes = kv.proposals.orient(np.exp(-np.square(across)))
        assert planes.shape == (8, 41, 41)
        assert planes[:, 15:26, 15:26].sum((1, 2)).argmax() == k


def test_scores_of_hierarchies_are_those_of_their_segmentations():
    ucm = kv.proposals.ultrametric_contour_map(noise(9))
    people = np.stack([kv.proposals.segment(kv.proposals.ultrametric_contour_map(noise(s)), 0.35) for s in (9, 10)])
    found = kv.proposals.evaluate_regions(iter([ucm]), [people], thresholds=9)
    cuts = [kv.proposals.segment(ucm, threshold) for threshold in found.thresholds]
    np.testing.assert_allclose(found.thresholds, np.arange(1, 10) / 10)
    for mine, score in (
        (found.covered[0] / found.pixels[0], kv.proposals.covering),
        (found.rand[0], kv.proposals.probabilistic_rand_index),
        (found.variation[0], kv.proposals.variation_of_information),
    ):
        np.testing.assert_allclose(mine, [score(cut, people) for cut in cuts])
    assert found.covering_ois == found.covering_ods <= found.covering_best
    two = kv.proposals.evaluate_regions([ucm, ucm], [people[:1], people[1:]])
    assert two.covering_ods <= two.covering_ois <= two.covering_best <= 1
    assert two.rand_ods <= two.rand_ois
    assert two.variation_ods >= two.variation_ois


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (30, 20)])
@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_constant_map_is_one_region(shape, value):
    ucm = kv.proposals.ultrametric_contour_map(np.full(shape, value))
    assert len(ucm) == 1
    assert (kv.proposals.segment(ucm, 0) == 1).all()
    assert (ucm.contours() == 0).all()


def test_two_by_two():
    labels = kv.proposals.segment(kv.proposals.ultrametric_contour_map([[0, 1], [1, 0]]), 0.1)
    assert labels.shape == (2, 2)
    assert 1 <= labels.max() <= 2


def test_regions_of_equal_borders_join_in_a_fixed_order():
    labels = np.arange(6).reshape(2, 3).astype(np.int32)
    pairs = np.array([[0, 1], [0, 3], [1, 2], [1, 4], [2, 5], [3, 4], [4, 5]])
    ucm = merged(Arcs(labels, pairs, np.ones(7, int), np.full(7, 0.5)))
    assert ucm.children[0].tolist() == [0, 1]
    assert (ucm.heights == 0.5).all()


def test_what_contours_cannot_be():
    holed = np.zeros((4, 5))
    holed[2, 3] = np.nan
    with pytest.raises(KerasVisionError, match="nan in row 2, column 3"):
        kv.proposals.ultrametric_contour_map(holed)
    with pytest.raises(KerasVisionError, match="orientation 1 has nan"):
        kv.proposals.ultrametric_contour_map([[[0.0]], [[np.nan]]])
    with pytest.raises(KerasVisionError, match=r"values from 0 to 255; expected 0 to 1"):
        kv.proposals.ultrametric_contour_map(np.array([[0, 255]], np.uint8))
    with pytest.raises(KerasVisionError, match=r"shape \(4,\); expected \(h, w\)"):
        kv.proposals.ultrametric_contour_map(np.zeros(4))
    with pytest.raises(KerasVisionError, match=r"5000 x 8000 pixels; at most 16777216"):
        kv.proposals.ultrametric_contour_map(np.broadcast_to(np.float32(0), (5000, 8000)))
    with pytest.raises(KerasVisionError, match=r"regions; at most 5 are joined: smooth"):
        kv.proposals.ultrametric_contour_map(noise(0), limit=5)
    with pytest.raises(KerasVisionError, match="orientations=0"):
        kv.proposals.orient(holed * 0, 0)
    with pytest.raises(KerasVisionError, match="threshold=nan"):
        kv.proposals.segment(kv.proposals.ultrametric_contour_map(np.zeros((2, 2))), float("nan"))
    with pytest.raises(KerasVisionError, match="thresholds=0"):
        kv.proposals.evaluate_regions([], [], thresholds=0)
    with pytest.raises(KerasVisionError, match="no images"):
        kv.proposals.evaluate_regions([], [])
    with pytest.raises(KerasVisionError, match="image 0 lacks a hierarchy"):
        kv.proposals.evaluate_regions([], [np.ones((1, 2, 2), int)])
