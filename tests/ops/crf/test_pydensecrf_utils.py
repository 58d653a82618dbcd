"""The functions of pydensecrf.utils against their originals."""

import numpy as np
import pydensecrf.utils as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.pydensecrf import utils as ours


def assert_same(expected, got):
    assert got.dtype == expected.dtype == np.float32
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("labels", [2, 21])
@pytest.mark.parametrize("zero_unsure", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint32])
def test_unary_from_labels(labels, zero_unsure, dtype):
    rng = np.random.default_rng(0)
    annotation = rng.integers(0, labels + zero_unsure, (2, 9, 7)).astype(dtype)
    for gt_prob in (0.2, 0.9):
        arguments = annotation, labels, gt_prob, zero_unsure
        # pydensecrf subtracts 1 from unsigned zeros: give it signed ones.
        expected = theirs.unary_from_labels(annotation.astype(int), *arguments[1:])
        assert_same(expected, ours.unary_from_labels(*arguments))
    with pytest.warns(DeprecationWarning, match="use unary_from_labels"):
        got = ours.compute_unary(annotation % labels, labels)
    assert_same(theirs.compute_unary((annotation % labels).astype(int), labels), got)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("scale", "clip"), [(None, 1e-5), (0.7, 1e-3), (1.0, None), (0.5, None)])
def test_unary_from_softmax(dtype, scale, clip):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(5, 0.05), (8, 6)).transpose(2, 0, 1).astype(dtype)
    assert_same(
        theirs.unary_from_softmax(probabilities, scale, clip), ours.unary_from_softmax(probabilities, scale, clip)
    )
    for certainty in (1, 0.8):
        with pytest.warns(DeprecationWarning, match="use unary_from_softmax"):
            got = ours.softmax_to_unary(probabilities, certainty)
        assert_same(theirs.softmax_to_unary(probabilities, certainty), got)


def test_impossible_labels_have_infinite_energy():
    assert ours.unary_from_softmax(np.eye(2), clip=None)[0, 1] == np.inf


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_features(data):
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    deviations = st.floats(0.1, 100)
    sdims = data.draw(st.lists(deviations, min_size=len(shape), max_size=len(shape)))
    assert_same(theirs.create_pairwise_gaussian(sdims, shape), ours.create_pairwise_gaussian(sdims, shape))
    chdim = data.draw(st.integers(-1, len(shape)))
    channels = 1 if chdim == -1 else data.draw(st.integers(1, 4))
    rng = np.random.default_rng(0)
    whole = list(shape) if chdim == -1 else [*shape[:chdim], channels, *shape[chdim:]]
    image = rng.integers(0, 256, whole).astype(data.draw(st.sampled_from([np.uint8, np.float64])))
    schan = data.draw(deviations | st.lists(deviations, min_size=channels, max_size=channels))
    arguments = sdims, schan, image, chdim
    assert_same(theirs.create_pairwise_bilateral(*arguments), ours.create_pairwise_bilateral(*arguments))


LABELS = np.zeros((4, 5), int)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ours.unary_from_labels(LABELS + 4, 3, 0.7), "whole numbers from 0 to 3; given: int64, 4 to 4"),
    (lambda: ours.unary_from_labels(LABELS + 3, 3, 0.7, False), "whole numbers from 0 to 2; given: int64, 3 to 3"),
    (lambda: ours.unary_from_labels(LABELS - 1, 3, 0.7), "given: int64, -1 to -1"),
    (lambda: ours.unary_from_labels(LABELS / 2, 3, 0.7), "given: float64"),
    (lambda: ours.unary_from_labels(LABELS, 3, 1.0), "it takes 0 < gt_prob < 1"),
    (lambda: ours.unary_from_labels(LABELS, 1, 0.5), "two labels"),
    (lambda: ours.unary_from_softmax(np.ones(3)), r"labels first; given: shape \(3,\)"),
    (lambda: ours.unary_from_softmax(np.ones((3, 4)), scale=0), "scale must be above 0"),
    (lambda: ours.create_pairwise_gaussian((3,), (4, 5)), r"sdims must be 2 numbers .* each axis of \(4, 5\)"),
    (lambda: ours.create_pairwise_gaussian((3, 0), (4, 5)), "sdims must be 2 numbers other than 0"),
    (lambda: ours.create_pairwise_bilateral((3, 3), (1, 2), np.ones((4, 5, 3)), 2), "schan must be 3 numbers"),
    (lambda: ours.create_pairwise_bilateral((3, 3), 1, np.ones((4, 5, 3)), 3), "chdim must be an axis"),
])  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(KerasVisionError, match=message):
        call()
