"""The layers that read and write: weights, files, precision, refusals."""

import keras
import numpy as np
import pytest
from draw_oracle import naive_read_at, naive_write_at

from keras_vision.errors import KerasVisionError
from keras_vision.layers import ReadAttention, ReadWhole, WriteAttention, WriteWhole

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (2, 12, 9, 3)).astype("float32")
STATES = RNG.normal(0, 0.5, (2, 6)).astype("float32")


def filled(layer, *arguments):
    """The layer with weights of some size, biases too."""
    layer(*arguments)
    layer.set_weights([RNG.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return layer


def dense(layer, state):
    kernel, bias = layer.get_weights()
    return state.astype("float64") @ kernel + bias


@pytest.mark.parametrize(("policy", "bound"), [("float32", 1e-5), ("mixed_float16", 2e-3)])
def test_reading_is_the_equations_of_a_linear_map_of_the_state(policy, bound):
    layer = filled(ReadAttention(4, dtype=policy), IMAGES, STATES)
    glimpse = layer(IMAGES, STATES)
    assert keras.backend.standardize_dtype(glimpse.dtype) == "float32"
    expected = [naive_read_at(x, p, 4).ravel() for x, p in zip(IMAGES, dense(layer.placed, STATES), strict=True)]
    np.testing.assert_allclose(glimpse, expected, atol=bound)


@pytest.mark.parametrize(("policy", "bound"), [("float32", 1e-5), ("mixed_float16", 2e-3)])
def test_writing_is_the_equations_of_two_linear_maps_of_the_state(policy, bound):
    layer = filled(WriteAttention(4, (12, 9, 3), dtype=policy), STATES)
    patches = dense(layer.drawn, STATES).reshape(2, 4, 4, 3)
    expected = [naive_write_at(w, p, (12, 9)) for w, p in zip(patches, dense(layer.placed, STATES), strict=True)]
    scale = max(np.abs(expected).max(), 1)
    np.testing.assert_allclose(layer(STATES), expected, atol=bound * scale)


def test_without_attention_all_is_read_and_written():
    np.testing.assert_array_equal(ReadWhole()(IMAGES, STATES), IMAGES.reshape(2, -1))
    layer = filled(WriteWhole((4, 5, 2)), STATES)
    np.testing.assert_allclose(layer(STATES), dense(layer.drawn, STATES).reshape(2, 4, 5, 2), atol=1e-5)


def test_an_untrained_window_covers_the_image():
    layer = WriteAttention(5, (28, 28, 1))
    layer(STATES)
    layer.placed.set_weights([np.zeros_like(weight) for weight in layer.placed.get_weights()])
    window = layer.window(STATES)
    np.testing.assert_allclose([np.asarray(v)[0] for v in window], [14.5, 14.5, 27 / 4, 1, 1], rtol=1e-6)


def test_untrained_filters_are_as_wide_as_asked_whatever_the_kernel():
    layer = ReadAttention(5, spread=0.5)
    layer(np.zeros((2, 28, 21, 1)), np.zeros((2, 7)))
    window = layer.window(np.zeros((2, 7)))
    np.testing.assert_allclose([np.asarray(v)[0] for v in window], [14.5, 11, 27 / 4, (27 / 8) ** 2, 1], rtol=1e-6)


@pytest.mark.parametrize("setting", ["spread", "gain"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_filters_of_no_width_and_windows_that_stay_are_refused(setting, value):
    with pytest.raises(KerasVisionError, match=rf"{setting}=.*finite number above 0"):
        ReadAttention(5, **{setting: value})


@pytest.mark.parametrize(
    "layer", [ReadAttention(3), ReadAttention(3, 0.5), ReadWhole(), WriteAttention(3, (8, 8, 1)), WriteWhole((8, 8, 1))]
)
def test_configurations_come_back(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("patch", [1, 10])
def test_patches_that_do_not_fit_are_refused(patch):
    with pytest.raises(KerasVisionError, match="a patch of"):
        ReadAttention(patch)(IMAGES, STATES)
    with pytest.raises(KerasVisionError, match="a patch of"):
        WriteAttention(patch, (12, 9, 3))
