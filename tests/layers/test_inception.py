"""The pools of the Inception module at the edge of the map, and its names."""

import keras
import numpy as np
import pytest

from keras_vision.layers import average_pool, conv_names, conv_relu, inception

BRANCHES = [
    [("1x1", 2, 1)],
    [("3x3_1", 3, 1), ("3x3", [("3x3_2", 4, (1, 3)), ("3x3_3", 5, (3, 1))])],
    [("pool", "avg"), ("proj", 6, 1)],
]


@pytest.mark.parametrize("count_padding", [False, True])
def test_average_at_the_edge(count_padding):
    x = np.random.default_rng(0).normal(0, 1, (2, 4, 5, 3)).astype("float32")
    actual = np.asarray(average_pool(keras.ops.convert_to_tensor(x), name="pool", count_padding=count_padding))
    for i, j in np.ndindex(4, 5):
        window = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        cells = 9 if count_padding else window.shape[1] * window.shape[2]
        np.testing.assert_allclose(actual[:, i, j], window.sum(axis=(1, 2)) / cells, atol=1e-6)


def test_branches_are_joined_in_the_order_of_the_table():
    image = keras.Input((8, 8, 3))
    pools = {"avg": lambda x, name: average_pool(x, name, count_padding=True)}
    model = keras.Model(image, inception(image, BRANCHES, "mixed", conv_relu, pools))
    joined = [tensor._keras_history.operation.name for tensor in model.get_layer("mixed").input]
    assert joined == ["mixed_1x1", "mixed_3x3", "mixed_proj"]
    assert model.output_shape == (None, 8, 8, 2 + 4 + 5 + 6)


def test_names_of_the_convolutions():
    assert list(conv_names(BRANCHES)) == ["1x1", "3x3_1", "3x3_2", "3x3_3", "proj"]
