"""The search of the CRF's parameters: planted ones are found, interruptions cost nothing, real images gain."""

import dataclasses
import io
import itertools
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image
from pydensecrf.densecrf import DenseCRF2D
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import jaccard_score

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf import fitting, held_out

SIZES = ((40, 56), (48, 48), (36, 60), (44, 50))
PLANTED = (7.5, 15.0, 9.0)
COARSE = dict(weights=(5, 10), theta_alphas=(10, 20), theta_betas=(6, 12), iterations=5)


def scene(seed):
    """Logits of four classes and an image of smooth colours and noise."""
    rng = np.random.default_rng(seed)
    height, width = SIZES[seed % len(SIZES)]
    smooth = gaussian_filter(rng.normal(size=(height, width, 3)), (5, 5, 0)) * 600
    image = np.clip(128 + smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    logits = gaussian_filter(rng.normal(size=(height, width, 4)), (2, 2, 0)) * 8 + rng.normal(size=(height, width, 4))
    return logits.astype(np.float32), image


def pydensecrf_labels(logits, image):
    """What pydensecrf makes of them with the planted parameters."""
    height, width, classes = logits.shape
    crf = DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(np.ascontiguousarray(-logits.reshape(-1, classes).T))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=PLANTED[1], srgb=PLANTED[2], rgbim=image, compat=PLANTED[0])
    return np.argmax(crf.inference(5), axis=0).reshape(height, width)


@pytest.fixture(scope="module")
def planted():
    """Logits, images and labels."""
    pairs = [scene(seed) for seed in range(4)]
    return *map(list, zip(*pairs, strict=True)), [pydensecrf_labels(*pair) for pair in pairs]


@pytest.fixture
def counted(monkeypatch):
    """Collects the kernels of the calls of dense_crf."""
    calls, real = [], held_out.dense_crf

    def dense_crf(*arguments, kernels, **options):
        calls.append(dataclasses.astuple(kernels[0]))
        return real(*arguments, kernels=kernels, **options)

    monkeypatch.setattr(held_out, "dense_crf", dense_crf)
    return calls


class Interruption(BaseException):
    pass


def test_planted_parameters_are_found_between_those_of_the_grid(planted):
    fit = kv.ops.fit_dense_crf(*planted, **COARSE)
    assert dataclasses.astuple(fit.kernels[0]) == PLANTED
    assert fit.kernels[1] == kv.ops.Gaussian(3, 3)
    assert fit.score == max(tried.score for tried in fit.tried) > 0.97
    settings = [dataclasses.astuple(tried)[:3] for tried in fit.tried]
    assert len(set(settings)) == len(settings) == 8 + 26
    assert settings[:8] == list(itertools.product((5, 10), (10, 20), (6, 12)))
    steps = {tuple(np.abs(np.subtract(setting, PLANTED))) for setting in settings[8:]}
    assert {step[0] for step in steps} <= {0, 2.5, 5, 7.5}
    assert fit.unary_score < fit.score


def test_the_score_is_scikit_learns_over_the_pixels_of_all_images(planted):
    logits, images, labels = planted
    voided = [np.where(np.random.default_rng(0).uniform(size=truth.shape) < 0.3, 255, truth) for truth in labels]
    kernels = kv.ops.Bilateral(4, 12, 7), kv.ops.Gaussian(2, 2.0)
    ranges = dict(weights=[4], theta_alphas=[12], theta_betas=[7], gaussian=kernels[1], iterations=3)
    fit = kv.ops.fit_dense_crf(logits, images, voided, void=255, **ranges)
    assert fit.kernels == kernels
    assert len(fit.tried) == 1
    truth = np.concatenate([array.ravel() for array in voided])

    def mean_iu(scores):
        predicted = np.concatenate([np.argmax(score, -1).ravel() for score in scores])
        return jaccard_score(truth[truth != 255], predicted[truth != 255], average="macro")

    refined = [
        kv.ops.dense_crf(score[None], image[None], kernels=kernels, iterations=3)[0]
        for score, image in zip(logits, images, strict=True)
    ]
    assert fit.score == pytest.approx(mean_iu(refined), abs=1e-12)
    assert fit.unary_score == pytest.approx(mean_iu(logits), abs=1e-12)


def test_classes_that_do_not_occur_do_not_count():
    confusion = np.array([[6, 2, 0], [0, 4, 4], [0, 0, 0]])
    assert held_out.mean_iu(confusion) == pytest.approx((6 / 8 + 4 / 10) / 2)


