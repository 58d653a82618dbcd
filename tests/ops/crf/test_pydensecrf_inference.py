"""The module in pydensecrf's place against pydensecrf: inference, single steps and the divergence."""

import crf_oracle
import numpy as np
import pydensecrf.densecrf as theirs
import pydensecrf.utils as their_utils
import pytest
from PIL import Image
from pydensecrf_scenes import EXAMPLES, agreement, crf_2d, crf_of_features, example, marginals
from scipy.ndimage import gaussian_filter

from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf
from keras_vision.ops.crf.pydensecrf import densecrf as ours
from keras_vision.ops.crf.pydensecrf import terms

# Largest mean |dQ|. What differs is the spatial kernel: here it is closer to the Gaussian than on pydensecrf's lattice
# (`test_where_they_differ_this_is_closer_to_the_truth`). Without normalisation its messages are tens of times larger.
MEANS = {
    theirs.NORMALIZE_SYMMETRIC: 2e-4,
    theirs.NORMALIZE_BEFORE: 2e-4,
    theirs.NORMALIZE_AFTER: 2e-4,
    theirs.NO_NORMALIZATION: 5e-4,
}
SMALL = 8  # times that in the smallest photographs, one of which has a region that either label may win
UNSURE = 3e-3  # with random energies, where many pixels are as good as undecided


def random_unary(rng, labels, height, width):
    smooth = gaussian_filter(rng.normal(size=(labels, height, width)), (0, 3, 3)) * 12
    return np.ascontiguousarray(smooth.reshape(labels, -1), np.float32)


@pytest.fixture
def scene(shared):
    """Energies of five labels and a photograph of 80x60 pixels."""
    image, _, _ = example(shared, "im1", "anno1", 1 / 4)
    return random_unary(np.random.default_rng(0), 5, *image.shape[:2]), image


@pytest.mark.parametrize("names", EXAMPLES, ids=lambda names: names[1])
@pytest.mark.parametrize(("scale", "iterations"), [(1, 5), (1, 10), (0.6, 10), (1.7, 5)])
@pytest.mark.parametrize("normalization", MEANS)
def test_its_own_example_gives_the_same_labels(shared, names, scale, iterations, normalization):
    image, labels, count = example(shared, *names, scale)
    unary = their_utils.unary_from_labels(labels, count, gt_prob=0.7)
    expected, got = (marginals(crf_2d(module, unary, image, normalization), iterations) for module in (theirs, ours))
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert got.flags.f_contiguous == expected.flags.f_contiguous
    assert agreement(got, expected) >= 0.995
    assert np.abs(got - expected).mean() <= MEANS[normalization] * (SMALL if scale < 1 else 1)


def test_a_photograph_with_the_labels_of_a_network(shared):
    file = shared / "data/voc_samples/JPEGImages/2011_000003.jpg"
    image = np.array(Image.open(file).convert("RGB").resize((500, 375)))
    unary = random_unary(np.random.default_rng(1), 21, 375, 500)
    expected, got = (marginals(crf_2d(module, unary, image), 10) for module in (theirs, ours))
    assert agreement(got, expected) >= 0.995
    assert np.abs(got - expected).mean() <= 5e-4


@pytest.mark.parametrize("normalization", MEANS)
@pytest.mark.parametrize("dimensions", [3, 6])
def test_features_of_any_dimension(normalization, dimensions):
    rng = np.random.default_rng(dimensions)
    unary = random_unary(rng, 4, 30, 40)
    features = [rng.normal(size=(dimensions, 1200)).astype(np.float32), rng.normal(size=(2, 1200)).astype(np.float32)]
    penalties = rng.normal(size=(4, 4)).astype(np.float32) / 50
    compat = (1, penalties) if normalization else (0.01, penalties / 50)
    expected, got = (
        marginals(crf_of_features(module, unary, features, compat, normalization), 5) for module in (theirs, ours)
    )
    np.testing.assert_allclose(got, expected, atol=1e-4)
    without = marginals(crf_of_features(theirs, unary, features, (0, 0), normalization), 5)
    assert np.abs(expected - without).max() > 0.02


def test_a_volume_by_its_own_features():
    rng = np.random.default_rng(0)
    volume = gaussian_filter(rng.uniform(0, 255, (8, 12, 10, 2)), (1, 1, 1, 0)).astype(np.float32)
    features = [
        their_utils.create_pairwise_gaussian((2, 3, 3), volume.shape[:3]),
        their_utils.create_pairwise_bilateral((9, 9, 9), (20, 30), volume, 3),
    ]
    unary = random_unary(rng, 3, 8, 120)
    expected, got = (marginals(crf_of_features(module, unary, features, (1, 4)), 10) for module in (theirs, ours))
    np.testing.assert_allclose(got, expected, atol=1e-4)


