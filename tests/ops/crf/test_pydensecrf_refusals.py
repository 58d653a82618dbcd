"""What pydensecrf refuses in riddles, takes silently or crashes on is one sentence here."""

import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.pydensecrf import densecrf as dcrf

UNARY = np.zeros((3, 20), np.float32)
IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.fixture
def crf():
    return dcrf.DenseCRF2D(5, 4, 3)


def with_value(array, value):
    changed = array.copy()
    changed.flat[7] = value
    return changed


@pytest.mark.parametrize(("unary", "message"), [
    (UNARY.astype(np.float64), r"float32 array \(labels, pixels\) = \(3, 20\); given: float64 .*astype\(np.float32\)"),
    (UNARY.T, r"given: float32 \(20, 3\). The first two axes are exchanged"),
    (UNARY.reshape(3, 4, 5), r"given: float32 \(3, 4, 5\). Flatten the pixels: .reshape\(3, -1\)"),
    (UNARY[:, :5], r"given: float32 \(3, 5\)"),
    (UNARY.tolist(), "given: list"),
    (with_value(UNARY, np.nan), "at pixel 7; it must hold no NaN"),
    (with_value(UNARY, -np.inf), "at pixel 7; it must hold no NaN"),
    (np.full_like(UNARY, np.inf), "at pixel 0; .* a finite energy in each pixel"),
])  # fmt: skip
def test_unary_energies(crf, unary, message):
    with pytest.raises(KerasVisionError, match=message):
        crf.setUnaryEnergy(unary)


@pytest.mark.parametrize(("image", "message"), [
    (IMAGE.astype(np.float32), r"rgbim must be a uint8 array \(h, w, 3\) = \(4, 5, 3\); given: float32"),
    (IMAGE.transpose(1, 0, 2), r"given: uint8 \(5, 4, 3\). The first two axes are exchanged"),
    (IMAGE[..., 0], r"given: uint8 \(4, 5\)"),
    (IMAGE[..., :2], r"given: uint8 \(4, 5, 2\)"),
])  # fmt: skip
def test_images(crf, image, message):
    with pytest.raises(KerasVisionError, match=message):
        crf.addPairwiseBilateral(80, 13, image, 10)


@pytest.mark.parametrize("compat", [
    [1.0, 2.0, 3.0], np.ones(3), np.ones(2, np.float32), np.ones((2, 2), np.float32), np.ones(3, int), None, True,
    np.ones((1, 3, 3), np.float32), "3",
])  # fmt: skip
def test_compatibilities(crf, compat):
    with pytest.raises(KerasVisionError, match=r"a float32 array \(3,\) \(diagonal\) or \(3, 3\); given"):
        crf.addPairwiseGaussian(3, compat)


def test_compatibilities_are_finite(crf):
    for compat in (np.inf, np.full(3, np.nan, np.float32)):
        with pytest.raises(KerasVisionError, match="compat must be finite"):
            crf.addPairwiseGaussian(3, compat)


@pytest.mark.parametrize("sxy", [0, -1, (3,), (1, 2, 3), (3, np.nan), "3", None, True])
def test_deviations(crf, sxy):
    with pytest.raises(KerasVisionError, match="sxy must be a positive number, or 2 of them for x, y"):
        crf.addPairwiseGaussian(sxy, 3)
    with pytest.raises(KerasVisionError, match="srgb must be a positive number, or 3 of them for r, g, b"):
        crf.addPairwiseBilateral(3, sxy if sxy != (1, 2, 3) else (1, 2), IMAGE, 3)


@pytest.mark.parametrize(("features", "message"), [
    (np.zeros((2, 20)), "given: float64"),
    (np.zeros((20, 2), np.float32), r"\(d, pixels\) = \(any, 20\); given: float32 \(20, 2\). The first two axes"),
    (np.zeros((0, 20), np.float32), r"given: float32 \(0, 20\)"),
    (np.full((2, 20), np.nan, np.float32), "features must be finite"),
])  # fmt: skip
def test_features(crf, features, message):
    with pytest.raises(KerasVisionError, match=message):
        crf.addPairwiseEnergy(features, 3)


def test_constants(crf):
    with pytest.raises(KerasVisionError, match=r"kernel must be one of CONST_KERNEL \(0\), .*, not 7"):
        crf.addPairwiseGaussian(3, 3, kernel=7)
    with pytest.raises(KerasVisionError, match=r"normalization must be one of NO_NORMALIZATION \(0\), .*, not 'after'"):
        crf.addPairwiseGaussian(3, 3, normalization="after")


@pytest.mark.parametrize("sizes", [(0, 4, 3), (5, 4.0, 3), (5, 4, 0), (5, 4, "3"), (-5, 4, 3)])
def test_sizes(sizes):
    with pytest.raises(KerasVisionError, match="must be a whole number from 1 on"):
        dcrf.DenseCRF2D(*sizes)


def test_iterations_and_marginals(crf):
    for n in (-1, 1.5, None):
        with pytest.raises(KerasVisionError, match="the number of iterations must be a whole number from 0 on"):
            crf.inference(n)
    for call in (lambda q: crf.stepInference(q, None, None), crf.klDivergence):
        with pytest.raises(KerasVisionError, match=r"Q must be a float32 array \(labels, pixels\) = \(3, 20\)"):
            call(np.zeros((20, 3), np.float32))
    fixed = np.zeros((3, 20), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(KerasVisionError, match="Q is changed in place and must be writable"):
        crf.stepInference(fixed, None, None)


def test_what_is_not_provided(crf):
    with pytest.raises(KerasVisionError, match="setUnary takes a ConstUnary or LogisticUnary, not ndarray"):
        crf.setUnary(UNARY)
    with pytest.raises(KerasVisionError, match="pydensecrf's eigen is not provided"):
        _ = dcrf.eigen
    assert not hasattr(dcrf, "eigen")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dcrf.nothing


def test_memory_order_does_not_matter(crf):
    rng = np.random.default_rng(0)
    unary = rng.normal(size=(3, 20)).astype(np.float32)
    image = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    for order in "CF":
        other = dcrf.DenseCRF2D(5, 4, 3)
        other.setUnaryEnergy(np.array(unary, order=order))
        other.addPairwiseBilateral(2, 99, np.array(image, order=order), 3)
        other.addPairwiseEnergy(np.array(unary, order=order), 3)
        if order == "C":
            expected = other.inference(3)
    np.testing.assert_array_equal(other.inference(3), expected)


def test_every_name_of_pydensecrf_is_there():
    import pydensecrf.densecrf as theirs
    import pydensecrf.utils as their_utils

    from keras_vision.ops.crf.pydensecrf import utils

    for name in ("DenseCRF", "DenseCRF2D", "ConstUnary", "LogisticUnary", "Unary", "KernelType", "NormalizationType"):
        public = {member for member in dir(getattr(theirs, name)) if not member.startswith("_")}
        assert public <= set(dir(getattr(dcrf, name)))
    for name in (n for n in dir(theirs) if n.isupper()):
        assert getattr(dcrf, name) == getattr(theirs, name)
    own = [n for n, value in vars(their_utils).items() if getattr(value, "__module__", "") == their_utils.__name__]
    assert {name for name in own if not name.startswith("_")} <= set(dir(utils))
