"""Transposed convolutions and crops that bring coarse maps onto the image."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_vision import KerasVisionError
from keras_vision.applications import VGG16, SqueezeNetV1_1
from keras_vision.layers import ceil_max_pool
from keras_vision.upsampling import (
    Bilinear,
    CropLike2D,
    Placed,
    aligned,
    bilinear_kernel,
    cropped,
    image_grid,
    interpolated,
    placed,
    upsampled,
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 16, 63, 64])
def test_bilinear_weights_are_the_formula_and_sum_to_the_square_of_the_factor(size):
    factor, centre = -(-size // 2), (size - 1) / 2
    naive = [
        [(1 - abs(i - centre) / factor) * (1 - abs(j - centre) / factor) for j in range(size)] for i in range(size)
    ]
    np.testing.assert_allclose(bilinear_kernel(size), naive, atol=1e-6)
    assert bilinear_kernel(size).sum() == pytest.approx(factor**2, rel=1e-5)


def test_the_release_s_offsets_of_fcn_come_out():
    image = keras.Input((None, None, 3))
    x, maps = layers.ZeroPadding2D(99)(image), {}
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for _ in range(count):
            x = layers.Conv2D(2, 3, padding="same")(x)
        x = maps[stage] = ceil_max_pool(x, 2, 2, name=f"pool{stage}")
    score, pool4, pool3 = (placed(m) for m in (layers.Conv2D(2, 7)(x), maps[4], maps[3]))
    assert (score.stride, pool4.stride, pool3.stride) == (32, 16, 8)
    grid = image_grid(image)
    assert offset(cropped(upsampled(score, grid, name="upscore"), grid, name="a")) == 19
    up2 = upsampled(score, pool4, name="upscore2")
    assert up2.map.shape[-1] == 2
    assert kernel(up2) == (4, 4)
    kept, cut = aligned(up2, pool4, name="score_pool4c")
    assert kept is up2
    assert offset(cut) == 5
    assert offset(cropped(upsampled(up2, grid, name="upscore16"), grid, name="b")) == 27
    up4 = upsampled(up2, pool3, name="upscore_pool4")
    assert offset(aligned(up4, pool3, name="score_pool3c")[1]) == 9
    assert offset(cropped(upsampled(up4, grid, name="upscore8"), grid, name="c")) == 31


def test_the_release_s_odd_kernel_of_fcn_alexnet_comes_out():
    image = keras.Input((None, None, 3))
    x = ceil_max_pool(layers.Conv2D(2, 11, 4)(layers.ZeroPadding2D(100)(image)), 3, 2, name="pool1")
    x = ceil_max_pool(layers.Conv2D(2, 5, padding="same")(x), 3, 2, name="pool2")
    for _ in range(3):
        x = layers.Conv2D(2, 3, padding="same")(x)
    x = ceil_max_pool(x, 3, 2, name="pool5")
    up = upsampled(placed(layers.Conv2D(2, 6)(x)), image_grid(image), name="upscore")
    assert kernel(up) == (63, 63)
    assert offset(cropped(up, image_grid(image), name="score")) == 18


@pytest.mark.parametrize("build", [VGG16, SqueezeNetV1_1])
def test_a_ramp_survives_sampling_at_the_cells_centres_and_upsampling(build):
    """The values of a linear ramp at the centres of a trunk's cells, upsampled, are the ramp."""
    image = keras.Input((None, None, 3))
    padded = layers.ZeroPadding2D(40)(image)
    x = layers.Conv2D(2, 1)(build(include_top=False, weights=None, input_tensor=padded).output)
    coarse, grid = placed(x), image_grid(image)
    up = cropped(upsampled(coarse, grid, name="up"), grid, name="crop")
    head = keras.Model([x, image], up.map)
    cells = keras.Model(image, x)(np.zeros((1, 70, 90, 3), "float32")).shape[1:3]
    rows, columns = (start + coarse.stride * np.arange(n) for start, n in zip(coarse.start, cells, strict=True))
    ramp = np.zeros((1, *cells, 2), "float32")
    ramp[..., 0], ramp[..., 1] = rows[:, None], columns
    out = np.asarray(head([ramp, np.zeros((1, 70, 90, 3), "float32")]))[0]
    assert out.shape[:2] == (70, 90)
    np.testing.assert_allclose(out[..., 0], np.broadcast_to(np.arange(70)[:, None], (70, 90)), atol=1e-2)
    np.testing.assert_allclose(out[..., 1], np.broadcast_to(np.arange(90), (70, 90)), atol=1e-2)


def test_a_map_that_begins_too_late_says_how_much_padding_is_missing():
    image = keras.Input((None, None, 3))
    late = placed(layers.Conv2D(1, 9)(image))
    with pytest.raises(KerasVisionError, match="pad the image by 4 pixels more"):
        cropped(late, image_grid(image), name="crop")


def test_saved_and_loaded(tmp_path):
    image = keras.Input((None, None, 3))
    x = upsampled(placed(layers.Conv2D(2, 4, 4)(image)), image_grid(image), name="up", learned=False)
    model = keras.Model(image, CropLike2D((0, 1), name="crop")([x.map, image]))
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).normal(0, 1, (1, 8, 11, 3)).astype("float32")
    np.testing.assert_array_equal(twin(pixels), model(pixels))
    assert isinstance(twin.get_layer("up").kernel_initializer, Bilinear)
    assert not twin.get_layer("up").trainable


def test_bilinear_needs_as_many_outputs_as_inputs():
    with pytest.raises(KerasVisionError, match="as many outputs as inputs"):
        Bilinear()((4, 4, 2, 3))


def offset(x):
    top, left = x.map._keras_history.operation.offset
    assert top == left
    return top


def kernel(x):
    return x.map._keras_history.operation.kernel_size


@pytest.mark.parametrize("build", [VGG16, SqueezeNetV1_1])
def test_a_ramp_survives_interpolation_between_the_first_and_the_last_centre(build):
    image = keras.Input((None, None, 3))
    coarse = placed(build(include_top=False, weights=None, input_tensor=image).output)
    x = keras.Input((None, None, 2))
    fine = interpolated(Placed(x, coarse.stride, coarse.start), image_grid(image), name="fine")
    rows, columns = (start + coarse.stride * np.arange(n) for start, n in zip(coarse.start, (3, 4), strict=True))
    ramp = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).astype("float32")[None]
    out = np.asarray(keras.Model([x, image], fine.map)([ramp, np.zeros((1, 130, 150, 3), "float32")]))[0]
    expected = np.clip(np.arange(130), rows[0], rows[-1]), np.clip(np.arange(150), columns[0], columns[-1])
    np.testing.assert_allclose(out[..., 0], np.broadcast_to(expected[0][:, None], (130, 150)), atol=1e-3)
    np.testing.assert_allclose(out[..., 1], np.broadcast_to(expected[1], (130, 150)), atol=1e-3)
