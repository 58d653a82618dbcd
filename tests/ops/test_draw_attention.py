"""DRAW's filter banks, reading and writing against loops, and their gradients against finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from draw_oracle import naive_bank, naive_read, naive_read_at, naive_window, naive_write, naive_write_at
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vision.errors import KerasVisionError
from keras_vision.ops import draw_attention

SHAPES = [((28, 28, 1), 2), ((28, 28, 1), 5), ((7, 12, 3), 4), ((54, 40, 3), 12)]


def scene(shape, patch, n=3, seed=0):
    """Images, patches and windows, some with their centres near or beyond the border."""
    rng = np.random.default_rng(seed)
    parameters = rng.normal(0, 1, (n, 5)) * (0.8, 0.8, 0.7, 0.4, 0.3)
    return rng.uniform(0, 1, (n, *shape)), rng.normal(0, 1, (n, patch, patch, shape[2])), parameters


def read_at(images, parameters, patch):
    size = tuple(images.shape[1:3])
    seen = draw_attention.window(parameters, size, patch)
    return draw_attention.read(images, *draw_attention.banks(seen, patch, size), seen.intensity)


def write_at(patches, parameters, size):
    patch = patches.shape[1]
    seen = draw_attention.window(parameters, size, patch)
    return draw_attention.write(patches, *draw_attention.banks(seen, patch, size), seen.intensity)


def close(found, expected, bound):
    """Within a bound of 1, or of the largest value where that is more."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_windows_banks_reading_and_writing_are_those_of_the_equations(shape, patch):
    images, patches, parameters = (value.astype("float32").astype("float64") for value in scene(shape, patch))
    seen = draw_attention.window(parameters.astype("float32"), shape[:2], patch)
    expected = np.array([naive_window(row, shape[:2], patch) for row in parameters])
    np.testing.assert_allclose(np.stack([np.asarray(v) for v in seen], -1), expected, rtol=1e-5)
    numbers = expected.astype("float32")
    along_y, along_x = draw_attention.banks(draw_attention.Window(*numbers.T), patch, shape[:2])
    for number, (y, x, stride, variance, _) in enumerate(numbers.astype("float64")):
        np.testing.assert_allclose(along_y[number], naive_bank(y, stride, variance, patch, shape[0]), atol=1e-6)
        np.testing.assert_allclose(along_x[number], naive_bank(x, stride, variance, patch, shape[1]), atol=1e-6)
    intensity = numbers[:, 4]
    read = draw_attention.read(images.astype("float32"), along_y, along_x, intensity)
    wrote = draw_attention.write(patches.astype("float32"), along_y, along_x, intensity)
    for number, row in enumerate(numbers.astype("float64")):
        banks = [naive_bank(row[k], *row[2:4], patch, shape[k]) for k in (0, 1)]
        close(read[number], naive_read(images[number], *banks, row[4]), 1e-6)
        close(wrote[number], naive_write(patches[number], *banks, row[4]), 1e-6)
        close(
            read_at(images, parameters, patch)[number], naive_read_at(images[number], parameters[number], patch), 1e-5
        )


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_half_precision_differs_by_its_rounding(shape, patch):
    images, patches, parameters = scene(shape, patch)
    images, patches = images.astype("float16"), patches.astype("float16")
    read, wrote = read_at(images, parameters, patch), write_at(patches, parameters, shape[:2])
    assert read.dtype == wrote.dtype == tf.float16
    for number in range(len(images)):
        expected = naive_read_at(images[number].astype("float64"), parameters[number], patch)
        np.testing.assert_allclose(read[number], expected, atol=2e-3, rtol=2e-3)
        expected = naive_write_at(patches[number].astype("float64"), parameters[number], shape[:2])
        np.testing.assert_allclose(wrote[number], expected, atol=2e-3, rtol=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-1e4, 1e4), st.floats(1e-3, 1e3), st.floats(1e-8, 1e6), st.integers(2, 12), st.integers(12, 60)
)  # fmt: skip
def test_rows_sum_to_one_wherever_the_centre_is(centre, stride, variance, patch, size):
    bank = np.asarray(draw_attention.filter_bank([centre], [stride], [variance], patch, size))
    assert bank.shape == (1, patch, size)
    np.testing.assert_allclose(bank.sum(-1), 1, atol=1e-5)
    assert bank.min() >= 0


def test_a_centre_far_outside_gives_the_nearest_pixel():
    """Where the exponentials of the equation are all 0 in float32, and in float64 too."""
    bank = np.asarray(draw_attention.filter_bank([500.0, -500.0], [1.0, 1.0], [1.0, 1.0], 3, 28))
    np.testing.assert_array_equal(bank.argmax(-1), [[27] * 3, [0] * 3])
    np.testing.assert_allclose(bank.max(-1), 1, atol=1e-6)


@pytest.mark.parametrize(("shape", "patch"), SHAPES[1:3])
def test_gradients_are_those_of_finite_differences(shape, patch):
    """Of a weighted sum, by images, patches and all five numbers of the window; the differences are the loops'."""
    images, patches, parameters = scene(shape, patch, n=2, seed=1)
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 1, (2, patch, patch, shape[2])), rng.normal(0, 1, (2, *shape))
    values = [tf.Variable(value.astype("float32")) for value in (images, patches, parameters)]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(read_at(values[0].value(), values[2].value(), patch) * weights[0].astype("float32"))
        wrote = write_at(values[1].value(), values[2].value(), shape[:2])
        total += tf.reduce_sum(wrote * weights[1].astype("float32"))
    found = tape.gradient(total, values)

    def loops(images, patches, parameters):
        reads = [naive_read_at(i, p, patch) for i, p in zip(images, parameters, strict=True)]
        writes = [naive_write_at(w, p, shape[:2]) for w, p in zip(patches, parameters, strict=True)]
        return (weights[0] * reads).sum() + (weights[1] * writes).sum()

    given_values = [images, patches, parameters]
    for position, value in enumerate(given_values):
        for index in rng.permutation(value.size)[:12]:
            around = []
            for sign in (1, -1):
                moved = value.copy()
                moved.flat[index] += sign * 1e-5
                around.append(loops(*given_values[:position], moved, *given_values[position + 1 :]))
            expected = (around[0] - around[1]) / 2e-5
            assert np.asarray(found[position]).flat[index] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_graph_compiled_by_xla_gives_the_same():
    images, _, parameters = (value.astype("float32") for value in scene((28, 28, 1), 5))
    compiled = tf.function(lambda x, p: read_at(x, p, 5), jit_compile=True)
    np.testing.assert_allclose(compiled(images, parameters), read_at(images, parameters, 5), atol=1e-5)


@pytest.mark.parametrize(("patch", "says"), [
    (1, "a patch of 1 x 1 filters has no stride between them; give at least 2"),
    (0, "give at least 2"),
    (2.5, "a patch of 2.5 x 2.5"),
    (29, "a patch of 29 x 29 filters on an image of 28 x 40 pixels; give at most 28"),
])  # fmt: skip
def test_patches_that_make_no_grid_are_refused(patch, says):
    with pytest.raises(KerasVisionError, match=says):
        draw_attention.check_patch(patch, (28, 40))
