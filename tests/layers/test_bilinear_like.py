"""Interpolation onto another map's cells, against a loop; edges that hold their value."""

import keras
import numpy as np
import pytest

from keras_vision.layers import BilinearLike2D, EdgePadding2D


def naive(x, rows, columns, stride, start):
    """One output at a time, from the four coarse cells around it."""
    out = np.empty((len(x), rows, columns, x.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        y = min(max((i - start[0]) / stride, 0), x.shape[1] - 1)
        z = min(max((j - start[1]) / stride, 0), x.shape[2] - 1)
        top, left = int(y), int(z)
        bottom, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
        above = x[:, top, left] * (1 - (z - left)) + x[:, top, right] * (z - left)
        below = x[:, bottom, left] * (1 - (z - left)) + x[:, bottom, right] * (z - left)
        out[:, i, j] = above * (1 - (y - top)) + below * (y - top)
    return out


@pytest.mark.parametrize(("cells", "size", "stride", "start"), [
    ((4, 5), (32, 40), 8, (3.5, 3.5)),
    ((3, 2), (17, 13), 8, (0, 0)),
    ((1, 1), (5, 1), 32, (15.5, 15.5)),
    ((6, 3), (11, 8), 2, (-0.5, 1.25)),
])  # fmt: skip
def test_values_are_those_of_the_loop(cells, size, stride, start):
    x = np.random.default_rng(0).normal(0, 1, (2, *cells, 3)).astype("float32")
    like = np.zeros((2, *size, 1), "float32")
    inputs = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    model = keras.Model(inputs, BilinearLike2D(stride, start)(inputs))
    for actual in (model([x, like]), model.predict([x, like], verbose=0)):
        np.testing.assert_allclose(actual, naive(x, *size, stride, start), atol=1e-5)


def test_static_shape_is_that_of_the_other_map():
    inputs = keras.Input((4, 5, 3)), keras.Input((32, 40, 1))
    assert BilinearLike2D(8, (3.5, 3.5))(inputs).shape == (None, 32, 40, 3)


def test_edge_cells_are_repeated():
    x = np.random.default_rng(0).normal(0, 1, (2, 1, 4, 3)).astype("float32")
    np.testing.assert_array_equal(EdgePadding2D()(x), np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge"))


def test_saved_and_loaded(tmp_path):
    image = keras.Input((None, None, 2))
    x = EdgePadding2D(name="pad")(keras.layers.AveragePooling2D(4)(image))
    model = keras.Model(image, BilinearLike2D(4, (-2.5, -2.5), name="up")([x, image]))
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).normal(0, 1, (1, 9, 14, 2)).astype("float32")
    np.testing.assert_array_equal(twin(pixels), model(pixels))
