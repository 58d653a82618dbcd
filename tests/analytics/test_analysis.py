"""Analysis of vectors against naive loops, SciPy, and made-up images of known groups."""

import itertools
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.metrics import roc_auc_score

from keras_vision import analytics
from keras_vision.errors import KerasVisionError

FEW = {"none": np.zeros((0, 8)), "one": np.ones((1, 8)), "two": np.eye(2, 8), "identical": np.ones((6, 8))}


@pytest.fixture(scope="module")
def groups():
    """Three groups of ten directions, and whose each is."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 10)
    return np.eye(3, 16)[labels] * 5 + rng.normal(0, 0.3, (30, 16)), labels


def same_parts(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


def test_cosine_distances_of_a_loop(groups):
    vectors, _ = groups
    found = analytics.distances(vectors)
    for i, j in itertools.product(range(0, 30, 7), repeat=2):
        cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
        assert found[i, j] == pytest.approx(1 - cosine, abs=1e-12)
    assert (found == found.T).all()


def test_a_vector_of_zeros_is_far_from_all_others():
    for metric in ("cosine", "correlation"):
        found = analytics.distances(np.array([[0, 0, 0], [1, 2, 4], [1, 2, 4]]), metric)
        assert np.abs(found - [[0, 1, 1], [1, 0, 0], [1, 0, 0]]).max() < 1e-12


@pytest.mark.parametrize("method", ["ward", "k_means", "dbscan"])
def test_groups_are_found(groups, method):
    vectors, labels = groups
    found = {
        "ward": lambda: analytics.cut_tree(analytics.ward_tree(vectors), 3),
        "k_means": lambda: analytics.k_means(vectors, 3),
        "dbscan": lambda: analytics.dbscan(vectors, 0.2),
    }[method]()
    assert same_parts(found.tolist(), labels.tolist())


def test_silhouettes_of_a_loop(groups):
    vectors, labels = groups
    apart = analytics.distances(vectors)
    found = analytics.silhouettes(vectors, labels)
    for i in range(0, 30, 5):
        own = apart[i, labels == labels[i]].sum() / 9
        other = min(apart[i, labels == k].mean() for k in range(3) if k != labels[i])
        assert found[i] == pytest.approx((other - own) / max(other, own))


def test_an_image_of_no_group_is_the_outlier(groups):
    vectors = np.concatenate([groups[0], np.eye(16)[15:] * 9])
    assert analytics.outlier_scores(vectors, 5).argmax() == 30


@pytest.mark.parametrize("method", ["mds", "t_sne", "umap"])
def test_maps_keep_groups_together(groups, method):
    vectors, labels = groups
    points = getattr(analytics, method)(vectors)
    apart = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(30)
    assert points.shape == (30, 2)
    assert (labels[apart.argmin(1)] == labels).all()


def test_umap_keeps_neighbours_of_digits_and_repeats_itself():
    vectors = load_digits().data[:300]
    found = analytics.umap(vectors)
    assert trustworthiness(vectors, found, metric="cosine") > 0.95
    assert (found == analytics.umap(vectors)).all()


def test_mds_gives_back_a_plane():
    points = np.random.default_rng(1).normal(size=(20, 2))
    found = analytics.mds(points, "euclidean")
    assert np.abs(analytics.distances(found, "euclidean") - analytics.distances(points, "euclidean")).max() < 1e-3


def test_grid_is_the_best_of_all_permutations():
    points = np.random.default_rng(2).random((6, 2))
    found = analytics.image_grid(points)
    cells = [(x, y) for y in range(2) for x in range(3)]
    assert sorted(map(tuple, found.tolist())) == sorted(cells)
    scaled = (points - points.min(0)) / np.ptp(points, axis=0) * [2, 1]

    def cost(order):
        return ((scaled - np.array(order)) ** 2).sum()

    assert cost(found) == pytest.approx(min(map(cost, itertools.permutations(cells))))


def test_grid_of_many_images_uses_each_cell_once_and_keeps_order():
    points = np.random.default_rng(3).random((1500, 2))
    found = analytics.image_grid(points)
    assert len(set(map(tuple, found.tolist()))) == 1500
    assert all(np.corrcoef(found[:, axis], points[:, axis])[0, 1] > 0.98 for axis in (0, 1))


def test_neighbours_of_a_loop(groups):
    vectors, _ = groups
    places, apart = analytics.neighbours(vectors, 4)
    whole = analytics.distances(vectors) + 9 * np.eye(30)
    assert (places == whole.argsort(1)[:, :4]).all()
    assert np.abs(apart - np.sort(whole, axis=1)[:, :4]).max() < 1e-9
    assert (analytics.neighbours(vectors, 1, queries=vectors[5:7])[0] == [[5], [6]]).all()


def test_neighbours_of_copies_leave_out_the_image_itself():
    places, apart = analytics.neighbours(np.ones((6, 4)), 3)
    assert places.shape == (6, 3)
    assert apart.max() < 1e-12
    assert not (places == np.arange(6)[:, None]).any()


def test_approximate_neighbours(groups):
    pytest.importorskip("usearch")
    vectors, _ = groups
    exact, approximate = (analytics.neighbours(vectors, 4, approximate=way)[0] for way in (False, True))
    assert (np.sort(exact) == np.sort(approximate)).mean() > 0.95


def test_duplicates_and_near_duplicates():
    assert analytics.duplicates([b"a", b"b", b"a", b"c", b"b", b"a"]) == [[0, 2, 5], [1, 4]]
    angles = np.radians([0, 5, 10, 60, 62, 120])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert analytics.near_duplicates(vectors, 1 - np.cos(np.radians(6))) == [[0, 1, 2], [3, 4]]  # 0 and 10 by the chain


@pytest.mark.parametrize("classifier", ["logistic", "forest", "neighbours"])
def test_cross_validation_of_digits(classifier):
    digits = load_digits()
    vectors, names = digits.data[:400] / 16, [f"digit {d}" for d in digits.target[:400]]
    found = analytics.cross_validate(vectors, names, classifier, folds=4)
    truth = digits.target[:400]
    assert found.ca > 0.88
    assert found.ca == pytest.approx(np.trace(found.confusion) / 400)
    assert (found.confusion.sum(1) == np.bincount(truth)).all()
    each = [roc_auc_score(truth == d, found.probabilities[:, d]) for d in range(10)]
    assert found.auc == pytest.approx(np.average(each, weights=np.bincount(truth)))
    f1 = [2 * found.confusion[d, d] / (found.confusion[d].sum() + found.confusion[:, d].sum()) for d in range(10)]
    assert found.f1 == pytest.approx(np.average(f1, weights=np.bincount(truth)))
    assert len(found.misclassified()) == 400 - np.trace(found.confusion)
    assert len(found.misclassified("digit 8", "digit 1")) == found.confusion[8, 1]


def test_cross_validation_leaves_out_what_has_no_class_or_is_alone(groups):
    vectors, labels = groups
    names = [f"class {label}" for label in labels]
    names[3], names[4] = None, "alone"
    found = analytics.cross_validate(vectors, names)
    assert found.left_out == [3, 4]
    assert found.classes == ["class 0", "class 1", "class 2"]
    assert found.folds == 8
    assert found.ca == found.auc == 1
    with pytest.raises(KerasVisionError, match="two such classes"):
        analytics.cross_validate(vectors, ["a"] * 30)
    with pytest.raises(KerasVisionError, match="no class is called"):
        found.misclassified("alone")


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "correlation"])
def test_few_and_identical_images(few, metric):
    vectors = FEW[few]
    n = len(vectors)
    apart = analytics.distances(vectors, metric)
    assert apart.shape == (n, n)
    assert np.isfinite(apart).all()
    assert analytics.ward_tree(vectors, metric).shape == (max(n - 1, 0), 4)
    assert analytics.mds(vectors, metric).shape == (n, 2)
    assert len(analytics.dbscan(vectors, 0.1, metric=metric)) == n
    assert (analytics.silhouettes(vectors, np.zeros(n), metric) == 0).all()
    assert (analytics.outlier_scores(vectors, metric=metric) == 1).all()


@pytest.mark.parametrize("few", FEW)
def test_few_and_identical_images_on_maps(few):
    vectors = FEW[few]
    n = len(vectors)
    for points in (analytics.umap(vectors), analytics.t_sne(vectors)):
        assert points.shape == (n, 2)
        assert np.isfinite(points).all()
    assert len(set(map(tuple, analytics.image_grid(points).tolist()))) == n
    assert analytics.neighbours(vectors, 3)[0].shape == (n, min(3, max(n - 1, 0)))
    assert len(analytics.k_means(vectors, 2)) == n
    assert set(analytics.k_means(vectors, 2)) <= {0, 1}
    assert analytics.near_duplicates(vectors) == ([list(range(6))] if few == "identical" else [])
    if few in ("none", "one"):
        with pytest.raises(KerasVisionError, match="two"):
            analytics.cross_validate(vectors, ["a"] * n)


@pytest.mark.parametrize(("call", "message"), [
    (lambda v: analytics.distances(v, "nearness"), "accepted: 'cosine'"),
    (lambda v: analytics.umap(v, neighbours=1), "give at least 2"),
    (lambda v: analytics.distances(v * np.nan), "finite"),
    (lambda v: analytics.distances(v[0]), "shape"),
    (lambda v: analytics.k_means(v, 0), "at least 1"),
    (lambda v: analytics.neighbours(v, 0), "at least 1"),
    (lambda v: analytics.cross_validate(v, ["a"]), "1 labels for 30 images"),
    (lambda v: analytics.cross_validate(v, ["a"] * 30, "oracle"), "accepted: 'logistic'"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(groups, call, message):
    with pytest.raises(KerasVisionError, match=message):
        call(groups[0])


def test_a_missing_extra_is_named(groups, monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(KerasVisionError, match=r'pip install "keras-vision\[neighbours\]"'):
        analytics.neighbours(groups[0], approximate=True)
