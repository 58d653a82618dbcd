"""Binarised MNIST: the real files against MNIST itself, both formats, and damaged ones."""

import numpy as np
import pytest
from scipy.io import savemat

from keras_vision.data import binarized_mnist, mnist
from keras_vision.errors import KerasVisionError

ROWS = np.random.default_rng(0).integers(0, 2, (4, 784)).astype(np.uint8)


def test_the_real_digits_are_drawn_with_mnists_grey_levels(shared):
    """The test digits are MNIST's in the order of their classes; ink is where MNIST's is, in the mean."""
    found = binarized_mnist(shared / "data/binarized_mnist", "test")
    digits = mnist(shared / "data/mnist", "test")
    grey = np.stack(digits.sources)[np.argsort(digits.labels, kind="stable")] / 255
    assert found.shape == (10_000, 28, 28, 1)
    assert np.unique(found).tolist() == [0, 1]
    for low, high in ((0, 0.01), (0.4, 0.6), (0.9, 1.01)):
        there = (grey >= low) & (grey < high)
        assert found[there, 0].mean() == pytest.approx(grey[there].mean(), abs=0.02)


def test_matlab_files_and_lines_of_text_are_the_same(tmp_path):
    savemat(tmp_path / "binarized_mnist_train.amat", {"X": ROWS}, do_compression=True)
    np.savetxt(tmp_path / "binarized_mnist_valid.amat", ROWS, fmt="%d")
    expected = ROWS.reshape(4, 28, 28, 1)
    np.testing.assert_array_equal(binarized_mnist(tmp_path, "train"), expected)
    np.testing.assert_array_equal(binarized_mnist(tmp_path, "valid"), expected)


@pytest.mark.parametrize(("content", "says"), [
    (dict(X=ROWS + np.uint8(1)), "rows of 784 zeros and ones"),
    (dict(X=ROWS[:, :700]), "rows of 784 zeros and ones"),
    (dict(Y=ROWS), "expected a variable 'X'"),
])  # fmt: skip
def test_other_matlab_files_are_refused(content, says, tmp_path):
    savemat(tmp_path / "binarized_mnist_test.amat", content)
    with pytest.raises(KerasVisionError, match=says):
        binarized_mnist(tmp_path, "test")


def test_missing_truncated_and_unknown_parts_are_refused(tmp_path):
    with pytest.raises(KerasVisionError, match=r"binarized_mnist_train\.amat: no such file"):
        binarized_mnist(tmp_path)
    (tmp_path / "binarized_mnist_train.amat").write_text("0 1 0 1 1\n")
    with pytest.raises(KerasVisionError, match="no rows of 784"):
        binarized_mnist(tmp_path)
    (tmp_path / "binarized_mnist_train.amat").write_text("0 1 ? " * 784)
    with pytest.raises(KerasVisionError, match="zeros and ones"):
        binarized_mnist(tmp_path)
    with pytest.raises(KerasVisionError, match="'validation'"):
        binarized_mnist(tmp_path, "validation")
