"""ceil_max_pool against Caffe's formula, also on sizes that are not known when the model is built."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.layers import AtrousPooling2D, OverhangPadding2D, ceil_max_pool

SIZES = [(13, 13), (14, 13), (13, 14), (14, 14), (28, 27), (5, 8), (3, 4)]
WINDOWS = [(3, 2), (2, 2), (3, 3), (5, 3)]


def naive(x, pool, stride):
    """Caffe: ceil((size - pool) / stride) + 1 windows, each cut off at the edge of the image."""
    rows, columns = (int(np.ceil((size - pool) / stride)) + 1 for size in x.shape[1:3])
    out = np.empty((len(x), rows, columns, x.shape[3]), x.dtype)
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + pool, j * stride : j * stride + pool]
            out[:, i, j] = window.max(axis=(1, 2))
    return out


def model_of(shape, pool, stride, negative=False, **kwargs):
    inputs = keras.Input(shape, **kwargs)
    return keras.Model(inputs, ceil_max_pool(inputs, pool, stride, name="pool", negative=negative))


def images(h, w):
    """Positive cells, as after a ReLU."""
    return np.random.default_rng(h * w).uniform(0.1, 1, (2, h, w, 3)).astype("float32")


def cases():
    return [(h, w, p, s) for h, w in SIZES for p, s in WINDOWS if min(h, w) >= p]


@pytest.mark.parametrize(("h", "w", "pool", "stride"), cases())
def test_equals_the_caffe_loop(h, w, pool, stride):
    x = images(h, w)
    model = model_of((h, w, 3), pool, stride)
    expected = naive(x, pool, stride)
    assert model.output_shape[1:] == expected.shape[1:]
    np.testing.assert_array_equal(model(x), expected)


@pytest.mark.parametrize(("h", "w", "pool", "stride"), cases())
def test_open_sizes_equal_the_caffe_loop(h, w, pool, stride):
    x = images(h, w)
    model = model_of((None, None, 3), pool, stride)
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_array_equal(model(x), naive(x, pool, stride))
    np.testing.assert_array_equal(graph(x), naive(x, pool, stride))


@pytest.mark.parametrize("open_sizes", [False, True])
@pytest.mark.parametrize(("h", "w", "pool", "stride"), cases())
def test_what_hangs_over_the_edge_never_wins_over_negative_cells(h, w, pool, stride, open_sizes):
    x = -images(h, w)
    shape = (None, None, 3) if open_sizes else (h, w, 3)
    np.testing.assert_array_equal(model_of(shape, pool, stride, negative=True)(x), naive(x, pool, stride))


@pytest.mark.parametrize("dilation", [2, 4])
@pytest.mark.parametrize("size", [(13, 14), (9, 12)])
def test_dilated_the_overhang_never_wins_either(size, dilation):
    """What `dilate` makes of a pooling: the last cells of its window are `dilation` apart."""
    x = -images(*size)
    padding = OverhangPadding2D(((0, dilation), (0, dilation)), lowest=True, dilation=dilation)
    actual = AtrousPooling2D((3, 3), dilation)(padding(x))
    wide = np.pad(x, [(0, 0), (0, dilation), (0, dilation), (0, 0)], constant_values=-np.inf)
    rows, columns = (side - dilation for side in size)
    steps = range(0, 3 * dilation, dilation)
    taps = [wide[:, i : i + rows, j : j + columns] for i in steps for j in steps]
    np.testing.assert_array_equal(actual, np.max(taps, axis=0))


def test_nothing_outside_the_range_of_the_map_is_added():
    """Minus infinity would take all of an int8 tensor's range."""
    padding = model_of((14, 14, 3), 3, 2, negative=True).get_layer("pool_pad")
    x = -images(14, 14)
    np.testing.assert_array_equal(np.asarray(padding(x)).min((1, 2)), x.min((1, 2)))


def test_even_division_needs_no_padding():
    graph = tf.function(model_of((13, 27, 3), 3, 2)).get_concrete_function(tf.TensorSpec((1, 13, 27, 3)))
    assert not [op.type for op in graph.graph.get_operations() if op.type.startswith("Pad")]


def test_the_pooled_map_carries_the_name():
    model = model_of((14, 14, 3), 3, 2)
    assert model.get_layer("pool").output is model.output


def test_float16_keeps_its_type():
    x = images(14, 14).astype("float16")
    actual = np.asarray(model_of((14, 14, 3), 3, 2, dtype="float16")(x))
    np.testing.assert_array_equal(actual.astype("float16"), naive(x, 3, 2))


def test_survives_a_keras_file(tmp_path):
    model, x = model_of((None, None, 3), 3, 2), images(8, 6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), naive(x, 3, 2))


def test_gradient_goes_to_the_largest_cell_of_each_window():
    x = np.random.default_rng(0).permutation(1.0 + np.arange(36)).reshape(1, 6, 6, 1).astype("float32")
    model = model_of((6, 6, 1), 3, 2)
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        value = tf.reduce_sum(model(tensor))
    numeric = np.empty_like(x)
    for cell in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[cell] = 0.25
        numeric[cell] = (naive(x + step, 3, 2).sum() - naive(x - step, 3, 2).sum()) / 0.5
    np.testing.assert_array_equal(tape.gradient(value, tensor), numeric)
