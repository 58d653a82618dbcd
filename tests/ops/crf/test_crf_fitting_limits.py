"""The search of the CRF's parameters: how much memory its workers may take together, and when its file is the same."""

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.ops import Gaussian
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf import fitting

ONE = dict(weights=[5], theta_alphas=[10], theta_betas=[6], refinements=0)


@pytest.fixture
def data(rng):
    shapes = ((9, 8, 3), (12, 10, 3))
    logits, images = ([rng.uniform(0, 9, shape) for shape in shapes] for _ in range(2))
    return logits, images, [array.argmax(-1) for array in logits]


@pytest.mark.parametrize(("available", "least", "most"), [(0, 1, 1), (3 * 120 * 2568, 3, 3), (10**12, 5, 5)])
def test_workers_fit_into_the_memory_together(data, monkeypatch, available, least, most):
    """Of the larger image: 120 pixels of 3 labels take 2400 + 3 * 56 bytes each, at most."""
    monkeypatch.setattr(fitting, "available_memory", lambda: available)
    used = []
    real = fitting.ThreadPoolExecutor
    monkeypatch.setattr(fitting, "ThreadPoolExecutor", lambda workers: used.append(workers) or real(workers))
    kv.ops.fit_dense_crf(*data, **ONE, workers=5)
    assert least <= used[0] <= most


def test_without_a_compiler_the_reference_sets_no_limit(data, monkeypatch):
    def fail():
        raise BuildError("no compiler")

    monkeypatch.setattr(fitting, "available_memory", fail)
    assert kv.ops.fit_dense_crf(*data, **ONE).tried


def test_equal_numbers_go_on_with_the_same_file(data, tmp_path):
    """3, 3.0 and NumPy's are one number; another is refused."""
    journal = tmp_path / "search.jsonl"
    for gaussian, void, iterations in (
        (Gaussian(3, 2), 255, 2),
        (Gaussian(3.0, 2.0), np.uint8(255), np.int64(2)),
        (Gaussian(np.float32(3), (2, 2.0)), 255.0, 2),
    ):
        options = dict(gaussian=gaussian, void=void, iterations=iterations)
        kv.ops.fit_dense_crf(*data, **ONE, **options, resume=journal)
    with pytest.raises(kv.KerasVisionError, match="belongs to other"):
        kv.ops.fit_dense_crf(*data, **ONE, gaussian=Gaussian(3, 2.5), void=255, iterations=2, resume=journal)
