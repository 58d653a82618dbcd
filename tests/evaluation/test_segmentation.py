"""FCN's four scores: against loops over pixels, scikit-learn, and figures worked out by hand."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

import keras_vision as kv
from keras_vision.data import SegmentedImages, camvid, unpack
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import (
    SegmentationScores,
    confusion_matrix,
    segmentation_scores,
    trimap_curve,
    upper_bounds,
)
from keras_vision.evaluation.segmentation_bounds import coarse, without_void
from keras_vision.evaluation.trimap import border_distance


def maps(seed=0, shape=(3, 20, 31), classes=5, void=255):
    """Truth without class 3 but with void, and a prediction that is often right and has class 3."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 4, void], shape, p=[0.5, 0.2, 0.1, 0.1, 0.1])
    predicted = np.where(rng.random(shape) < 0.7, truth, rng.integers(0, classes, shape))
    return truth.astype(np.uint8), np.where(predicted == void, 0, predicted)


def images_of(masks, void=255, classes=5):
    pixels = [np.zeros((*mask.shape, 3), np.uint8) for mask in masks]
    return SegmentedImages(pixels, list(masks), tuple("abcde"[:classes]), void)


def test_the_matrix_is_that_of_a_loop():
    truth, predicted = maps()
    predicted[0, 0, :5] = (5, 255, -1, 3, 4)
    expected = np.zeros((5, 6), int)
    for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if t != 255:
            expected[t, p if 0 <= p < 5 else 5] += 1
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 5), expected)


def test_scores_are_those_of_scikit_learn_over_the_classes_of_the_truth():
    truth, predicted = maps()
    scores = SegmentationScores(confusion_matrix(truth, predicted, 5))
    t, p = truth[truth != 255], predicted[truth != 255]
    present = [0, 1, 2, 4]
    assert 3 in p
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(t, p))
    assert scores.mean_accuracy == pytest.approx(recall_score(t, p, labels=present, average="macro"))
    assert scores.mean_iu == pytest.approx(jaccard_score(t, p, labels=present, average="macro"))
    assert scores.frequency_weighted_iu == pytest.approx(jaccard_score(t, p, labels=present, average="weighted"))
    per_class = jaccard_score(t, p, labels=present, average=None)
    np.testing.assert_allclose(scores.class_iu[present], per_class)
    assert np.isnan(scores.class_iu[3])


def test_a_class_that_is_only_predicted_counts_against_the_others_alone():
    truth, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 2, 0, 1, 0])
    scores = SegmentationScores(confusion_matrix(truth, predicted, 3))
    assert scores.mean_iu == pytest.approx((3 / 5 + 1 / 2) / 2)  # a third term of 0 would be the paper's older version
    assert scores.mean_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores.frequency_weighted_iu == pytest.approx((4 * 3 / 5 + 2 * 1 / 2) / 6)
    assert scores.pixel_accuracy == pytest.approx(4 / 6)


def test_void_counts_nowhere_in_the_truth_and_as_a_miss_in_a_prediction():
    truth, predicted = np.array([[0, 1, 11, 11]]), np.array([[0, 11, 0, 1]])
    scores = SegmentationScores(confusion_matrix(truth, predicted, 2, void=11), ("sky", "road"))
    assert scores.class_iu.tolist() == [1.0, 0.0]
    assert "| road | 0.0 | 0.0 | 50.0 |" in scores.table()
    assert scores.to_dict()["class_iu"] == {"sky": 1.0, "road": 0.0}


def test_a_data_set_is_scored_as_one_image():
    truth, predicted = maps()
    scores = segmentation_scores(images_of(truth), iter(predicted))
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(truth, predicted, 5))
    assert scores.class_names == tuple("abcde")


def test_bad_input():
    truth, predicted = maps()
    images = images_of(truth)
    with pytest.raises(KerasVisionError, match="truth 7 at 1 pixels; accepted: 0 to 4, and void 255"):
        confusion_matrix(np.array([7, 0]), np.array([0, 0]), 5)
    with pytest.raises(KerasVisionError, match="integer class maps of one shape"):
        confusion_matrix(truth, predicted[0], 5)
    with pytest.raises(KerasVisionError, match="integer class maps"):
        confusion_matrix(truth, predicted.astype(float), 5)
    with pytest.raises(KerasVisionError, match="at least one pixel that is not void"):
        SegmentationScores(confusion_matrix(np.full((2, 2), 255), np.zeros((2, 2), int), 5))
    with pytest.raises(KerasVisionError, match="2 predictions for 3 images"):
        segmentation_scores(images, predicted[:2])
    with pytest.raises(KerasVisionError, match="more predictions than the 3 images"):
        segmentation_scores(images, [*predicted, predicted[0]])
    with pytest.raises(KerasVisionError, match=r"prediction of image 0 is \(20, 30\), its mask \(20, 31\)"):
        segmentation_scores(images, predicted[:, :, 1:])
    with pytest.raises(KerasVisionError, match="give at least one, of 1 or above"):
        upper_bounds(images, ())
    with pytest.raises(KerasVisionError, match="around='edges'; accepted: void, boundaries"):
        trimap_curve(images, predicted, around="edges")
    with pytest.raises(KerasVisionError, match="give increasing numbers"):
        trimap_curve(images, predicted, widths=(3, 2))
    with pytest.raises(KerasVisionError, match="no labelled pixel within 1 pixels of boundaries"):
        trimap_curve(images_of(np.zeros((1, 4, 4), np.uint8)), [np.zeros((4, 4), int)], around="boundaries")


