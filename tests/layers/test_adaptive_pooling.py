"""Adaptive average pooling against PyTorch's definition, one window at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import AdaptiveAveragePool2D


def naive(x, cells):
    """Window i of n cells begins at floor(i * n / cells) and ends before ceil((i + 1) * n / cells)."""
    y = np.empty((len(x), cells, cells, x.shape[3]))
    for i, j in np.ndindex(cells, cells):
        (top, bottom), (left, right) = (
            (int(np.floor(k * n / cells)), int(np.ceil((k + 1) * n / cells)))
            for k, n in zip((i, j), x.shape[1:3], strict=True)
        )
        y[:, i, j] = x[:, top:bottom, left:right].mean(axis=(1, 2))
    return y


@pytest.mark.parametrize(("size", "cells"), [((14, 14), 4), ((7, 10), 4), ((4, 4), 4), ((3, 5), 4), ((9, 8), 1)])
def test_equals_the_naive_windows_also_in_a_graph(size, cells):
    x = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype("float32")
    layer = AdaptiveAveragePool2D(cells)
    np.testing.assert_allclose(layer(x), naive(x, cells), atol=1e-6)
    np.testing.assert_allclose(tf.function(layer)(x), naive(x, cells), atol=1e-6)
    assert layer.compute_output_shape(x.shape) == (2, cells, cells, 3)


def test_an_open_size_is_an_error():
    with pytest.raises(KerasVisionError, match="needs a known height and width"):
        AdaptiveAveragePool2D(4)(keras.Input((None, 14, 3)))


@pytest.mark.parametrize("cells", [0, -1, 2.5, "4"])
def test_wrong_number_of_cells_is_an_error(cells):
    with pytest.raises(KerasVisionError, match="at least 1"):
        AdaptiveAveragePool2D(cells)


def test_survives_a_keras_file(tmp_path):
    image = keras.Input((9, 8, 2))
    model = keras.Model(image, AdaptiveAveragePool2D(4)(image))
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(1).normal(0, 1, (1, 9, 8, 2)).astype("float32")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))


def test_float16_keeps_its_type():
    assert AdaptiveAveragePool2D(4, dtype="float16")(np.ones((1, 9, 8, 2), "float16")).dtype == tf.float16
