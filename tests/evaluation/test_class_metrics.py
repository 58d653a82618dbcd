"""VOC's and Caltech's metrics against hand-worked cases and independent definitions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import caltech_splits, mean_average_precision, mean_class_recall

RANKED = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
CASES = [  # truth in the order of falling scores, AP of 2007, AP of 2012
    ([1, 1, 0, 0, 0, 0], 1, 1),
    ([0, 0, 0, 0, 0, 1], Fraction(1, 6), Fraction(1, 6)),
    ([1, 0, 1, 0, 0, 1], Fraction(8, 11), Fraction(13, 18)),  # 4 points at 1, 3 at 2/3, 4 at 1/2
    ([0, 1, 1, 0, 0, 0], Fraction(2, 3), Fraction(2, 3)),  # precision 1/2 at recall 1/2 is lifted to 2/3
    ([1, -1, -1, 1, 0, 0], 1, 1),  # difficult ones do not come between
    ([-1, 0, 1, -1, 0, 1], Fraction(1, 2), Fraction(1, 2)),
]


def one_class(scores, truth, year="2012"):
    return mean_average_precision(np.array(scores)[:, None], np.array(truth)[:, None], year)[0]


def curve(scores, truth):
    """(recall, precision) at every score taken as the threshold, in fractions, by counting."""
    kept = [(s, t) for s, t in zip(scores, truth, strict=True) if t >= 0]
    for threshold in sorted({s for s, _ in kept}, reverse=True):
        found = [t for s, t in kept if s >= threshold]
        yield Fraction(sum(found), sum(t for _, t in kept)), Fraction(sum(found), len(found))


def best_precision(points, recall):
    return max((p for r, p in points if r >= recall), default=Fraction(0))


def eleven_points(scores, truth):
    points = list(curve(scores, truth))
    return sum(best_precision(points, Fraction(k, 10)) for k in range(11)) / 11


def area(scores, truth):
    """Integral of the best precision over recall: it is constant between two multiples of 1 / positives."""
    points, positives = list(curve(scores, truth)), sum(t == 1 for t in truth)
    return sum(best_precision(points, Fraction(k, positives)) for k in range(1, positives + 1)) / positives


def development_kit(scores, truth):
    """VOC 2012's VOCap.m and VOCevalcls.m, line by line, its own signs: 1, -1, and 0 for difficult."""
    signs = np.array([{1: 1, 0: -1, -1: 0}[t] for t in truth])[np.argsort(-np.array(scores), kind="stable")]
    true, false = np.cumsum(signs > 0), np.cumsum(signs < 0)
    recall = np.concatenate([[0], true / np.sum(signs > 0), [1]])
    precision = np.concatenate([[0], true / np.maximum(true + false, 1), [0]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return np.sum((recall[steps] - recall[steps - 1]) * precision[steps])


@pytest.mark.parametrize(("truth", "ap2007", "ap2012"), CASES)
def test_hand_worked_cases(truth, ap2007, ap2012):
    assert one_class(RANKED, truth, "2007") == pytest.approx(float(ap2007), abs=1e-12)
    assert one_class(RANKED, truth, "2012") == pytest.approx(float(ap2012), abs=1e-12)


outcomes = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([1, 0, 0, -1])), min_size=1, max_size=40)


@given(outcomes.filter(lambda drawn: any(t == 1 for _, t in drawn)))
def test_against_counting_at_every_threshold_with_many_ties(drawn):
    scores, truth = zip(*drawn, strict=True)
    assert one_class(scores, truth, "2007") == pytest.approx(float(eleven_points(scores, truth)), abs=1e-12)
    assert one_class(scores, truth, "2012") == pytest.approx(float(area(scores, truth)), abs=1e-12)


def test_recalls_of_whole_tenths_are_reached():
    """3 of 10 positives are a recall of 0.3, whatever binary fractions make of it."""
    for positives in range(1, 101):
        truth = [1, 0] * positives
        scores = range(len(truth), 0, -1)
        assert one_class(scores, truth, "2007") == pytest.approx(float(eleven_points(scores, truth)), abs=1e-12)


def test_without_ties_it_is_the_development_kit():
    rng = np.random.default_rng(0)
    scores, truth = rng.permutation(4000).reshape(200, 20), rng.choice([1, 0, -1], (200, 20), p=(0.15, 0.8, 0.05))
    mean, each = mean_average_precision(scores, truth)
    expected = [development_kit(s, t) for s, t in zip(scores.T, truth.T, strict=True)]
    np.testing.assert_allclose(each, expected, atol=1e-12)
    assert mean == pytest.approx(np.mean(expected), abs=1e-12)


