"""Windows of one feature map: tables against loops, cells against centres, scores against the network's own."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D
from keras_vision.localisation import PyramidWindows, multi_view, pool_windows, views_of
from keras_vision.model import VisionModel
from keras_vision.registry import model_card

BINS = (6, 3, 2, 1)
rng = np.random.default_rng(0)


def naive(features, window, bins, reduce):
    """Loops over grids, rows and columns of one window."""
    top, left, bottom, right = window
    part = features[top:bottom, left:right]
    h, w = part.shape[:2]
    rows = []
    for n in bins:
        for i in range(n):
            for j in range(n):
                a, b = int(np.floor(i * h / n)), int(np.ceil((i + 1) * h / n))
                c, d = int(np.floor(j * w / n)), int(np.ceil((j + 1) * w / n))
                rows.append(reduce(part[a:b, c:d], axis=(0, 1)))
    return np.stack(rows)


@pytest.mark.parametrize(("mode", "reduce"), [("max", np.max), ("average", np.mean)])
def test_every_size_from_1_to_40_equals_the_loops(mode, reduce):
    features = rng.normal(0, 1, (40, 43, 3)).astype("float32")
    windows = [[0, 43 - size, size, 43] for size in range(1, 41)] + [
        [40 - size, 0, 40, 41 - size] for size in range(1, 41)
    ]
    tops, lefts = rng.integers(0, 40, 60), rng.integers(0, 43, 60)
    windows += [[t, x, rng.integers(t + 1, 41), rng.integers(x + 1, 44)] for t, x in zip(tops, lefts, strict=True)]
    found = pool_windows(features, windows, BINS, mode)
    expected = np.stack([naive(features, window, BINS, reduce) for window in windows])
    if mode == "max":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_window_equals_the_layer():
    features = rng.normal(0, 1, (11, 7, 4)).astype("float32")
    expected = SpatialPyramidPooling2D(BINS)(features[None])
    np.testing.assert_array_equal(pool_windows(features, [[0, 0, 11, 7]], BINS), expected)
    assert pool_windows(features, [], BINS).shape == (0, 50, 4)


F = np.zeros((5, 6, 2), np.float32)


@pytest.mark.parametrize(("features", "windows", "message"), [
    (F, [[0, 0, 6, 3]], "window 0, .* beyond the map of"),
    (F, [[0, 0, 5, 6], [2, 2, 2, 4]], "window 1, .* is empty"),
    (F, [[-1, 0, 2, 2]], "window 0"),
    (F, [[0, 0, 1.0, 1.0]], "whole cells"),
    (F, [0, 0, 1, 1], "whole cells"),
    (F[0], [[0, 0, 1, 1]], "one map"),
    (F[:0], [[0, 0, 1, 1]], "at least one cell"),
    (F * np.nan, [[0, 0, 1, 1]], "not finite"),
])  # fmt: skip
def test_windows_that_do_not_fit_are_errors(features, windows, message):
    with pytest.raises(KerasVisionError, match=message):
        pool_windows(features, windows)


@pytest.fixture(scope="module")
def network(randomize):
    """Two strided convolutions and a pyramid, 40 x 40 pixels to 5 classes."""
    image = keras.Input((40, 40, 3), name="image")
    x = layers.ZeroPadding2D(2)(image)
    x = layers.Conv2D(6, 5, 2, activation="relu")(x)
    x = layers.MaxPooling2D(3, 2)(x)
    x = SpatialPyramidPooling2D((3, 2, 1), name="spp")(x)
    x = layers.Dense(8, activation="relu")(layers.Flatten()(x))
    model = VisionModel(image, layers.Dense(5, activation="softmax")(x), card=model_card("ResNet20CIFAR"))
    randomize(model)
    spec = model.preprocessing.for_input(40, 40, 3)
    return model.with_card(dataclasses.replace(model.card, preprocessing=spec))


def picture(height=55, width=72):
    return rng.normal(0, 1, (height, width, 3)).astype("float32")


def test_cells_are_those_whose_centres_lie_in_the_box(network):
    """Cell i sees pixels 4 i - 2 to 4 i + 6, whose middle is at 4 i + 2.5 from the image's edge."""
    centres = 4 * np.arange(20) + 2.5
    boxes = np.sort(rng.uniform(0, 55, (200, 2, 2)), axis=1).reshape(200, 4)
    windows = PyramidWindows(network)
    size = windows.features(picture()[None]).shape[1:3]
    for box, found in zip(boxes, windows.cells(boxes, (55, 72), size), strict=True):
        for axis in (0, 1):
            low, high = box[1 - axis], box[3 - axis]
            inside = np.flatnonzero((centres[: size[axis]] > low) & (centres[: size[axis]] < high))
            if not len(inside):
                inside = [np.abs(centres[: size[axis]] - (low + high) / 2).argmin()]
            assert (found[axis], found[axis + 2]) == (inside[0], inside[-1] + 1)