MATRIX = np.array([[0, 1, 2, 3, 1], [2, 0, 1, 1, 1], [1, 1, 0, 2, 2], [0, 1, 2, 0, 3], [1, 2, 2, 2, -1]], np.float32)
VECTOR = np.array([-3, -2, -4, -5, 0.5], np.float32)
COMPAT = {  # for the Gaussian and the bilateral term, and whether one call of dense_crf does it
    "scalars": ((3, 10), True),
    "negative": ((-0.5, 4.0), True),
    "numpy scalars": ((np.float32(3), np.int64(4)), True),
    "vectors": ((VECTOR, VECTOR), True),
    "matrices": ((MATRIX, MATRIX), True),
    "different matrices": ((MATRIX, np.ascontiguousarray(MATRIX.T) * 2 - 1), False),
    "matrix and scalar": ((MATRIX, 4), False),
    "vector and matrix": ((VECTOR, MATRIX), False),
}


def type_of(penalties):
    if isinstance(penalties, Potts):
        return "Potts"
    return "matrix" if (penalties - np.diag(np.diag(penalties))).any() else "vector"


@pytest.mark.parametrize("case", COMPAT)
def test_compatibilities(scene, case, monkeypatch):
    compat, fast = COMPAT[case]
    calls = []
    monkeypatch.setattr(ours, "dense_crf", lambda *args, **kwargs: calls.append(1) or dense_crf(*args, **kwargs))
    expected, got = (marginals(crf_2d(module, *scene, compat=compat), 5) for module in (theirs, ours))
    assert len(calls) == fast
    assert np.abs(got - expected).mean() <= UNSURE
    assert agreement(got, expected) >= 0.99
    potts = marginals(crf_2d(theirs, *scene), 5)
    assert fast == (case == "scalars") or np.abs(potts - expected).mean() > 1e-2


@pytest.mark.parametrize("penalties", [Potts(), np.diag(VECTOR), (MATRIX + MATRIX.T) / 2], ids=type_of)
def test_where_they_differ_this_is_closer_to_the_truth(shared, penalties):
    image, _, _ = example(shared, "im1", "anno1", 1 / 5)
    compat = {"Potts": (3, 10), "vector": (VECTOR, VECTOR), "matrix": (MATRIX, MATRIX)}[type_of(penalties)]
    weights = (3, 10) if isinstance(penalties, Potts) else (1, 1)
    errors = np.zeros(2)
    for seed in range(4):
        unary = random_unary(np.random.default_rng(seed), 5, *image.shape[:2])
        logits = -unary.T.reshape(*image.shape[:2], 5)
        kernels = Gaussian(weights[0], 3.0), Bilateral(weights[1], 80.0, 13.0)
        exact = crf_oracle.mean_field(logits, image, kernels, penalties, 5, "symmetric").reshape(-1, 5).T
        results = (marginals(crf_2d(module, unary, image, compat=compat), 5) for module in (ours, theirs))
        errors += [np.abs(result - exact).mean() for result in results]
    assert errors[0] <= 1.02 * errors[1]


@pytest.mark.parametrize("normalization", MEANS)
@pytest.mark.parametrize("compat", [(3, 10), (VECTOR, VECTOR), (MATRIX, MATRIX)], ids=["scalar", "vector", "matrix"])
def test_both_ways_agree(scene, normalization, compat):
    if not normalization:
        compat = [penalty * np.float32(0.05) for penalty in compat]
    crf = crf_2d(ours, *scene, normalization, compat, sxy=(4, 2), srgb=(13, 20, 8))
    assert terms.as_dense_crf(crf._terms) is not None
    Q, *scratch = crf.startInference()
    for _ in range(5):
        crf.stepInference(Q, *scratch)
    assert np.abs(Q - marginals(crf, 5)).mean() <= 1e-4
    assert agreement(Q, marginals(crf, 5)) >= 0.998


def test_the_fast_way_is_dense_crf(scene):
    unary, image = scene
    logits = -unary.T.reshape(1, *image.shape[:2], -1)
    kernels = Gaussian(3, (3, 3)), Bilateral(10, (80, 80), (13, 13, 13))
    np.testing.assert_array_equal(
        marginals(crf_2d(ours, unary, image), 7),
        dense_crf(logits, image[None], kernels=kernels, iterations=7).numpy().reshape(-1, len(unary)).T,
    )


def test_steps_are_the_iterations(scene):
    unary, image = scene
    features = [their_utils.create_pairwise_bilateral((80, 80), (13, 13, 13), image, 2)]
    for make in (lambda m: crf_of_features(m, unary, features, (10,)), lambda m: crf_2d(m, *scene, compat=(MATRIX, 4))):
        crf, their_crf = make(ours), make(theirs)
        Q, *scratch = crf.startInference()
        their_Q, *their_scratch = their_crf.startInference()
        np.testing.assert_allclose(Q, their_Q, atol=1e-6)
        for step in range(1, 5):
            crf.stepInference(Q, *scratch)
            their_crf.stepInference(their_Q, *their_scratch)
            np.testing.assert_array_equal(Q, crf.inference(step))
            assert np.abs(Q - np.array(their_Q)).mean() <= UNSURE


