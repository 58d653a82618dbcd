"""Average precision against numbers worked by hand; suppression against a loop."""

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError

A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]
MISS = [50, 50, 60, 60]


def curve(detections, objects, difficult=None):
    return kv.localisation.precision_recall(detections, objects, difficult)


def test_average_precision_worked_by_hand():
    """Four objects; right, wrong, right, wrong (a second of A), right: precision 1, 1/2, 2/3, 1/2, 3/5."""
    detections = [([A, MISS, A], [0.9, 0.8, 0.6]), ([B, C], [0.7, 0.5])]
    found = curve(detections, [[A], [B, C, [80, 80, 90, 90]]])
    np.testing.assert_allclose(found.precision, [1, 1 / 2, 2 / 3, 1 / 2, 3 / 5])
    np.testing.assert_allclose(found.recall, [0.25, 0.25, 0.5, 0.5, 0.75])
    assert found.objects == 4
    assert found.average_precision() == pytest.approx(0.25 * (1 + 2 / 3 + 3 / 5))
    eleven = (3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11  # 0 to 0.2; 0.3 to 0.5; 0.6 and 0.7; nothing above
    assert found.average_precision("voc2007") == pytest.approx(eleven)
    sure = curve([([A], [1.0])], [[A]])
    assert kv.localisation.mean_average_precision([found, sure]) == pytest.approx((0.25 * 34 / 15 + 1) / 2)
    with pytest.raises(KerasVisionError, match="voc2010"):
        found.average_precision("voc2010")


def test_difficult_objects_count_neither_way():
    detections = [([A, A, B], [0.9, 0.8, 0.7])]
    found = curve(detections, [[A, B]], [[True, False]])
    np.testing.assert_array_equal(found.precision, [1])
    assert found.objects == 1
    assert found.average_precision() == 1


def test_the_overlap_is_at_least_a_half():
    right = curve([([[0, 0, 10, 5]], [1.0])], [[A]])
    wrong = curve([([[0, 0, 10, 4.9]], [1.0])], [[A]])
    assert (right.average_precision(), wrong.average_precision()) == (1, 0)


def test_a_detection_belongs_to_the_object_it_overlaps_most():
    """Both lie nearest to the first object, so that the second is wrong though it overlaps the other by a half."""
    objects = [[0, 0, 10, 10], [0, 3, 10, 13]]
    found = curve([([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8])], [objects])
    np.testing.assert_array_equal(found.precision, [1, 0.5])


def test_classes_and_images_without_anything():
    nothing = curve([([], []), ([A], [1.0])], [[], []])
    assert np.isnan(nothing.average_precision())
    missed = curve([([], [])], [[A]])
    assert missed.average_precision() == missed.average_precision("voc2007") == 0
    assert kv.localisation.mean_average_precision([nothing, missed]) == 0
    with pytest.raises(KerasVisionError, match="no class has objects"):
        kv.localisation.mean_average_precision([nothing])


def test_bad_detections_are_named():
    with pytest.raises(KerasVisionError, match="detections of 1 images, objects of 2"):
        curve([([A], [1.0])], [[A], [B]])
    with pytest.raises(KerasVisionError, match=r"scores of shape \(2,\) for 1 boxes"):
        curve([([A], [1.0, 2.0])], [[A]])
    with pytest.raises(KerasVisionError, match="overlap=2"):
        kv.localisation.suppress_overlaps([A], [1.0], 2)
    with pytest.raises(KerasVisionError, match="for 1 boxes"):
        kv.localisation.suppress_overlaps([A], [np.nan])


def test_suppression_is_a_loop():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 40, (60, 2))
    boxes, scores = np.column_stack([start, start + rng.uniform(8, 30, (60, 2))]), rng.random(60)
    kept = []
    for i in np.argsort(-scores):
        if all(kv.localisation.iou(boxes[[i]], boxes[[j]])[0, 0] <= 0.3 for j in kept):
            kept.append(i)
    assert 5 < len(kept) < 40
    np.testing.assert_array_equal(kv.localisation.suppress_overlaps(boxes, scores), kept)
    assert kv.localisation.suppress_overlaps([], []).shape == (0,)
