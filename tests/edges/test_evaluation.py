"""The boundary benchmark, against a naive loop, the published script's arithmetic and a published HED output."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import keras_vision as kv
from keras_vision.edges.scores import BoundaryScores
from keras_vision.errors import KerasVisionError


def scene(seed, people=3, shape=(22, 27)):
    """A soft map, and the drawings of people who agree with it and each other in part."""
    rng = np.random.default_rng(seed)
    strength = ndimage.gaussian_filter(rng.random(shape), 1.2)
    strength = (strength - strength.min()) / np.ptp(strength)
    drawn = [
        kv.edges.thin(np.roll(strength, rng.integers(-2, 3), seed % 2) + rng.normal(0, 0.1, shape) > 0.6)
        for _ in range(people)
    ]
    return strength, np.stack(drawn)


def naive_match(detected, annotated, distance):
    """Which detected pixels the least-cost dense assignment matches, as a map, and how many."""
    places = np.argwhere(detected)
    apart = cdist(places, np.argwhere(annotated))
    cost = np.hstack([np.where(apart <= distance, apart, 1e9), np.full((len(apart),) * 2, 100 * distance)])
    row, column = linear_sum_assignment(cost)
    matched = np.zeros(detected.shape, bool)
    matched[tuple(places[row[column < apart.shape[1]]].T)] = True
    return matched, int(matched.sum())


def naive_counts(strength, people, thresholds, tolerance):
    """The benchmark's loop over thresholds and people: right, detected, found, annotated."""
    rows = []
    for threshold in thresholds:
        detected = kv.edges.thin(strength >= threshold)
        matches = [naive_match(detected, person, tolerance * np.hypot(*strength.shape)) for person in people]
        right = np.logical_or.reduce([matched for matched, _ in matches])
        rows.append((right.sum(), detected.sum(), sum(count for _, count in matches), people.sum()))
    return np.array(rows).T


def naive_scores(thresholds, counts):
    """ODS with its threshold, OIS and AP of counts (images, 4, k), as the published script computes them."""

    def rates(right, detected, found, annotated):
        p, r = right / max(detected, 1), found / max(annotated, 1)
        return p, r, 2 * p * r / (p + r if p + r else 1)

    total = [rates(*column) for column in counts.sum(0).T]
    best = (total[0][2], thresholds[0])
    for k in range(1, len(thresholds)):
        for d in np.linspace(0, 1, 100):
            p, r, t = (
                b * d + a * (1 - d)
                for a, b in zip((*total[k - 1][:2], thresholds[k - 1]), (*total[k][:2], thresholds[k]), strict=True)
            )
            f = 2 * p * r / (p + r if p + r else 1)
            if f > best[0]:
                best = f, t
    own = [image[:, np.argmax([rates(*column)[2] for column in image.T])] for image in counts]
    ois = rates(*np.sum(own, 0))[2]
    curve = {}
    for p, r, _ in total:
        curve.setdefault(r, p)
    recalls, area = sorted(curve), 0.0
    for x in np.arange(101) / 100:
        if len(recalls) > 1 and recalls[0] <= x <= recalls[-1]:
            k = next(i for i in range(1, len(recalls)) if x <= recalls[i])
            a, b = recalls[k - 1], recalls[k]
            area += (curve[a] + (curve[b] - curve[a]) * (x - a) / (b - a)) / 100
    return *best, ois, area


def test_counts_are_those_of_the_naive_loop():
    thresholds = np.arange(1, 12) / 12
    tolerance = 0.05
    scenes = [scene(seed, people) for seed, people in enumerate((1, 3, 4))]
    scores = kv.edges.evaluate_boundaries(*zip(*scenes, strict=True), thresholds=11, tolerance=tolerance)
    np.testing.assert_allclose(scores.thresholds, thresholds)
    counted = np.stack([scores.right, scores.detected, scores.found, scores.annotated], 1)
    expected = np.stack([naive_counts(*each, thresholds, tolerance) for each in scenes])
    np.testing.assert_array_equal(counted[:, 1:], expected[:, 1:])
    np.testing.assert_array_equal(counted[0, 0], expected[0, 0])  # one person: right = found
    # Which of two equally good pixels is matched is open, and so is, by a few, what several people match together.
    assert np.abs(counted[:, 0] - expected[:, 0]).max() <= 3
    ods, threshold, ois, ap = naive_scores(thresholds, counted)
    assert scores.ods == pytest.approx(ods, abs=1e-12)
    assert scores.ods_threshold == pytest.approx(threshold, abs=1e-12)
    assert scores.ois == pytest.approx(ois, abs=1e-12)
    assert scores.ap == pytest.approx(ap, abs=1e-12)
    assert scores.ois >= max(2 * scores.precision * scores.recall / (scores.precision + scores.recall))


@pytest.mark.parametrize("seed", range(4))
def test_scores_of_random_counts(seed):
    rng = np.random.default_rng(seed)
    thresholds = np.sort(rng.random(9))
    detected = np.sort(rng.integers(0, 90, (5, 9)))[:, ::-1] * (np.arange(9) < 8)
    found = np.minimum(detected, rng.integers(20, 60, (5, 1)))
    counts = np.stack([(detected * rng.random((5, 9))).astype(int), detected, found, np.full((5, 9), 70)], 1)
    scores = BoundaryScores(thresholds, *np.moveaxis(counts, 1, 0))
    ods, threshold, ois, ap = naive_scores(thresholds, counts)
    np.testing.assert_allclose([scores.ods, scores.ods_threshold, scores.ois], [ods, threshold, ois], atol=1e-12)
    assert scores.ap == pytest.approx(ap, abs=1e-12)
    assert len(scores.image_scores) == 5
    assert max(each.f for each in scores.image_scores) >= scores.ods