@pytest.mark.parametrize("after", [3, 8, 20])
def test_an_interrupted_search_goes_on(planted, tmp_path, counted, after):
    whole = kv.ops.fit_dense_crf(*planted, **COARSE)
    assert len(counted) == 34 * 4
    counted.clear()
    journal = tmp_path / "deep/search.jsonl"

    def interrupt(done, total):
        if done == after:
            raise Interruption

    with pytest.raises(Interruption):
        kv.ops.fit_dense_crf(*planted, **COARSE, progress=interrupt, resume=journal)
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]
    finished = {tuple(map(float, line[1:].split(b",")[:3])) for line in journal.read_bytes().splitlines()[1:]}
    assert len(finished) == after
    with journal.open("ab") as file:
        file.write(b"[5.0, 10.0, ")  # the power went in the middle of a line
    counted.clear()
    seen = []
    resumed = kv.ops.fit_dense_crf(*planted, **COARSE, progress=lambda *at: seen.append(at), resume=journal)
    assert resumed == whole
    assert not finished & set(counted)
    assert len(counted) == (34 - after) * 4
    assert seen == [(done, 34) for done in range(after + 1, 35)]
    counted.clear()
    assert kv.ops.fit_dense_crf(*planted, **COARSE, resume=journal) == whole
    assert counted == []


def test_other_ranges_go_on_with_the_same_file(planted, tmp_path, counted):
    journal = tmp_path / "search.jsonl"
    kv.ops.fit_dense_crf(*planted, **COARSE, refinements=0, resume=journal)
    assert len(counted) == 8 * 4
    kv.ops.fit_dense_crf(*planted, **COARSE | dict(weights=(5, 10, 15)), refinements=0, resume=journal)
    assert len(counted) == 12 * 4


def test_a_file_of_something_else_is_refused(planted, tmp_path):
    one = dict(weights=[5], theta_alphas=[10], theta_betas=[6], iterations=1)
    journal, other = tmp_path / "search.jsonl", tmp_path / "other"
    kv.ops.fit_dense_crf(*planted, **one, resume=journal)
    logits, images, labels = planted
    changed = [logits[0] + np.float32(1e-3), *logits[1:]]
    brighter = [images[0] ^ 1, *images[1:]]
    relabelled = [(labels[0] + 1) % 4, *labels[1:]]
    for data, options in (
        ((changed, images, labels), one),
        ((logits, brighter, labels), one),
        ((logits, images, relabelled), one),
        (planted, one | dict(iterations=2)),
        (planted, one | dict(void=3)),
        (planted, one | dict(gaussian=kv.ops.Gaussian(2))),
    ):
        with pytest.raises(KerasVisionError, match="belongs to other images, labels or options"):
            kv.ops.fit_dense_crf(*data, **options, resume=journal)
    other.write_text("notes\n")
    with pytest.raises(KerasVisionError, match="is no file of fit_dense_crf"):
        kv.ops.fit_dense_crf(*planted, **one, resume=other)
    with journal.open("ab") as file:
        file.write(b"[1, 2]\n")
    with pytest.raises(KerasVisionError, match="is damaged"):
        kv.ops.fit_dense_crf(*planted, **one, resume=journal)
    with pytest.raises(KerasVisionError, match="cannot be used as a journal"):
        kv.ops.fit_dense_crf(*planted, **one, resume=tmp_path)


def test_the_number_of_threads_changes_nothing(planted):
    one, many = (kv.ops.fit_dense_crf(*planted, **COARSE, workers=workers) for workers in (1, 5))
    assert one == many


def test_images_are_drawn_by_the_seed(planted, counted):
    ranges = dict(weights=[5], theta_alphas=[10], theta_betas=[6], refinements=0, max_images=2)
    scores = [kv.ops.fit_dense_crf(*planted, **ranges, seed=seed).unary_score for seed in (0, 0, 1, 2, 3)]
    assert len(counted) == 2 * 5
    assert scores[0] == scores[1]
    assert len(set(scores)) > 1


def test_the_end_of_a_range_is_no_wall_but_zero_is(planted):
    fit = kv.ops.fit_dense_crf(*planted, weights=(60, 100), theta_alphas=[15], theta_betas=[9], iterations=5)
    assert [tried.weight for tried in fit.tried] == [60, 100, 40, 80]
    fit = kv.ops.fit_dense_crf(*planted, weights=(10, 80), theta_alphas=[15], theta_betas=[9], iterations=5)
    assert [tried.weight for tried in fit.tried] == [10, 80, 45]


def camvid(shared, split, every, most):
    """Photographs (180, 240, 3) and their labels, 11 is void."""
    images, labels = [], []
    with tarfile.open(shared / f"data/camvid/camvid_{split}.tar") as archive:
        names = sorted(name for name in archive.getnames() if name.startswith("images/"))[::every][:most]
        for name in names:
            mask = name.replace("images/", "masks/").replace(".jpg", ".png")
            for to, member, way in ((images, name, "BILINEAR"), (labels, mask, "NEAREST")):
                picture = Image.open(io.BytesIO(archive.extractfile(member).read()))
                to.append(np.array(picture.resize((240, 180), Image.Resampling[way])))
    return images, labels


