"""Thresholds against all thresholds tried one by one, and the file that keeps them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from keras_vision.data import LabelGroups
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.evaluation import Thresholds, f_beta, search_thresholds

NAMES = tuple("abcde")
GROUPS = LabelGroups(NAMES, [("b", "e")])


def problem(seed, images=200, labels=5):
    """Labels, and probabilities that tell of them."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((images, labels)) < rng.uniform(0.05, 0.6, labels)).astype(np.uint8)
    truth[0] = 1
    logits = 1.5 * truth - 1.5 + rng.normal(0, 1, truth.shape)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


def brute_force(scores, truth):
    """The best mean F2 over all thresholds of all labels at once, and the best one."""
    cuts = [[*np.unique(column), 2.0] for column in scores.T]
    return max(f_beta(truth, scores >= np.array(t, np.float32)) for t in itertools.product(*cuts))


@pytest.mark.parametrize("seed", range(5))
def test_of_one_label_it_is_the_best_of_all(seed):
    scores, truth = problem(seed, labels=1)
    found = search_thresholds(scores, truth, LabelGroups(("a",)))
    assert f_beta(truth, found.predict(scores)) == pytest.approx(brute_force(scores, truth), abs=1e-12)


def test_no_single_threshold_can_be_bettered():
    scores, truth = problem(7)
    found = search_thresholds(scores, truth, LabelGroups(NAMES))
    best = f_beta(truth, found.predict(scores))
    for column in range(5):
        for cut in [*np.unique(scores[:, column]), 2.0]:
            values = [*found.values[:column], float(cut), *found.values[column + 1 :]]
            assert f_beta(truth, scores >= np.array(values)) <= best + 1e-12


def test_near_the_best_of_all_combinations():
    gaps = []
    for seed in range(10):
        scores, truth = problem(seed, images=10, labels=3)
        found = f_beta(truth, search_thresholds(scores, truth, LabelGroups(tuple("abc"))).predict(scores))
        gaps.append(brute_force(scores, truth) - found)
    assert min(gaps) >= -1e-12
    assert np.median(gaps) <= 0.01
    assert max(gaps) <= 0.08  # coordinate ascent may end in a local optimum


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([2, 20, 10**6]))
def test_never_below_a_half_for_all(seed, beta, levels):
    scores, truth = problem(seed, images=30)
    scores = np.round(scores * levels) / levels  # with few levels many images have the same score
    before = fbeta_score(truth, scores >= 0.5, beta=beta, average="samples", zero_division=1)
    found = search_thresholds(scores, truth, LabelGroups(NAMES), beta=beta)
    assert f_beta(truth, found.predict(scores), beta) >= before - 1e-12
    assert found == search_thresholds(scores, truth, LabelGroups(NAMES), beta=beta)


def test_a_group_by_argmax_has_one_label_whatever_the_probabilities():
    scores, truth = problem(3)
    found = search_thresholds(scores, truth, GROUPS, argmax=True)
    predicted = found.predict(scores)
    assert (predicted[:, [1, 4]].sum(1) == 1).all()
    np.testing.assert_array_equal(predicted[:, 4], scores[:, 4] > scores[:, 1])
    start = Thresholds(NAMES, (0.5,) * 5, GROUPS.exclusive)
    assert f_beta(truth, predicted) > f_beta(truth, start.predict(scores))
    assert (found.values[1], found.values[4]) == (0.5, 0.5)


def test_distances_of_an_svm_start_at_zero():
    scores, truth = problem(5)
    distances = np.log(scores.astype(np.float64) / (1 - scores)) * 40
    found = search_thresholds(distances, truth, LabelGroups(NAMES), start=0.0)
    assert f_beta(truth, found.predict(distances)) > f_beta(truth, distances >= 0)


def test_a_label_that_no_image_has_keeps_the_start():
    scores, truth = problem(6)
    truth[:, 2] = 0
    with pytest.warns(KerasVisionWarning, match=r"no image has c: the threshold stays 0\.5"):
        found = search_thresholds(scores, truth, LabelGroups(NAMES))
    assert found.values[2] == 0.5


def test_the_file_keeps_them_exactly(tmp_path):
    scores, truth = problem(8)
    found = search_thresholds(scores, truth, GROUPS, argmax=True)
    found.save(tmp_path / "thresholds.json")
    assert Thresholds.load(tmp_path / "thresholds.json", NAMES) == found
    with pytest.raises(KerasVisionError, match="exists already"):
        found.save(tmp_path / "thresholds.json")


@pytest.mark.parametrize(("change", "labels", "message"), [
    ({}, ("b", "a", "c", "d", "e"), "labels of the model: b, a, c, d, e; of .*: a, b, c, d, e"),
    ({}, NAMES[:4], "in the same order"),
    ({}, None, "the model has no labels"),
    ({"values": [0.5] * 4}, NAMES, "of 5 labels"),
    ({"values": [0.5] * 4 + [float("nan")]}, NAMES, "give a number for each"),
    ({"values": 3}, NAMES, "no file of thresholds"),
    ({"values": ["x"] * 5}, NAMES, "no file of thresholds"),
    ({"argmax": [["a", "z"]]}, NAMES, "'z'"),
])  # fmt: skip
def test_files_of_something_else_are_errors(change, labels, message, tmp_path):
    file = tmp_path / "thresholds.json"
    file.write_text(json.dumps({"labels": NAMES, "values": [0.5] * 5, "argmax": [], **change}))
    with pytest.raises(KerasVisionError, match=message):
        Thresholds.load(file, labels)


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00", '{"labels": 3, "values": [], "argmax": []}'])
def test_damaged_files_are_errors(content, tmp_path):
    (tmp_path / "thresholds.json").write_text(content)
    with pytest.raises(KerasVisionError):
        Thresholds.load(tmp_path / "thresholds.json", NAMES)
    with pytest.raises(KerasVisionError, match="no such file"):
        Thresholds.load(tmp_path / "missing.json", NAMES)


def test_scores_that_are_no_numbers_or_of_other_labels_are_errors():
    scores, truth = problem(9)
    broken = scores.copy()
    broken[3, 1] = np.nan
    with pytest.raises(KerasVisionError, match="image 3 for label 1 is nan"):
        search_thresholds(broken, truth, GROUPS)
    with pytest.raises(KerasVisionError, match="image 3 for label 1 is nan"):
        Thresholds(NAMES, (0.5,) * 5).predict(broken)
    with pytest.raises(KerasVisionError, match=r"expected \(n, 5\)"):
        search_thresholds(scores[:, :4], truth, GROUPS)
    with pytest.raises(KerasVisionError, match="0 or 1"):
        search_thresholds(scores, truth + 1, GROUPS)
    with pytest.raises(KerasVisionError, match="same images"):
        search_thresholds(scores[:0], truth[:0], GROUPS)
