"""SPP-net's networks against a forward in NumPy, their sizes, and training at two sizes in turn."""

import dataclasses

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import Net, lrn, max_pool
from naive_weights import fill

import keras_vision as kv
from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D
from keras_vision.training import find_recipe, train, with_settings
from keras_vision.training.recipes import building

NAMES = ("SPPNetZF5", "SPPNetConvnet5", "SPPNetOverfeat5", "SPPNetOverfeat7")


def build(name, **settings):
    return kv.create_model(name, weights=None, **settings)


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [(30, 31), (31, 8)])
@pytest.mark.parametrize("way", ["__call__", "predict"])
def test_images_from_which_no_cell_is_left_are_an_error(way, size):
    """TensorFlow ends the process over such a pooling when it runs eagerly."""
    model = build("SPPNetZF5", input_shape=(None, None, 3), classes=2)
    message = f"images of {size[0]} x {size[1]} pixels are too small for sppnetzf5: give at least 31 x 31"
    with pytest.raises(KerasVisionError, match=message):
        getattr(model, way)(np.zeros((1, *size, 3), "float32"))
    assert getattr(model, way)(np.zeros((1, 31, 31, 3), "float32")).shape == (1, 2)


@pytest.mark.parametrize(("name", "size", "maps"), [
    ("SPPNetZF5", 224, dict(pool1=55, pool2=13, conv5=13)), ("SPPNetZF5", 180, dict(conv5=10)),
    ("SPPNetConvnet5", 224, dict(conv1=55, pool2=27, pool3=13, conv5=13)),
    ("SPPNetOverfeat5", 224, dict(pool1=36, pool2=18, conv5=18)),
    ("SPPNetOverfeat7", 224, dict(pool1=36, pool2=18, conv7=18)),
])  # fmt: skip
def test_maps_have_the_sizes_of_table_1(name, size, maps):
    taps = kv.taps(build(name, include_top=False, input_shape=(size, size, 3)))
    assert {tap: taps[tap].shape[:2] for tap in maps} == {tap: (cells, cells) for tap, cells in maps.items()}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_pyramid_six_by_six_cells_are_left(name):
    model = build(name, include_top=False, pyramid=None, input_shape=(224, 224, 3))
    assert model.output_shape[1:3] == (6, 6)