def test_divergence(scene):
    unary, image = scene
    features = [their_utils.create_pairwise_bilateral((80, 80), (13, 13, 13), image, 2)]
    crf, their_crf = (crf_of_features(module, unary, features, (10,)) for module in (ours, theirs))
    Q, *scratch = their_crf.startInference()
    found = []
    for _ in range(6):
        found.append(crf.klDivergence(np.array(Q)))
        assert found[-1] == pytest.approx(their_crf.klDivergence(Q), rel=1e-5)
        their_crf.stepInference(Q, *scratch)
    assert (np.diff(found) < 0).all()


def test_divergence_of_image_terms(scene):
    crf, their_crf = (crf_2d(module, *scene, compat=(MATRIX, 4)) for module in (ours, theirs))
    Q, _, _ = their_crf.startInference()
    assert crf.klDivergence(np.array(Q)) == pytest.approx(their_crf.klDivergence(Q), rel=2e-3)


def test_impossible_labels_do_not_spoil_the_divergence(scene):
    unary, image = scene
    unary[2, :100] = np.inf
    crf = crf_2d(ours, unary, image)
    assert np.isfinite(crf.klDivergence(marginals(crf, 3)))
    assert not marginals(crf, 3)[2, :100].any()


def test_kernel_types_change_nothing(scene):
    unary, image = scene
    height, width = image.shape[:2]
    results = []
    for module in (theirs, ours):
        for kernel in module.KernelType:
            crf = module.DenseCRF2D(width, height, len(unary))
            crf.setUnaryEnergy(unary)
            crf.addPairwiseBilateral(20, 13, image, 5, kernel, module.NORMALIZE_AFTER)
            results.append(marginals(crf, 3))
    for result in results:
        np.testing.assert_allclose(result, results[0], atol=2e-3)
    for result in results[4:]:
        np.testing.assert_array_equal(result, results[3])


def test_unary_objects_and_none(scene):
    rng = np.random.default_rng(0)
    weights, features = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 20)))
    for make in (lambda m: m.ConstUnary(weights @ features), lambda m: m.LogisticUnary(weights, features)):
        crf, their_crf = ours.DenseCRF(20, 3), theirs.DenseCRF(20, 3)
        np.testing.assert_allclose(crf.inference(2), np.array(their_crf.inference(2)), atol=1e-6)
        crf.setUnary(make(ours))
        their_crf.setUnary(make(theirs))
        np.testing.assert_allclose(crf.inference(2), np.array(their_crf.inference(2)), atol=1e-6)


def test_arrays_may_change_after_they_were_given(scene):
    unary, image = (array.copy() for array in scene)
    features = their_utils.create_pairwise_gaussian((3, 3), image.shape[:2])
    crf, points = crf_2d(ours, unary, image), crf_of_features(ours, unary, [features], (3,))
    before = marginals(crf, 3), marginals(points, 3)
    for array in (image, unary, features):
        array[:] = 0
    np.testing.assert_array_equal(marginals(crf, 3), before[0])
    np.testing.assert_array_equal(marginals(points, 3), before[1])


@pytest.mark.parametrize("what", ["images", "normalizations", "features beside them", "seventeen terms"])
def test_terms_that_dense_crf_has_no_word_for(scene, what):
    unary, image = scene
    height, width = image.shape[:2]
    expected, got = [], []
    for module, results in ((theirs, expected), (ours, got)):
        crf = module.DenseCRF2D(width, height, len(unary))
        crf.setUnaryEnergy(unary)
        crf.addPairwiseBilateral(20, 13, image, 4)
        if what == "images":
            crf.addPairwiseBilateral(20, 13, np.ascontiguousarray(image[::-1]), 4)
        elif what == "normalizations":
            crf.addPairwiseBilateral(9, 30, image, 2, module.DIAG_KERNEL, module.NORMALIZE_AFTER)
        elif what == "features beside them":
            crf.addPairwiseEnergy(np.ascontiguousarray(unary[:3] / 2), 2)
        for _ in range(16 if what == "seventeen terms" else 0):
            crf.addPairwiseBilateral(9, 30, image, 0.1)
        results.append(marginals(crf, 5))
    np.testing.assert_allclose(got[0], expected[0], atol=1e-3)
    assert np.abs(got[0] - expected[0]).mean() <= 1e-5


def test_steps_go_on_from_the_result_of_an_inference(scene):
    unary, image = scene
    features = [their_utils.create_pairwise_bilateral((80, 80), (13, 13, 13), image, 2)]
    for crf in (crf_2d(ours, unary, image), crf_of_features(ours, unary, features, (4,))):
        Q = crf.inference(2)
        crf.stepInference(Q, None, None)
        assert np.abs(Q - crf.inference(3)).mean() <= 1e-4
        again = np.asfortranarray(crf.inference(2)).copy(order="C")
        crf.stepInference(again, None, None)
        np.testing.assert_array_equal(again, Q)