def corrupted(labels, seed):
    """Logits as of a network of stride 8, with blotches that are wrong."""
    result = []
    for index, truth in enumerate(labels):
        rng = np.random.default_rng(seed + index)
        coarse = np.where(truth == 11, rng.integers(0, 11, truth.shape), truth)[4::8, 4::8]
        rows, columns = (
            np.minimum(np.arange(size) // 8, n - 1) for size, n in zip((180, 240), coarse.shape, strict=True)
        )
        probabilities = gaussian_filter(np.eye(11)[coarse][rows][:, columns], (4, 4, 0))
        blotches = gaussian_filter(rng.normal(size=probabilities.shape), (4, 4, 0)) * 12
        result.append((np.log(probabilities + 0.02) + blotches).astype(np.float32))
    return result


def classified(shared, *many):
    """Logits of a forest that sees colours, smoothed colours and the position of a pixel."""

    def features(image):
        levels = image.astype(np.float32)
        place = np.moveaxis(np.indices(image.shape[:2], np.float32), 0, -1)
        parts = [levels, gaussian_filter(levels, (3, 3, 0)), gaussian_filter(levels, (9, 9, 0)), place]
        return np.concatenate(parts, -1).reshape(-1, 11)

    images, labels = camvid(shared, "train", 30, 12)
    points, truth = np.concatenate([features(image) for image in images]), np.ravel(labels)
    some = np.random.default_rng(0).choice(np.flatnonzero(truth != 11), 20_000, replace=False)
    forest = RandomForestClassifier(30, min_samples_leaf=5, random_state=0, n_jobs=2).fit(points[some], truth[some])
    assert len(forest.classes_) == 11

    def logits(image):
        probabilities = forest.predict_proba(features(image)).reshape(*image.shape[:2], 11)
        return np.log(np.maximum(probabilities, 1e-3)).astype(np.float32)

    return [list(map(logits, images)) for images in many]


@pytest.mark.parametrize("unaries", ["corrupted labels", "classifier"])
def test_fitted_kernels_beat_the_default_ones_on_other_photographs(shared, unaries):
    (images, labels), (others, truth) = camvid(shared, "val", 25, 3), camvid(shared, "test", 30, 4)
    if unaries == "classifier":
        logits, held = classified(shared, images, others)
    else:
        logits, held = corrupted(labels, 0), corrupted(truth, 100)
    ranges = dict(weights=(2, 10), theta_alphas=(10, 40), theta_betas=(4, 10))
    fit = kv.ops.fit_dense_crf(logits, images, labels, void=11, **ranges)
    test = held_out.HeldOut(held, others, truth, range(len(others)), 11, {})
    kernels = dict(unary=None, default=(kv.ops.Bilateral(), kv.ops.Gaussian()), fitted=fit.kernels)
    scores = {name: test.score(choice) for name, choice in kernels.items()}
    assert scores["fitted"] > scores["default"] + 0.02
    assert unaries == "classifier" or scores["fitted"] > scores["unary"]


SMALL = np.zeros((4, 5, 2), np.float32), np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), int)


@pytest.mark.parametrize(("change", "message"), [
    (dict(labels=[]), r"as many logits as images and labels, and at least one; given: \(1, 1, 0\)"),
    (dict(logits=[], images=[], labels=[]), r"at least one; given: \(0, 0, 0\)"),
    (dict(labels=[np.zeros((5, 4), int)]), r"number 0 has \(4, 5, 2\), \(4, 5, 3\) and \(5, 4\)"),
    (dict(labels=[np.zeros((4, 5))]), "labels must be whole numbers, not float64"),
    (dict(labels=[np.full((4, 5), 2)]), "labels must be 0 to 1, or void; image number 0 has 2 to 2, void=None"),
    (dict(labels=[np.full((4, 5), 9)], void=9), "every pixel is void"),
    (dict(weights=()), "at least one value each"),
    (dict(theta_betas=(0, 3)), "theta_beta must be positive"),
    (dict(refinements=-1), "refinements must be a whole number from 0 on"),
    (dict(max_images=0), "max_images must be a whole number from 1 on"),
    (dict(workers=1.5), "workers must be a whole number from 1 on"),
    (dict(gaussian=3), "gaussian must be a Gaussian"),
    (dict(iterations=-1), "iterations must be a whole number"),
    (dict(normalization="all"), "normalization must be one of"),
])  # fmt: skip
def test_refusals(change, message):
    arguments = dict(logits=[SMALL[0]], images=[SMALL[1]], labels=[SMALL[2]]) | change
    with pytest.raises(KerasVisionError, match=message):
        kv.ops.fit_dense_crf(**arguments)


@pytest.mark.parametrize(("values", "best", "finer"), [
    ((0.0, 5.0, 10.0), 0.0, (0.0, 2.5)),
    ((-10.0, -5.0), -5.0, (-5.0,)),
    ((5.0, 10.0), 5.0, (2.5, 5.0, 7.5)),
    ((4.0,), 4.0, (4.0,)),
])  # fmt: skip
def test_the_best_value_stays_in_the_next_round(values, best, finer):
    assert fitting._halfway(values, best) == finer
