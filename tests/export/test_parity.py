"""The bound of the parity check: neither loose nor below what float32 can hold."""

import numpy as np
import pytest

from keras_vision.errors import ExportError
from keras_vision.export.parity import compare, sample_pixels
from keras_vision.runtime import Preprocessing


def test_accepts_up_to_the_bound_and_no_more():
    reference = np.array([[0.0, 1.0], [0.25, 0.5]])
    assert compare([reference], [reference + 0.99e-4], "x").max_difference == pytest.approx(0.99e-4)
    with pytest.raises(ExportError, match="differs"):
        compare([reference], [reference + 1.01e-4], "x")


def test_bound_follows_the_range_of_the_outputs():
    reference = 1e-3 + np.array([[0.0, 1e-4]])
    with pytest.raises(ExportError, match="differs"):
        compare([reference], [reference + 2e-8], "x")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_fail(bad):
    reference = np.array([[0.0, 1.0]])
    with pytest.raises(ExportError):
        compare([reference], [reference + bad], "x")
    with pytest.raises(ExportError, match="not finite"):
        compare([reference + bad], [reference], "x")


def test_another_shape_fails():
    with pytest.raises(ExportError):
        compare([np.zeros((1, 2))], [np.zeros((2, 1))], "x")


def test_sample_covers_the_whole_range_of_pixels():
    pixels = sample_pixels(Preprocessing((48, 64), None))
    assert pixels.shape == (4, 48, 64, 3)
    assert pixels.min() == 0
    assert pixels.max() == 255
