"""Rankers against scikit-learn and brute force; features against scikit-image; the front against all choices."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops
from sklearn.ensemble import RandomForestRegressor

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.proposals.shape_features import FEATURES


def hierarchy(seed=0, shape=(24, 30)):
    contours = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    return kv.proposals.ultrametric_contour_map((contours - contours.min()) / np.ptp(contours))


@pytest.fixture(scope="module")
def scene():
    ucm = hierarchy()
    return ucm, kv.proposals.group_regions(ucm, (40, 40, 20, 20))


def test_compact_proposals_are_the_same_masks(scene):
    _, proposals = scene
    coarse = kv.proposals.group_regions(hierarchy(), (4, 3)).compact()
    fine = kv.proposals.group_regions(hierarchy(), (4, 3))
    assert coarse.members.shape[1] < fine.members.shape[1]
    for position in range(len(fine)):
        np.testing.assert_array_equal(coarse.mask(position), fine.mask(position))
    np.testing.assert_array_equal(coarse.boxes, fine.boxes)
    same, filled = proposals.compact().without_holes(), proposals.without_holes()
    assert all((same.mask(i) == filled.mask(i)).all() for i in range(len(filled)))


def test_overlaps_are_those_of_masks(scene):
    proposals = scene[1].first(12)
    masks = [proposals.mask(i) for i in range(12)]
    naive = [[(a & b).sum() / (a | b).sum() for a in masks] for b in masks]
    np.testing.assert_allclose(proposals.overlaps(), naive, rtol=1e-6)


def test_features_are_those_of_scikit_image_and_loops(scene):
    ucm, proposals = scene
    strength = ucm.contours()
    found = kv.proposals.proposal_features(proposals, strength)
    assert found.shape == (len(proposals), len(FEATURES))
    h, w = strength.shape
    for position in range(0, len(proposals), 7):
        mask, row = proposals.mask(position), dict(zip(FEATURES, found[position], strict=True))
        (props,) = regionprops(mask.astype(int))
        y, x = props.centroid
        top, left, bottom, right = props.bbox
        expected = {"area": mask.mean(), "centre_x": (x + 0.5) / w, "centre_y": (y + 0.5) / h, "left": left / w}
        expected |= {"top": top / h, "right": right / w, "bottom": bottom / h, "extent": props.extent}
        major, minor = np.array(props.inertia_tensor_eigvals) + 1 / 12  # pixels are squares, not points
        expected |= {"elongation": np.sqrt(minor / major)}
        outside, inside = [], []
        for r, c, dy, dx in itertools.product(range(h), range(w), (0, 1), (0, 1)):
            if dy + dx == 1 and r + dy < h and c + dx < w:
                if mask[r, c] != mask[r + dy, c + dx]:
                    outside.append(strength[r, c])
                elif mask[r, c] and proposals.labels[r, c] != proposals.labels[r + dy, c + dx]:
                    inside.append(strength[r, c])
        rim = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
        sides = rim + len(outside)
        expected |= {"rim": rim / sides, "perimeter": sides / props.area**0.5}
        expected |= {"contour_mean": np.mean(outside) if outside else 0}
        expected |= {"inner_mean": np.mean(inside) if inside else 0}
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-5), name


def test_the_forest_is_scikit_learns(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.random((200, len(FEATURES)), np.float32)
    overlaps = np.clip(rows[:, :2] * rows[:, 3:4], 0, 1)
    ranker = kv.proposals.ProposalRanker.fit([rows[:120], rows[120:]], [overlaps[:120], overlaps[120:]], trees=4)
    peer = RandomForestRegressor(4, min_samples_leaf=5, max_features=1 / 3, random_state=0).fit(rows, overlaps.max(1))
    new = rng.random((50, len(FEATURES)), np.float32)
    np.testing.assert_allclose(ranker.predict(new), peer.predict(new), atol=1e-12)
    ranker.save(tmp_path / "ranker.npz")
    again = kv.proposals.ProposalRanker.load(tmp_path / "ranker.npz")
    np.testing.assert_array_equal(again.predict(new), ranker.predict(new))
    with pytest.raises(KerasVisionError, match="exists already"):
        ranker.save(tmp_path / "ranker.npz")
    with pytest.raises(KerasVisionError, match=r"stored as \.npz"):
        ranker.save(tmp_path / "ranker.pickle")


def test_damaged_rankers_are_refused(tmp_path):
    rows = np.random.default_rng(0).random((40, len(FEATURES)), np.float32)
    ranker = kv.proposals.ProposalRanker.fit([rows], [rows[:, :1]], trees=2)
    path = tmp_path / "ranker.npz"
    ranker.left[0] = 0  # a walk that never ends
    ranker.save(path)
    with pytest.raises(KerasVisionError, match="damaged ranker"):
        kv.proposals.ProposalRanker.load(path)
    path.write_bytes(b"no zip")
    with pytest.raises(KerasVisionError, match="is no ranker"):
        kv.proposals.ProposalRanker.load(path)
    np.savez(path, features=np.array([{}], object))
    with pytest.raises(KerasVisionError, match="is no ranker"):
        kv.proposals.ProposalRanker.load(path)
    with pytest.raises(KerasVisionError, match="is no ranker"):
        kv.proposals.ProposalRanker.load(tmp_path / "none.npz")
    with pytest.raises(KerasVisionError, match="not finite"):
        ranker.predict(np.full((1, len(FEATURES)), np.nan))


@pytest.mark.parametrize("diversity", [0, 0.4, 1])
def test_marginal_relevance_is_a_loop(diversity):
    rng = np.random.default_rng(2)
    scores, overlaps = rng.random(15), rng.random((15, 15))
    taken = []
    while len(taken) < 15:
        rest = [i for i in range(15) if i not in taken]
        worth = [
            (1 - diversity) * scores[i] - diversity * max((overlaps[j, i] for j in taken), default=0) for i in rest
        ]
        taken.append(rest[int(np.argmax(worth))])
    np.testing.assert_array_equal(kv.proposals.marginal_relevance(scores, overlaps, diversity), taken)
    with pytest.raises(KerasVisionError, match="diversity=2"):
        kv.proposals.marginal_relevance(scores, overlaps, 2)


def test_the_front_of_two_lists_is_that_of_all_choices():
    rng = np.random.default_rng(3)
    lists = [[rng.random((n, 2)) ** 2 for n in numbers] for numbers in ((6, 9), (8, 3))]
    front = kv.proposals.pareto_front(lists, range(1, 10))
    choices = {}
    for pair in itertools.product(range(10), repeat=2):
        number, best = 0, []
        for image in range(2):
            chosen = [overlaps[image][:count] for overlaps, count in zip(lists, pair, strict=True)]
            number += sum(map(len, chosen)) / 2
            best.append(np.concatenate([*chosen, np.zeros((1, 2))]).max(0))
        choices[pair] = number, np.mean(best)
    for limits, number, quality in zip(front.limits.tolist(), front.numbers, front.quality, strict=True):
        np.testing.assert_allclose(choices[tuple(limits)], (number, quality), atol=1e-6)
    for number, quality in choices.values():
        assert ((front.numbers <= number + 1e-9) & (front.quality >= quality - 1e-6)).any()
    assert front.within(5) == tuple(front.limits[front.numbers <= 5][-1])
    with pytest.raises(KerasVisionError, match="the front begins at 0"):
        front.within(-1)
    with pytest.raises(KerasVisionError, match="lists without objects"):
        kv.proposals.pareto_front([], [1])


def squares(seed):
    """Three squares on a ground, with noise, and their masks."""
    rng = np.random.default_rng(seed)
    image, masks = np.full((48, 64, 3), 90.0), np.zeros((3, 48, 64), bool)
    for k, mask in enumerate(masks):
        side, top, left = rng.integers(9, 15), rng.integers(2, 30), 2 + 20 * k
        mask[top : top + side, left : left + side] = True
        image[mask] = rng.integers(0, 256, 3)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8), masks


def test_a_trained_ranker_puts_objects_first():
    proposals, features, overlaps = [], [], []
    for seed in range(4):
        image, masks = squares(seed)
        ucm = kv.proposals.single_scale_contours(image, spectral=0)
        proposals.append((ucm, kv.proposals.grouped([ucm], (60, 60, 30, 30))))
        features.append(kv.proposals.proposal_features(proposals[-1][1], ucm.contours()))
        overlaps.append(kv.proposals.proposal_overlaps(proposals[-1][1], masks))
    ranker = kv.proposals.ProposalRanker.fit(features[:3], overlaps[:3], trees=10)
    ucm, found = proposals[3]
    ranked = kv.proposals.grouped([ucm], (60, 60, 30, 30), ranker)
    assert len(ranked) == len(found)
    assert ranked.scores.shape == (len(found),)
    after = kv.proposals.proposal_overlaps(ranked, squares(3)[1])
    assert kv.proposals.instance_quality([after], [3])[0] > kv.proposals.instance_quality([overlaps[3]], [3])[0]
    np.testing.assert_allclose(ranked.first(5).scores, ranked.scores[:5])


def test_scg_and_mcg_find_squares():
    image, masks = squares(9)
    one = kv.proposals.scg(image, limits=(50, 50))
    many = kv.proposals.mcg(image, scales=(0.5, 1), limits=[(50, 50), (50,), (20, 20, 5)])
    for found in (one, many):
        assert kv.proposals.proposal_recall([kv.proposals.proposal_overlaps(found, masks)], [200])[0] == 1
        assert (np.triu(found.overlaps(), 1) < 0.95).all()
    constant = kv.proposals.scg(np.zeros((9, 8), np.uint8))
    assert constant.areas.tolist() == [72]
    with pytest.raises(KerasVisionError, match="limits for 2 hierarchies, and there are 3"):
        kv.proposals.mcg(image, scales=(0.5, 1), limits=[(5,), (5,)])


def test_class_quality_worked_by_hand():
    """Columns 0 to 3 of two rows are the regions; proposals 01, 2 and 23."""
    labels = np.tile(np.arange(4, dtype=np.int32), (2, 1))
    members = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], bool)
    found = kv.proposals.Proposals(labels, members, np.array([[0, 1], [1, 2], [2, 3]]))
    objects = np.array([labels == 0, labels == 2, labels >= 2])
    score = kv.proposals.class_quality([found], [objects], [[5, 5, 7]], 3)
    assert score == pytest.approx(((2 + 2) / (4 + 2) + 4 / 4) / 2)
    few = kv.proposals.class_quality([found], [objects], [[5, 5, 7]], 2)
    assert few == pytest.approx(((2 + 2) / (4 + 2) + 2 / 4) / 2)
    with pytest.raises(KerasVisionError, match="2 labels of 3 objects"):
        kv.proposals.class_quality([found], [objects], [[5, 5]], 3)
    with pytest.raises(KerasVisionError, match="no objects to find"):
        kv.proposals.class_quality([], [], [], 3)