def test_the_whole_image_gives_what_the_network_gives(network):
    image = picture(40, 40)
    found = PyramidWindows(network).scores(image, [[0, 0, 40, 40]])
    np.testing.assert_allclose(found, network(image[None]), atol=1e-6)


def test_boxes_are_pooled_from_one_map(network):
    windows, image = PyramidWindows(network), picture()
    boxes = [[0, 0, 72, 55], [10, 3, 50, 40], [70, 50, 72, 55]]
    features = windows.features(image[None])[0]
    cells = windows.cells(boxes, (55, 72), features.shape[:2])
    expected = np.stack([naive(features, window, (3, 2, 1), np.max) for window in cells])
    np.testing.assert_array_equal(windows.pooled(image, boxes), expected)
    assert windows.scores(image, []).shape == (0, 5)


def test_many_boxes_go_through_the_dense_layers_in_parts(network):
    windows, image = PyramidWindows(network), picture()
    corners = np.sort(rng.uniform(0, 55, (300, 2, 2)), axis=1).reshape(300, 4)
    together = windows.scores(image, corners)
    np.testing.assert_allclose(together[[0, 299]], windows.scores(image, corners[[0, 299]]), atol=1e-6)


@pytest.mark.parametrize(("boxes", "message"), [
    ([[0, 0, 73, 10]], "box 0, .* beyond the image of 72 x 55"),
    ([[0, 0, 9, 9], [-1, 0, 5, 5]], "box 1"),
    ([[5, 5, 5, 9]], "is empty"),
    ([[0, 0, np.nan, 9]], "not finite"),
    ([[9, 9, 5, 5]], "ends before it begins"),
    ([[0, 0, 5]], "give \\(n, 4\\)"),
])  # fmt: skip
def test_boxes_that_do_not_fit_are_errors(network, boxes, message):
    with pytest.raises(KerasVisionError, match=message):
        PyramidWindows(network).pooled(picture(), boxes)


def test_an_image_from_which_no_cell_is_left_is_an_error(network):
    with pytest.raises(KerasVisionError, match=r"images of 4 x 72 pixels are too small for .*: give at least 5 x 5"):
        PyramidWindows(network).pooled(picture(4), [[0, 0, 2, 2]])


def test_a_network_without_a_pyramid_is_an_error(network):
    image = keras.Input((8, 8, 3))
    with pytest.raises(KerasVisionError, match="has 0 layers of SpatialPyramidPooling2D"):
        PyramidWindows(keras.Model(image, layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(KerasVisionError, match="give one, "):
        PyramidWindows(network).pooled(picture()[None], [[0, 0, 5, 5]])


def test_nine_views_of_which_six_remain_on_the_shorter_side():
    assert len(views_of(256, 300, (224, 224))) == 9
    assert views_of(224, 300, (224, 224)).tolist() == [[0, 0, 224, 224], [38, 0, 262, 224], [76, 0, 300, 224]]
    per_scale = [2 * len(views_of(scale, round(scale * 1.5), (224, 224))) for scale in (224, 256, 300, 360, 448, 560)]
    assert sum(per_scale) == 96  # section 3.1.5


def test_multi_view_is_the_mean_over_views_by_hand(network):
    photograph = rng.integers(0, 256, (50, 64, 3)).astype(np.uint8)
    expected = []
    for height, width in ((40, 51), (48, 61)):
        resized = Image.fromarray(photograph).resize((width, height), Image.Resampling.BILINEAR)
        x = network.preprocessing.normalize(np.asarray(resized))
        windows = PyramidWindows(network)
        for way in (x, x[:, ::-1]):
            features = windows.features(way[None])[0]
            for box in views_of(height, width, (40, 40)):
                cells = windows.cells([box], (height, width), features.shape[:2])[0]
                pooled = naive(features, cells, (3, 2, 1), np.max)[None]
                expected.append(np.asarray(windows._head(pooled))[0])
    found = multi_view(network, [photograph], (40, 48))
    assert len(expected) == 2 * (3 + 9)
    np.testing.assert_allclose(found[0], np.mean(expected, axis=0), atol=1e-5)
    assert multi_view(network, [], (40,)).shape == (0, 5)


def test_a_scale_below_the_networks_input_is_an_error(network):
    for scales in ((32,), ()):
        with pytest.raises(KerasVisionError, match="give some of at least that"):
            multi_view(network, [np.zeros((50, 50, 3), np.uint8)], scales)