@pytest.mark.parametrize("factor", [1, 3, 4])
def test_a_coarse_map_is_that_of_a_loop(factor):
    labels = np.random.default_rng(0).integers(0, 9, (11, 14))
    expected = np.empty_like(labels)
    for top in range(0, 11, factor):
        for left in range(0, 14, factor):
            cell = labels[top : top + factor, left : left + factor]
            expected[top : top + factor, left : left + factor] = cell[cell.shape[0] // 2, cell.shape[1] // 2]
    np.testing.assert_array_equal(coarse(labels, factor), expected)


def test_void_takes_the_nearest_class():
    labels = np.array([[1, 255, 255, 255, 2]])
    assert without_void(labels, 255)[0, [1, 3]].tolist() == [1, 2]
    all_void = np.full((2, 2), 255)
    assert without_void(all_void, 255) is all_void
    assert coarse(np.array([[7]]), 32).tolist() == [[7]]


@pytest.fixture(scope="module")
def scenes(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("camvid") / "test"
    unpack(shared / "data/camvid/camvid_test.tar", folder)
    scenes = camvid(folder)
    return SegmentedImages(scenes.sources[::4], scenes.masks[::4], scenes.class_names, scenes.void)


def test_bounds_on_real_scenes_fall_with_the_factor_as_the_papers_do(scenes):
    found = upper_bounds(scenes, (64, 32, 16, 8, 4, 1))
    means = [100 * scores.mean_iu for scores in found.values()]
    assert means[-1] == 100
    assert means == sorted(means)
    for mean, published in zip(means, (73.3, 86.1, 92.8, 96.4, 98.5), strict=False):
        assert mean < published  # of PASCAL VOC, whose objects are larger than CamVid's poles and signs
    whole = coarse(without_void(scenes.mask(0), 11), 8)
    small = np.asarray(Image.fromarray(without_void(scenes.mask(0), 11)).resize((60, 45), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(whole[::8, ::8], small)  # Pillow's nearest takes the same pixel of each cell


def naive_distance(labels, void, around):
    """By comparing each pixel with every other."""
    h, w = labels.shape
    points = []
    for y in range(h):
        for x in range(w):
            beside = [(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
            others = {labels[p] for p in beside if 0 <= p[0] < h and 0 <= p[1] < w} - {void, labels[y, x]}
            if labels[y, x] == void if around == "void" else labels[y, x] != void and others:
                points.append((y, x))
    grid = np.stack(np.mgrid[:h, :w], -1)[:, :, None]
    return np.sqrt(((grid - np.array(points)) ** 2).sum(-1)).min(-1) + (around == "boundaries")


@pytest.mark.parametrize("around", ["void", "boundaries"])
def test_bands_are_those_of_a_loop(around):
    truth, predicted = maps(shape=(2, 15, 18))
    truth[0] = np.where(np.mgrid[:15, :18][1] < 8, 0, 4)
    truth[0, 10:13, 5:9] = 255
    curve = trimap_curve(images_of(truth), predicted, (1, 2, 5), around)
    for width, scores in zip(curve.widths, curve.scores, strict=True):
        inside = np.stack([naive_distance(each, 255, around) <= width for each in truth])
        np.testing.assert_array_equal(scores.confusion, confusion_matrix(truth[inside], predicted[inside], 5))
    assert curve.pixel_accuracy.tolist() == [scores.pixel_accuracy for scores in curve.scores]
    assert np.isinf(border_distance(np.zeros((3, 3), int), 255, around)).all()


def test_blurred_scenes_are_worst_at_their_borders(scenes, tmp_path):
    few = SegmentedImages(scenes.sources[:4], scenes.masks[:4], scenes.class_names, scenes.void)
    filled = [without_void(few.mask(i), 11) for i in range(4)]
    curves = {
        f"cells of {factor} pixels": trimap_curve(few, [coarse(each, factor) for each in filled], around="boundaries")
        for factor in (4, 8, 16)
    }
    for curve in curves.values():
        assert (np.diff(curve.pixel_accuracy) > 0).all()
        assert curve.pixel_accuracy[0] < 0.85
    levels = [curve.mean_iu[4] for curve in curves.values()]
    assert levels == sorted(levels, reverse=True)
    figure = kv.visualization.trimap_curves(curves)
    assert [axes.get_ylabel() for axes in figure.axes] == ["pixel accuracy (%)", "mean IU (%)"]
    np.testing.assert_allclose(figure.axes[1].lines[2].get_ydata(), 100 * curves["cells of 16 pixels"].mean_iu)
    figure.savefig(tmp_path / "trimap.png")
    assert Image.open(tmp_path / "trimap.png").size[0] > 800
    with pytest.raises(KerasVisionError, match="give at least one"):
        kv.visualization.trimap_curves({})