def test_a_perfect_detector_and_none():
    people = np.stack([scene(0)[1][0]] * 3)
    perfect = kv.edges.evaluate_boundaries([people[0] * 0.7], [people])
    assert (perfect.ods, perfect.ois) == (1, 1)
    assert perfect.precision.tolist() == [1] * 70 + [0] * 29  # 0.01 to 0.70; then nothing is detected
    assert perfect.annotated[0, 0] == 3 * people[0].sum()
    for edges, drawing in ((people[0] * 0.0, people), (people[0] * 0.7, people * 0), (people[0] * 0.0, people * 0)):
        scores = kv.edges.evaluate_boundaries([edges], [drawing], thresholds=9)
        assert (scores.ods, scores.ois, scores.ap) == (0, 0, 0)
        assert np.isfinite([scores.precision, scores.recall]).all()


def test_one_threshold_and_thin_maps():
    strength, people = scene(2)
    several = kv.edges.evaluate_boundaries([strength], [people], thresholds=[0.4, 0.6])
    one = kv.edges.evaluate_boundaries([strength], [people], thresholds=[0.6])
    assert (one.detected[0, 0], one.found[0, 0]) == (several.detected[0, 1], several.found[0, 1])
    assert one.ods_threshold == 0.6
    assert one.ods == pytest.approx(2 / (1 / one.precision[0] + 1 / one.recall[0]))
    thick = kv.edges.evaluate_boundaries([strength], [people], thresholds=[0.6], thinned=True)
    assert thick.detected[0, 0] == (strength >= 0.6).sum() > one.detected[0, 0]


def test_images_of_a_data_set_bring_their_annotations():
    strength, people = scene(1)
    images = kv.data.EdgeImages(
        [np.zeros(strength.shape, np.uint8)] * 2, [people, people[:2]], lambda drawn: (drawn, drawn)
    )
    calls = []
    found = kv.edges.evaluate_boundaries(
        (strength for _ in range(2)), images, thresholds=5, progress=lambda *done: calls.append(done)
    )
    expected = kv.edges.evaluate_boundaries([strength] * 2, [people, people[:2]], thresholds=5)
    np.testing.assert_array_equal(found.right, expected.right)
    assert found.annotated[:, 0].tolist() == [people.sum(), people[:2].sum()]
    assert calls == [(1, 2), (2, 2)]


def test_processes_count_the_same(berkeley):
    strengths = [ndimage.gaussian_filter(berkeley.boundaries(i).mean(0), 1) for i in (0, 1)]
    annotations = [berkeley.boundaries(i) for i in (0, 1)]
    calls = []
    options = dict(thresholds=[0.2, 0.4], progress=lambda *done: calls.append(done))
    alone = kv.edges.evaluate_boundaries(strengths, annotations, **options)
    together = kv.edges.evaluate_boundaries(iter(strengths), iter(annotations), workers=2, **options)
    for name in ("right", "detected", "found", "annotated"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
    assert calls == [(1, 2), (2, 2), (1, None), (2, None)]


def test_the_published_hed_output(berkeley, shared):
    """One image's best F is near HED's 0.79 on all; each person's drawing is at least as long as what is found."""
    position = [path.stem for path in berkeley.sources].index("175083")
    strength = np.asarray(Image.open(shared / "data/hed_reference/official_caffe.png")) / 255
    people = berkeley.boundaries(position)[:, :-1, :-1]
    scores = kv.edges.evaluate_boundaries(
        [kv.edges.suppress_non_maxima(strength, radius=2, smoothing=1)], [people], thresholds=np.arange(45, 80, 5) / 100
    )
    assert 0.77 <= scores.ods <= 0.83
    assert (np.diff(scores.recall) < 0).all()
    assert (scores.found <= scores.annotated).all()
    turned = kv.edges.evaluate_boundaries([strength[::-1]], [people], thresholds=[0.5])
    assert turned.ods < 0.6  # the same map upside down


def test_bad_input():
    strength, people = scene(0)
    evaluate = kv.edges.evaluate_boundaries
    with pytest.raises(KerasVisionError, match=r"image 0: edges of \(21, 27\) pixels, annotations of \(22, 27\)"):
        evaluate([strength[1:]], [people], thresholds=2)
    with pytest.raises(KerasVisionError, match="1 annotations and more edge maps"):
        evaluate([strength] * 2, [people], thresholds=2)
    with pytest.raises(KerasVisionError, match="1 edge maps and more annotations"):
        evaluate([strength], [people] * 2, thresholds=2)
    with pytest.raises(KerasVisionError, match="no images"):
        evaluate([], [])
    with pytest.raises(KerasVisionError, match=r"annotations of image 0 of shape \(0, 22, 27\)"):
        evaluate([strength], [people[:0]])
    with pytest.raises(KerasVisionError, match="annotations of image 0 has the value 255"):
        evaluate([strength], [people * np.uint8(255)])
    with pytest.raises(KerasVisionError, match="edges of image 0 has values from 0 to 2"):
        evaluate([strength * 2], [people])
    with pytest.raises(KerasVisionError, match="edges of image 0 has nan in row 0, column 0"):
        evaluate([np.full((22, 27), np.nan)], [people])
    for thresholds in (0, [], [0.5, 0.5], [0.0, 0.5], [0.5, 1.5]):
        with pytest.raises(KerasVisionError, match="thresholds="):
            evaluate([strength], [people], thresholds=thresholds)
    with pytest.raises(KerasVisionError, match="workers=0; give at least 1"):
        evaluate([strength], [people], workers=0)
    with pytest.raises(KerasVisionError, match="tolerance=2"):
        evaluate([strength], [people], tolerance=2)
