"""The matching of boundary maps, against SciPy's dense assignment and a loop over pixels."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import keras_vision as kv
from keras_vision.edges.matching import partners
from keras_vision.errors import KerasVisionError


def best_assignment(detected, annotated, distance):
    """Number and summed distance of the best matching: the dense problem, with an outlier for every pixel."""
    apart = cdist(np.argwhere(detected), np.argwhere(annotated))
    rows, columns = apart.shape
    if not rows or not columns:
        return 0, 0.0
    alone = 100 * max(distance, 1.0)
    cost = np.hstack([np.where(apart <= distance, apart, 1e9), np.full((rows, rows), alone)])
    row, column = linear_sum_assignment(cost)
    real = column < columns
    return int(real.sum()), float(apart[row[real], column[real]].sum())


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("distance", [0, 1.5, 2.3, 4.34])
def test_pairs_are_as_many_and_as_near_as_the_exact_assignment(density, distance):
    rng = np.random.default_rng(int(1000 * density + distance))
    for _ in range(6):
        shape = rng.integers(1, 22, 2)
        detected, annotated = rng.random((2, *shape)) < density * rng.uniform(0.3, 1.5, (2, 1, 1))
        first, second = kv.edges.match_boundaries(detected, annotated, distance / np.hypot(*shape) * (1 + 1e-12))
        assert len(np.unique(first, axis=0)) == len(np.unique(second, axis=0)) == len(first)  # one to one
        assert detected[tuple(first.T)].all()
        assert annotated[tuple(second.T)].all()
        apart = np.hypot(*(first - second).T)
        assert not (apart > distance + 1e-9).any()
        count, total = best_assignment(detected, annotated, distance)
        assert len(first) == count
        assert apart.sum() == pytest.approx(total, abs=1e-6)


def test_as_many_pairs_as_any_matching_has():
    """Augmenting paths in plain Python: the size of a maximum matching, whatever the distances."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        detected, annotated = rng.random((2, 14, 17)) < 0.15
        places = [list(map(tuple, np.argwhere(each))) for each in (detected, annotated)]
        near = {p: [q for q in places[1] if np.hypot(p[0] - q[0], p[1] - q[1]) <= 2.5] for p in places[0]}
        owner = {}

        def augment(place, seen, near=near, owner=owner):
            for other in near[place]:
                if other not in seen:
                    seen.add(other)
                    if other not in owner or augment(owner[other], seen):
                        owner[other] = place
                        return True
            return False

        size = sum(augment(place, set()) for place in places[0])
        assert (partners(detected, annotated, 2.5) >= 0).sum() == size


def test_large_maps_are_matched_by_parts_as_if_whole(monkeypatch):
    rng = np.random.default_rng(0)
    detected, annotated = rng.random((2, 90, 80)) < 0.04
    found = {}
    for pixels in (1, 400, 10**9):
        monkeypatch.setattr("keras_vision.edges.matching._PART", pixels)
        partner = partners(detected, annotated, 3.0)
        pairs = np.argwhere(detected)[partner >= 0], np.argwhere(annotated)[partner[partner >= 0]]
        found[pixels] = len(pairs[0]), np.hypot(*(pairs[0] - pairs[1]).T).sum()
    count, total = best_assignment(detected, annotated, 3.0)
    assert {each[0] for each in found.values()} == {count}
    np.testing.assert_allclose([each[1] for each in found.values()], total, atol=1e-6)


def test_many_pairs_go_before_near_pairs():
    """The middle pixel must give up its own place so that both ends find a partner."""
    detected, annotated = np.zeros((2, 1, 9), bool)
    detected[0, [2, 4]] = annotated[0, [4, 6]] = True
    first, second = kv.edges.match_boundaries(detected, annotated, 2 / np.hypot(1, 9) + 1e-9)
    assert sorted(zip(first[:, 1].tolist(), second[:, 1].tolist(), strict=True)) == [(2, 4), (4, 6)]


@pytest.mark.parametrize(("detected", "annotated"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_empty_maps_have_no_pairs(detected, annotated):
    maps = np.full((4, 5), detected), np.full((4, 5), annotated)
    first, second = kv.edges.match_boundaries(*maps)
    assert first.shape == second.shape == (20 * detected * annotated, 2)
    np.testing.assert_array_equal(first, second)


def test_the_tolerance_is_a_share_of_the_diagonal():
    """Of 481 x 321 pixels it is 4.34 pixels: (3, 3) is within, 4.47 = (4, 2) is not."""
    detected, annotated = np.zeros((2, 321, 481), bool)
    detected[100, 100] = annotated[103, 103] = True
    assert len(kv.edges.match_boundaries(detected, annotated)[0]) == 1
    annotated[103, 103], annotated[104, 102] = False, True
    assert len(kv.edges.match_boundaries(detected, annotated)[0]) == 0


def test_bad_input():
    empty = np.zeros((4, 5), bool)
    with pytest.raises(KerasVisionError, match=r"detected is \(4, 5\), annotated \(5, 4\)"):
        kv.edges.match_boundaries(empty, empty.T)
    with pytest.raises(KerasVisionError, match=r"detected has the value 0\.5; expected 0 and 1"):
        kv.edges.match_boundaries(empty + 0.5, empty)
    with pytest.raises(KerasVisionError, match=r"annotated of shape \(1, 4, 5\)"):
        kv.edges.match_boundaries(empty, empty[None])
    with pytest.raises(KerasVisionError, match="tolerance=-1"):
        kv.edges.match_boundaries(empty, empty, -1)
