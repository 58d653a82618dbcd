"""Boxes: overlap, coordinates, merging, errors; against pixel counts, naive loops and figures by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_vision.errors import KerasVisionError
from keras_vision.localisation import (
    decode_boxes,
    encode_boxes,
    ground_truth_class_error,
    iou,
    localisation_error,
    match_scores,
    merge_boxes,
)
from keras_vision.localisation.merging import THRESHOLD


def random_boxes(rng, count, size=40, integers=False, least=0):
    corners = rng.uniform(0, size, (2, count, 2))
    boxes = np.concatenate([corners.min(0), corners.max(0) + least], axis=1)
    return np.rint(boxes) if integers else boxes


def mask(box, size=40):
    """The pixels of a box with whole-numbered corners."""
    left, top, right, bottom = box.astype(int)
    pixels = np.zeros((size, size), bool)
    pixels[top:bottom, left:right] = True
    return pixels


def naive_match(a, b):
    left, top, right, bottom = (f(x, y) for f, x, y in zip((max, max, min, min), a, b, strict=True))
    shared = max(right - left, 0) * max(bottom - top, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    side = sum(box[2] - box[0] + box[3] - box[1] for box in (a, b)) / 4
    centres = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (a, b)]
    return np.hypot(centres[0][0] - centres[1][0], centres[0][1] - centres[1][1]) / side + 1 - shared / (areas - shared)


def naive_merge(boxes, scores, threshold):
    """All pairs anew in every round; each box is a list of those in it."""
    groups = [([box], score) for box, score in zip(boxes, scores, strict=True)]
    while len(groups) > 1:
        mean = [np.mean(members, axis=0) for members, _ in groups]
        pairs = list(itertools.combinations(range(len(groups)), 2))
        i, j = min(pairs, key=lambda pair: naive_match(mean[pair[0]], mean[pair[1]]))
        if naive_match(mean[i], mean[j]) > threshold:
            break
        merged = (groups[i][0] + groups[j][0], groups[i][1] + groups[j][1])
        groups = [group for k, group in enumerate(groups) if k not in (i, j)] + [merged]
    groups.sort(key=lambda group: -group[1])
    return np.array([np.mean(members, axis=0) for members, _ in groups]), np.array([score for _, score in groups])


def test_iou_equals_a_count_of_pixels():
    rng = np.random.default_rng(0)
    boxes, others = random_boxes(rng, 30, integers=True), random_boxes(rng, 20, integers=True)
    expected = [[(mask(a) & mask(b)).sum() / max((mask(a) | mask(b)).sum(), 1) for b in others] for a in boxes]
    actual = iou(boxes, others)
    assert actual.shape == (30, 20)
    np.testing.assert_allclose(actual, expected, atol=1e-12)
    assert (actual > 0).any()


def test_iou_by_hand_and_without_area():
    assert iou([[0, 0, 2, 2]], [[1, 0, 3, 2]])[0, 0] == pytest.approx(1 / 3)
    assert iou([[1, 1, 1, 5]], [[1, 1, 1, 5], [0, 0, 9, 9]]).tolist() == [[0, 0]]
    assert iou([], [[0, 0, 1, 1]]).shape == (0, 1)


def test_encoded_boxes_by_hand():
    encoded = encode_boxes([[30, 20, 50, 30]], [10, 10, 90, 50])
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, [[30 / 80, 15 / 40, 20 / 80, 10 / 40]])
    np.testing.assert_allclose(decode_boxes([[0.5, 0.5, 0.5, -0.1]], [10, 10, 90, 50]), [[30, 30, 70, 30]])


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_decoding_inverts_encoding(seed, count):
    rng = np.random.default_rng(seed)
    boxes, windows = random_boxes(rng, count), random_boxes(rng, count, least=5)
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, windows), windows), boxes, atol=1e-3)


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1.2])
def test_merging_equals_a_naive_loop(threshold):
    rng = np.random.default_rng(1)
    for _ in range(5):
        boxes, scores = random_boxes(rng, 25, least=15), rng.uniform(0, 1, 25)
        expected, sums = naive_merge(boxes, scores, threshold)
        merged, totals = merge_boxes(boxes, scores, threshold)
        np.testing.assert_allclose(merged, expected, atol=1e-9)
        np.testing.assert_allclose(totals, sums, atol=1e-12)


def test_two_clusters_give_their_two_averages():
    rng = np.random.default_rng(2)
    near, far = rng.normal([10, 10, 60, 50], 2, (30, 4)), rng.normal([150, 90, 190, 170], 2, (20, 4))
    merged, scores = merge_boxes(np.concatenate([near, far]), np.repeat([0.1, 0.4], [30, 20]))
    np.testing.assert_allclose(merged, [far.mean(0), near.mean(0)])
    np.testing.assert_allclose(scores, [8, 3])


def test_merging_is_independent_of_order_and_unit():
    rng = np.random.default_rng(3)
    boxes = np.rint(random_boxes(rng, 60, least=20))  # whole numbers: many equal matches
    scores = rng.integers(1, 5, 60) / 8
    merged, totals = merge_boxes(boxes, scores)
    assert 1 < len(merged) < 60
    for _ in range(5):
        order = rng.permutation(60)
        again, sums = merge_boxes(boxes[order], scores[order])
        np.testing.assert_array_equal(again, merged)
        np.testing.assert_array_equal(sums, totals)
    larger, sums = merge_boxes(boxes * 16, scores)
    np.testing.assert_allclose(larger, merged * 16)
    np.testing.assert_array_equal(sums, totals)


def test_scores_and_counts_are_kept():
    boxes = random_boxes(np.random.default_rng(4), 300, least=9)
    scores = np.random.default_rng(5).uniform(0, 1, 300)
    merged, totals = merge_boxes(boxes, scores)
    assert totals.sum() == pytest.approx(scores.sum())
    assert (np.diff(totals) <= 0).all()
    assert (match_scores(merged, merged) + np.eye(len(merged)) * 9 > THRESHOLD).all()


def test_one_box_stays_and_none_is_none():
    merged, scores = merge_boxes([[1, 2, 3, 4]], [0.5])
    assert (merged.tolist(), scores.tolist()) == ([[1, 2, 3, 4]], [0.5])
    merged, scores = merge_boxes([], [])
    assert (merged.shape, scores.shape) == ((0, 4), (0,))


def test_a_thousand_boxes_merge_into_their_clusters():
    rng = np.random.default_rng(6)
    centres = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2) * 200.0
    boxes = np.repeat(np.concatenate([centres, centres + 100], axis=1), 50, axis=0) + rng.normal(0, 3, (1000, 4))
    merged, scores = merge_boxes(boxes, np.ones(1000))
    assert scores.tolist() == [50] * 20
    averages = boxes.reshape(20, 50, 4).mean(1)
    order = iou(averages, merged).argmax(1)
    np.testing.assert_allclose(merged[order], averages)


def test_localisation_error_by_hand():
    box, half, off = (0, 0, 10, 10), (0, 0, 10, 5), (20, 20, 30, 30)
    truth = [(3, [box]), (1, [off, box]), (2, [box]), (0, [box])]
    predictions = [
        [(1, 0.5, box), (3, 0.3, box)],  # right class and box, in second place
        [(1, 0.9, off)],  # the other of its two boxes
        [(2, 0.9, half)],  # IoU is 0.5, not above
        [(4, 0.9, box)] * 5 + [(0, 0.1, box)],  # right, but sixth
    ]
    assert localisation_error(predictions, truth) == 0.5
    assert localisation_error(predictions, truth, top=1) == 0.75
    assert localisation_error(predictions, truth, top=6) == 0.25
    assert ground_truth_class_error([box, off, half, off], truth) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: iou([0, 0, 1, 1], [[0, 0, 1, 1]]), r"shape \(4,\)"),
        (lambda: iou([[0, 0, 1]], []), r"shape \(1, 3\)"),
        (lambda: iou([[5, 5, 1, 1]], []), "ends before it begins"),
        (lambda: merge_boxes([[0, 0, np.nan, 1]], [1]), "not finite"),
        (lambda: merge_boxes([[0, 0, 1, 1]], [1, 2]), "1 boxes"),
        (lambda: merge_boxes([[0, 0, 1, 1]], [-1]), "at least 0"),
        (lambda: merge_boxes([[0, 0, 1, 1]], [1], threshold=-1), "threshold=-1"),
        (lambda: encode_boxes([[0, 0, 1, 1]], [[0, 0, 1, 1]] * 2), "a window for each"),
        (lambda: encode_boxes([[0, 0, 1, 1]], [0, 0, 0, 1]), "with an area"),
        (lambda: decode_boxes([[0, 0, 1]], [0, 0, 1, 1]), r"shape \(1, 3\)"),
        (lambda: decode_boxes([[0, 0, 1, np.inf]], [0, 0, 1, 1]), "finite"),
        (lambda: localisation_error([], []), "0 images"),
        (lambda: localisation_error([[]], []), "the truth of 0"),
        (lambda: ground_truth_class_error([[0, 0, 1, 1]], [(0, [0, 0, 1, 1])]), r"shape \(4,\)"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(KerasVisionError, match=message):
        call()
