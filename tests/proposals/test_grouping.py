"""Proposals against brute force over all segmentations, SciPy's hole filling, scikit-image's boxes and naive loops."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

import keras_vision as kv
from keras_vision.errors import KerasVisionError

ALL = (10**6,) * 4


def hierarchy(seed, shape=(14, 18), smooth=1.3):
    contours = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), smooth)
    contours -= contours.min()
    return kv.proposals.ultrametric_contour_map(contours / contours.max())


def brute_force(ucm):
    """Least number of neighbouring regions of any one segmentation whose union each set of leaves is, up to four."""
    n = len(ucm)
    leaves = [frozenset([i]) for i in range(n)]
    for a, b in ucm.children:
        leaves.append(leaves[a] | leaves[b])
    touch = {frozenset(pair) for pair in ucm.pairs.tolist()}
    active, found = set(range(n)), {}
    for k in range(n):
        regions = [leaves[node] for node in active]
        near = {
            (i, j)
            for i, j in itertools.combinations(range(len(regions)), 2)
            if any(frozenset((p, q)) in touch for p in regions[i] for q in regions[j])
        }
        for size in range(1, 5):
            for chosen in itertools.combinations(range(len(regions)), size):
                reached, border = {chosen[0]}, [chosen[0]]
                while border:
                    at = border.pop()
                    new = {c for c in chosen if c not in reached and ((at, c) in near or (c, at) in near)}
                    reached |= new
                    border += new
                if len(reached) == size:
                    union = frozenset().union(*(regions[i] for i in chosen))
                    found[union] = min(size, found.get(union, size))
        if k < n - 1:
            active = (active - set(ucm.children[k].tolist())) | {n + k}
    return found


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_all_sets_of_neighbours_come_up_once(seed):
    ucm = hierarchy(seed)
    assert 6 <= len(ucm) <= 16
    naive = brute_force(ucm)
    for largest in (1, 2, 3, 4):
        found = [
            frozenset(np.flatnonzero(row).tolist()) for row in kv.proposals.group_regions(ucm, ALL[:largest]).members
        ]
        assert len(found) == len(set(found))
        assert set(found) == {union for union, size in naive.items() if size <= largest}


def test_limits_take_the_strongest_first():
    ucm = hierarchy(2, (40, 50))
    everything = kv.proposals.group_regions(ucm, (10**6, 10**6))
    few = kv.proposals.group_regions(ucm, (9, 20))
    assert len(few) == 29
    rows = {row.tobytes() for row in everything.members}
    assert all(row.tobytes() in rows for row in few.members)
    assert few.mask(0).all()  # the root
    halves = kv.proposals.segment(ucm, (ucm.heights[-1] + ucm.heights[-2]) / 2)
    assert {few.mask(i).tobytes() for i in (1, 2)} == {(halves == i).tobytes() for i in (1, 2)}
    assert len(kv.proposals.group_regions(ucm, (0, 3, 2))) == 5


def test_masks_boxes_and_areas_are_scikit_images():
    proposals = kv.proposals.group_regions(hierarchy(5, (24, 30)), (50, 50, 50, 50))
    for position in range(0, len(proposals), 7):
        mask = proposals.mask(position)
        (properties,) = regionprops(mask.astype(int))
        y0, x0, y1, x1 = properties.bbox
        assert proposals.boxes[position].tolist() == [x0, y0, x1, y1]
        assert proposals.areas[position] == properties.area == mask.sum()
    assert len(proposals.first(3)) == 3


def test_holes_are_filled_as_scipy_fills_them():
    labels = np.zeros((20, 24), np.int32)
    labels[3:15, 4:18] = 1  # a ring around 2 and 3, and one that is open at the rim
    labels[6:12, 7:15] = 2
    labels[7:9, 8:12] = 3
    labels[15:, 2:9] = 4
    labels[18:, 4:7] = 5
    pairs = np.array([[0, 1], [0, 4], [1, 2], [1, 4], [2, 3], [4, 5]])
    members = np.array(list(itertools.product([False, True], repeat=6)))[1:]
    proposals = kv.proposals.Proposals(labels, members, pairs)
    filled = proposals.without_holes()
    for position in range(len(members)):
        np.testing.assert_array_equal(filled.mask(position), ndimage.binary_fill_holes(proposals.mask(position)))
    assert (filled.areas > proposals.areas).any()
    grown = kv.proposals.group_regions(hierarchy(6, (20, 24)), (30, 30, 30, 30))
    filled = grown.without_holes()
    for position in range(0, len(grown), 5):
        np.testing.assert_array_equal(filled.mask(position), ndimage.binary_fill_holes(grown.mask(position)))


@pytest.mark.parametrize("overlap", [0.5, 0.8, 0.95, 1])
def test_near_copies_are_left_out(overlap):
    proposals = kv.proposals.group_regions(hierarchy(7, (20, 24)), (20, 25, 25, 25))
    masks = [proposals.mask(i) for i in range(len(proposals))]
    stays = []
    for mask in masks:
        if all((mask & other).sum() / (mask | other).sum() < overlap for other in stays):
            stays.append(mask)
    found = proposals.distinct(overlap)
    np.testing.assert_array_equal([found.mask(i) for i in range(len(found))], stays)
    assert overlap == 1 or len(stays) < len(masks)


def test_overlaps_quality_and_recall_are_those_of_a_loop():
    proposals = kv.proposals.group_regions(hierarchy(8, (24, 30)), (30, 40))
    rng = np.random.default_rng(0)
    objects = np.stack([rng.random((24, 30)) < share for share in (0.1, 0.6)] + [proposals.mask(5)])
    overlaps = kv.proposals.proposal_overlaps(proposals, objects)
    for i, k in itertools.product(range(0, len(proposals), 9), range(3)):
        mask = proposals.mask(i)
        assert overlaps[i, k] == pytest.approx((mask & objects[k]).sum() / (mask | objects[k]).sum())
    assert overlaps[5, 2] == 1
    other = overlaps[:4, :2] / 2
    numbers = (1, 6, 50)
    quality = kv.proposals.instance_quality([overlaps, other], numbers)
    recall = kv.proposals.proposal_recall(iter([overlaps, other]), numbers, 0.3)
    for number, mine, share in zip(numbers, quality, recall, strict=True):
        best = [one[:number, k].max() for one in (overlaps, other) for k in range(one.shape[1])]
        assert mine == pytest.approx(np.mean(best))
        assert share == pytest.approx(np.mean([value >= 0.3 for value in best]))
    assert kv.proposals.proposal_recall([np.zeros((0, 2))], [3]).tolist() == [0]


def test_a_pasted_object_of_several_parts_is_found_by_pairs_and_not_by_single_regions():
    contours = np.zeros((40, 60))
    contours[10:30, 15] = contours[10:30, 45] = 0.4  # an object of two parts on the ground,
    contours[10, 15:46] = contours[29, 15:46] = 0.4
    contours[10:30, 30] = 0.8  # which differ from each other more than from it
    ucm = kv.proposals.ultrametric_contour_map(contours)
    y, x = np.indices(contours.shape)
    thing = ((y >= 10) & (y < 30) & (x >= 15) & (x < 46))[None]
    single, pairs = (
        kv.proposals.proposal_overlaps(kv.proposals.group_regions(ucm, limits), thing).max()
        for limits in ((100,), (100, 100))
    )
    assert single < 0.6
    assert pairs > 0.85


def test_one_region_is_one_proposal():
    proposals = kv.proposals.group_regions(kv.proposals.ultrametric_contour_map(np.zeros((2, 2))))
    assert len(proposals.without_holes().distinct()) == 1
    assert proposals.boxes.tolist() == [[0, 0, 2, 2]]


def test_what_grouping_cannot_take():
    ucm = hierarchy(0)
    with pytest.raises(KerasVisionError, match=r"limits=\(1, 1, 1, 1, 1\); give 1 to 4"):
        kv.proposals.group_regions(ucm, (1,) * 5)
    with pytest.raises(KerasVisionError, match=r"limits=\(-1,\)"):
        kv.proposals.group_regions(ucm, (-1,))
    proposals = kv.proposals.group_regions(ucm)
    with pytest.raises(KerasVisionError, match="overlap=0"):
        proposals.distinct(0)
    with pytest.raises(KerasVisionError, match=r"objects of shape \(14, 18\)"):
        kv.proposals.proposal_overlaps(proposals, np.zeros((14, 18)))
    with pytest.raises(KerasVisionError, match="object 1 has no pixels"):
        kv.proposals.proposal_overlaps(proposals, np.stack([np.ones((14, 18)), np.zeros((14, 18))]))
    with pytest.raises(KerasVisionError, match="no objects to find"):
        kv.proposals.instance_quality([], [10])
    with pytest.raises(KerasVisionError, match=r"numbers=\[0\]"):
        kv.proposals.instance_quality([np.ones((1, 1))], [0])
    with pytest.raises(KerasVisionError, match=r"jaccard=0; accepted"):
        kv.proposals.proposal_recall([np.ones((1, 1))], [1], 0)
