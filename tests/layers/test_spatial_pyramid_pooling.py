"""Spatial pyramid pooling against loops over the paper's windows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import AdaptiveAveragePool2D, SpatialPyramidPooling2D

GRIDS = [(1,), (4, 2, 1), ((2, 3), (1, 1)), (6, 3, 2, 1)]
SIZES = [(13, 13), (7, 10), (3, 2)]  # the last is smaller than some grids


def naive(x, grids, reduce):
    """Appendix A: bin (i, j) of n x n covers rows floor((i - 1) / n * h) to ceil(i / n * h), i from 1."""
    h, w = x.shape[1:3]
    cells = []
    for rows, columns in grids:
        for i in range(1, rows + 1):
            for j in range(1, columns + 1):
                top, bottom = int(np.floor((i - 1) * h / rows)), int(np.ceil(i * h / rows))
                left, right = int(np.floor((j - 1) * w / columns)), int(np.ceil(j * w / columns))
                cells.append(reduce(x[:, top:bottom, left:right], axis=(1, 2)))
    return np.stack(cells, axis=1)


def pairs(bins):
    return [(b, b) if isinstance(b, int) else b for b in bins]


def image(size):
    return np.random.default_rng(sum(size)).normal(0, 1, (2, *size, 3)).astype("float32")


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("bins", GRIDS)
def test_equals_the_loops_eagerly_and_in_one_graph_for_all_sizes(bins, mode):
    layer = SpatialPyramidPooling2D(bins, mode)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in SIZES:
        expected = naive(image(size), pairs(bins), np.max if mode == "max" else np.mean)
        np.testing.assert_allclose(layer(image(size)), expected, atol=1e-6)
        np.testing.assert_allclose(graph(image(size)), expected, atol=1e-6)
        assert layer.compute_output_shape((2, *size, 3)) == expected.shape


@pytest.mark.parametrize("mode", ["max", "average"])
def test_equals_the_loops_for_every_size_from_1_to_40(mode):
    layer = SpatialPyramidPooling2D((6, 4, 3, 2, 1), mode)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in range(1, 41):
        for shape in ((size, size), (size, 41 - size)):
            expected = naive(image(shape), pairs(layer.bins), np.max if mode == "max" else np.mean)
            np.testing.assert_allclose(graph(image(shape)), expected, atol=1e-6)


def test_a_map_without_cells_is_an_error():
    with pytest.raises(KerasVisionError, match=r"at least one cell, not \(None, 0, 5, 3\)"):
        SpatialPyramidPooling2D()(keras.Input((0, 5, 3)))


def test_an_average_equals_adaptive_pooling():
    x = image((7, 10))
    expected = np.reshape(AdaptiveAveragePool2D(4)(x), (2, 16, 3))
    np.testing.assert_allclose(SpatialPyramidPooling2D((4,), "average")(x), expected, atol=1e-6)


def test_a_network_takes_images_of_any_size():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(SpatialPyramidPooling2D((3, 2, 1))(inputs)))
    assert model.output_shape == (None, 42)
    assert {model(image(size)).shape for size in SIZES} == {(2, 42)}


def test_gradient_of_a_maximum_goes_to_the_cells_that_were_it():
    layer, x = SpatialPyramidPooling2D((2,), dtype="float64"), np.random.default_rng(0).permutation(np.arange(70.0))
    x = x.reshape(1, 7, 5, 2)
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        value = tf.reduce_sum(layer(tensor))
    expected = np.zeros_like(x)
    for cell in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[cell] = 0.25
        expected[cell] = (np.sum(layer(x + step)) - np.sum(layer(x - step))) / 0.5
    np.testing.assert_allclose(tape.gradient(value, tensor), expected, atol=1e-10)
    assert expected.sum() == 8


def test_survives_a_keras_file_and_float16_keeps_its_type(tmp_path):
    inputs = keras.Input((7, 10, 3))
    model = keras.Model(inputs, SpatialPyramidPooling2D([[2, 3], 1], "average", name="pyramid")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("pyramid").bins == [(2, 3), (1, 1)]
    np.testing.assert_array_equal(loaded(image((7, 10))), model(image((7, 10))))
    assert SpatialPyramidPooling2D(dtype="float16")(image((7, 10)).astype("float16")).dtype == tf.float16


@pytest.mark.parametrize("bins", [(), (0,), (2.5,), ((1, 2, 3),), ((1, 0),)])
def test_wrong_bins_are_errors(bins):
    with pytest.raises(KerasVisionError, match="bins="):
        SpatialPyramidPooling2D(bins)


def test_another_mode_is_an_error():
    with pytest.raises(KerasVisionError, match="mode='sum'"):
        SpatialPyramidPooling2D((1,), "sum")