def test_scikit_learns_average_precision_is_another_one():
    scores, truth = -np.arange(6), [0, 1, 1, 0, 0, 1]
    assert average_precision_score(truth, scores) == pytest.approx((1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert one_class(scores, truth) == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)


def test_equal_scores_count_together_in_any_order():
    truth = np.array([1, 1, 0, 0, 0, 1])
    for order in (slice(None), slice(None, None, -1)):
        for year in ("2007", "2012"):
            assert one_class(np.zeros(6), truth[order], year) == 0.5


def test_a_difficult_image_is_as_if_it_were_not_there():
    rng = np.random.default_rng(1)
    scores, truth = rng.normal(size=(60, 1)), rng.choice([0, 1, -1], (60, 1))
    kept = truth[:, 0] >= 0
    for year in ("2007", "2012"):
        assert mean_average_precision(scores, truth, year) == mean_average_precision(scores[kept], truth[kept], year)


def test_classes_without_images_are_nan_and_left_out_of_the_mean():
    mean, each = mean_average_precision([[2, 1, 3], [1, 2, 4]], [[1, 0, -1], [0, 0, 0]])
    np.testing.assert_array_equal(each, [1, np.nan, np.nan])
    assert mean == 1


@pytest.mark.parametrize(
    ("scores", "truth", "year", "message"),
    [
        ([0.1, 0.2], [0, 1], "2012", r"\(n, classes\)"),
        ([[0.1, 0.2]], [[0], [1]], "2012", r"scores \(1, 2\) and truth \(2, 1\)"),
        ([[np.nan], [0.2]], [[0], [1]], "2012", "finite"),
        ([[0.1], [0.2]], [[0], [2]], "2012", r"1, 0 or -1"),
        ([[0.1], [0.2]], [[0], [1]], "2011", "accepted: 2007, 2012"),
        ([[0.1], [0.2]], [[0], [-1]], "2012", "no image shows any class"),
    ],
)
def test_what_average_precision_does_not_take(scores, truth, year, message):
    with pytest.raises(KerasVisionError, match=message):
        mean_average_precision(scores, truth, year)


def test_mean_class_recall_weighs_classes_and_not_images():
    truth = np.array([0] * 8 + [1] * 2 + [2] * 2)
    predicted = np.array([0] * 8 + [1, 0] + [0, 0])
    assert mean_class_recall(predicted, truth) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert mean_class_recall(predicted, truth) == pytest.approx(balanced_accuracy_score(truth, predicted))


def test_a_predicted_class_that_the_truth_lacks_is_only_a_mistake(recwarn):
    assert mean_class_recall([0, 5, 1, 1], [0, 0, 1, 1]) == 0.75
    assert not recwarn.list


def test_caltech_101s_splits():
    labels = np.random.default_rng(2).permutation(np.repeat(np.arange(4), [31, 60, 80, 200]))
    splits = caltech_splits(labels)
    assert len(splits) == 3
    for train, test in splits:
        assert np.bincount(labels[train]).tolist() == [30] * 4
        assert np.bincount(labels[test]).tolist() == [1, 30, 50, 50]
        assert len(np.unique(np.concatenate([train, test]))) == len(train) + len(test)
    assert len({train.tobytes() for train, _ in splits}) == 3


def test_caltech_256s_splits_test_on_all_the_rest():
    labels = np.repeat(["ape", "bat"], [70, 300])
    for train, test in caltech_splits(labels, per_class=60, test_per_class=None, splits=2):
        assert (labels[train] == "ape").sum() == (labels[train] == "bat").sum() == 60
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(370))


def test_splits_repeat_with_the_seed():
    labels = np.repeat([0, 1], 90)
    flat = [np.concatenate([np.concatenate(pair) for pair in caltech_splits(labels, seed=s)]) for s in (7, 7, 8)]
    assert (flat[0] == flat[1]).all()
    assert (flat[0] != flat[2]).any()


def test_what_splits_do_not_take():
    with pytest.raises(KerasVisionError, match="class 1 has 30 images"):
        caltech_splits(np.repeat([0, 1], [40, 30]))
    for wrong in (dict(splits=0), dict(per_class=0), dict(test_per_class=0), dict(labels=[]), dict(labels=[[0, 1]])):
        with pytest.raises(KerasVisionError, match="at least 1"):
            caltech_splits(**{"labels": [0] * 99, **wrong})
