"""AtrousPooling2D against loops over its window."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import AtrousPooling2D

CASES = [  # height, width, pool, dilation
    (7, 8, (3, 3), 1),
    (9, 6, (3, 2), 2),
    (8, 11, (2, 3), 3),
    (5, 5, (1, 4), 1),
    (4, 4, (3, 3), 3),  # for "same": holes wider than the image
]
MODES = [(mode, padding) for mode in ("max", "average") for padding in ("valid", "same")]


def naive(x, pool, dilation, mode, padding):
    """Reduce over the cells of the window that lie inside the image."""
    reach = [(cells - 1) * dilation for cells in pool]
    before = [r // 2 if padding == "same" else 0 for r in reach]
    n, h, w, c = x.shape
    rows, columns = (h, w) if padding == "same" else (h - reach[0], w - reach[1])
    out = np.empty((n, rows, columns, c))
    for i in range(rows):
        for j in range(columns):
            r = [i - before[0] + dilation * u for u in range(pool[0])]
            s = [j - before[1] + dilation * v for v in range(pool[1])]
            inside = [x[:, a, b] for a in r for b in s if 0 <= a < h and 0 <= b < w]
            out[:, i, j] = np.max(inside, axis=0) if mode == "max" else np.mean(inside, axis=0)
    return out


def images(h, w, dtype="float32"):
    return np.random.default_rng(h * w).normal(0, 1, (2, h, w, 3)).astype(dtype)


def fits(h, w, pool, dilation, padding):
    return padding == "same" or all(s > (cells - 1) * dilation for s, cells in zip((h, w), pool, strict=True))


@pytest.mark.parametrize(("mode", "padding"), MODES)
@pytest.mark.parametrize(("h", "w", "pool", "dilation"), CASES)
def test_equals_loops_eagerly_and_in_a_graph_of_open_size(h, w, pool, dilation, mode, padding):
    if not fits(h, w, pool, dilation, padding):
        with pytest.raises(ValueError, match="Negative dimensions"):
            AtrousPooling2D(pool, dilation, mode, padding)(keras.Input((h, w, 3)))
        return
    layer, x = AtrousPooling2D(pool, dilation, mode, padding), images(h, w)
    expected = naive(x, pool, dilation, mode, padding)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    np.testing.assert_allclose(graph(x), expected, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize(("mode", "padding"), MODES)
def test_without_holes_equals_the_keras_layer_of_stride_1(mode, padding):
    peer = keras.layers.MaxPooling2D if mode == "max" else keras.layers.AveragePooling2D
    x = images(6, 9)
    expected = peer((3, 2), 1, padding)(x)
    np.testing.assert_allclose(AtrousPooling2D((3, 2), 1, mode, padding)(x), expected, atol=1e-6)


@pytest.mark.parametrize(("mode", "padding"), MODES)
def test_open_sizes_stay_open_and_work(mode, padding):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, AtrousPooling2D((3, 3), 2, mode, padding)(inputs))
    assert model.output_shape == (None, None, None, 3)
    for h, w in [(7, 6), (5, 9)]:
        x = images(h, w)
        np.testing.assert_allclose(model(x), naive(x, (3, 3), 2, mode, padding), atol=1e-6)


@pytest.mark.parametrize(("mode", "padding"), MODES)
def test_float16_keeps_its_type_and_its_finite_values(mode, padding):
    layer = AtrousPooling2D((3, 3), 2, mode, padding, dtype="float16")
    x = images(7, 8, "float16")
    actual = np.asarray(layer(x))
    assert actual.dtype == np.float16
    np.testing.assert_allclose(actual, naive(x.astype(float), (3, 3), 2, mode, padding), atol=2e-3)


@pytest.mark.parametrize(("mode", "padding"), MODES)
def test_survives_a_keras_file(mode, padding, tmp_path):
    inputs = keras.Input((8, 9, 3))
    model = keras.Model(inputs, AtrousPooling2D([3, 2], 2, mode, padding, name="pool")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("pool")
    assert (layer.pool_size, layer.dilation_rate, layer.mode, layer.padding) == ((3, 2), 2, mode, padding)
    np.testing.assert_array_equal(loaded(images(8, 9)), model(images(8, 9)))


@pytest.mark.parametrize(("mode", "padding"), MODES)
def test_gradient_equals_finite_differences(mode, padding):
    layer = AtrousPooling2D((2, 3), 2, mode, padding, dtype="float64")
    rng = np.random.default_rng(0)
    x = rng.permutation(6.0 + np.arange(6 * 7)).reshape(1, 6, 7, 1)  # no two cells within a step of each other
    seen = tf.constant(rng.normal(0, 1, layer(x).shape))
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        value = tf.reduce_sum(layer(tensor) * seen)
    gradient = tape.gradient(value, tensor).numpy()
    numeric = np.empty_like(x)
    for cell in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[cell] = 0.25
        numeric[cell] = (np.sum(layer(x + step) * seen) - np.sum(layer(x - step) * seen)) / 0.5
    np.testing.assert_allclose(gradient, numeric, atol=1e-10)


@pytest.mark.parametrize("wrong", [dict(mode="min"), dict(padding="causal")])
def test_unknown_mode_or_padding_is_an_error(wrong):
    with pytest.raises(KerasVisionError, match=next(iter(wrong.values()))):
        AtrousPooling2D((2, 2), **wrong)