@pytest.mark.parametrize(("cells", "bins"), [(13, 6), (13, 4), (13, 3), (13, 2), (13, 1), (18, 6), (18, 3), (18, 2)])
def test_windows_are_those_of_section_2_2_where_these_divide_the_map(cells, bins):
    x = np.random.default_rng(0).normal(0, 1, (1, cells, cells, 2)).astype("float32")
    sliding = keras.layers.MaxPooling2D(-(-cells // bins), cells // bins)(x)
    np.testing.assert_array_equal(
        np.reshape(SpatialPyramidPooling2D([bins])(x), (1, bins, bins, 2)), np.asarray(sliding)
    )


def test_section_2_2_leaves_three_of_ten_cells_out_of_six_bins():
    window, stride = -(-10 // 6), 10 // 6
    assert 10 - (stride * 5 + window) == 3
    last = np.zeros((1, 10, 10, 1), "float32")
    last[0, 9, 9] = 1
    assert np.asarray(SpatialPyramidPooling2D([6])(last)).max() == 1


# ---------------------------------------------------------------------------------------------- numerics


def zf5(net, x):
    x = max_pool(lrn(net.conv(x, "conv1", 96, 7, 2, 1)), 3, 2)
    x = max_pool(lrn(net.conv(x, "conv2", 256, 5, 2)), 3, 2)
    for name, width in (("conv3", 384), ("conv4", 384), ("conv5", 256)):
        x = net.conv(x, name, width, 3, pad=1)
    return x


def convnet5(net, x):
    x = lrn(net.conv(x, "conv1", 96, 11, 4, 2))
    x = max_pool(lrn(net.conv(x, "conv2", 256, 5, pad=2)), 3, 2)
    x = max_pool(net.conv(x, "conv3", 384, 3, pad=1), 3, 2)
    return net.conv(net.conv(x, "conv4", 384, 3, pad=1), "conv5", 256, 3, pad=1)


def overfeat(net, x, layers):
    def whole(x, size):  # rounds down
        return x[:, :, : x.shape[2] // size * size, : x.shape[3] // size * size]

    x = lrn(max_pool(whole(net.conv(x, "conv1", 96, 7, 2), 3), 3, 3))
    x = max_pool(whole(net.conv(x, "conv2", 256, 5, pad=2), 2), 2, 2)
    for number in range(3, layers + 1):
        x = net.conv(x, f"conv{number}", 512, 3, pad=1)
    return x


NAIVE = {"SPPNetZF5": zf5, "SPPNetConvnet5": convnet5, "SPPNetOverfeat7": lambda net, x: overfeat(net, x, 7)}


@pytest.mark.parametrize("name", NAIVE)
def test_equals_the_naive_forward(name):
    images = np.random.default_rng(3).normal(0, 60, (1, 83, 91, 3)).astype("float32")
    net = Net()
    maps = NAIVE[name](net, images.transpose(0, 3, 1, 2).astype("float64"))
    rows, columns = maps.shape[2:]
    bins = [
        maps[:, :, i * rows // n : -(-(i + 1) * rows // n), j * columns // n : -(-(j + 1) * columns // n)].max((2, 3))
        for n in (3, 1)
        for i, j in np.ndindex(n, n)
    ]
    x = np.concatenate(bins, axis=1)
    for layer in ("fc6", "fc7"):
        x = np.maximum(net.dense(x, layer, 4096), 0)
    expected = net.dense(x, "fc8", 7)
    model = build(name, pyramid=(3, 1), classes=7, classifier_activation=None, input_shape=(None, None, 3))
    assert close(fill(model, net.arrays)(images), expected)


def test_a_network_without_a_pyramid_needs_a_size():
    with pytest.raises(KerasVisionError, match="pyramid=None needs a fixed size"):
        build("SPPNetZF5", pyramid=None, input_shape=(None, None, 3))


# ------------------------------------------------------------------------------------ two sizes in turn


@pytest.fixture(scope="module")
def recipe():
    whole = find_recipe("spp-net-zf5-multi-size")
    assert whole.sizes == (224, 180)
    small = dict(size=64, resize_shorter=64, sizes=(64, 52), batch_size=2, schedule="constant", augment="none")
    small["learning_rate"] = 1e-6  # at 0.01, these four images of noise diverge with some seeds
    return dataclasses.replace(whole, model_settings=dict(pyramid=(2, 1)), **small)


@pytest.fixture(scope="module")
def parts():
    pixels = list(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8))
    return (LabelledImages(pixels, np.array([0, 1, 0, 1]), ("a", "b")),) * 2


def test_epochs_are_of_two_sizes_in_turn_and_show_the_same(recipe, parts):
    model = building.network(recipe, 2)
    assert model.input_shape == (None, None, None, 3)
    pipeline = building.pipelines(dataclasses.replace(recipe, seed=1), model, parts)[0]
    epochs = building.epochs_of(model, pipeline, recipe.sizes)
    shown = [np.concatenate([images for images, _ in epochs(number, 0)]) for number in range(3)]
    assert [x.shape[1:3] for x in shown] == [(64, 64), (52, 52), (64, 64)]
    whole = np.concatenate([images for images, _ in pipeline.epoch(1)])
    np.testing.assert_allclose(shown[1].mean(), whole.mean(), atol=1.0)


def test_one_network_learns_from_both_sizes(recipe, parts):
    keras.utils.set_random_seed(0)
    model = building.network(recipe, 2)
    pipeline = building.pipelines(recipe, model, parts)[0]
    building.compiled(recipe, model, pipeline.steps)
    before = model.get_layer("conv5").kernel.numpy()
    history = train(model, building.epochs_of(model, pipeline, recipe.sizes), epochs=2)
    assert len(history) == 2
    assert np.isfinite([logs["loss"] for logs in history]).all()
    assert not np.array_equal(before, model.get_layer("conv5").kernel)
    kept = building.without_sides(recipe, model, ("a", "b"))
    assert kept.input_shape == (None, 64, 64, 3)
    np.testing.assert_array_equal(kept.get_layer("fc6").kernel, model.get_layer("fc6").kernel)


def test_sizes_need_a_network_that_takes_any(recipe):
    other = dataclasses.replace(find_recipe("resnet-20-cifar"), sizes=(32, 28))
    with pytest.raises(KerasVisionError, match="leaves the size open"):
        building.network(other, 2)
    with pytest.raises(KerasVisionError, match=r"sizes=\(224, 0\); give sides in pixels"):
        with_settings(recipe, ["sizes=[224, 0]"])


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build("SPPNetZF5", pyramid=(2, 1), classes=7, input_shape=(67, 67, 3)))
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range
