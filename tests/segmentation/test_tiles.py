"""Tiles: equal to the whole image where they can be, without seams where they cannot, on images of any size."""

import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from keras_vision.errors import KerasVisionError
from keras_vision.segmentation import predict_tiled

RADIUS = 6  # of the filter below, in pixels


def blur(tiles):
    """A local predictor of two maps that pads with zeros, as networks do."""
    filtered = ndimage.gaussian_filter(
        tiles.astype(float), (0, 2, 2, 0), mode="constant", radius=(0, RADIUS, RADIUS, 0)
    )
    return np.concatenate([filtered.sum(-1, keepdims=True), filtered.max(-1, keepdims=True)], -1)


def picture(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("size", [(100, 131), (64, 64), (65, 200), (40, 300), (1, 1), (1, 150), (33, 2)])
@pytest.mark.parametrize(("overlap", "margin", "align"), [(2 * RADIUS, RADIUS, 1), (24, RADIUS, 8), (30, 15, 16)])
def test_a_local_predictor_gives_the_whole_images_map(size, overlap, margin, align):
    image = picture(*size)
    found = predict_tiled(blur, image, tile=64, overlap=overlap, margin=margin, align=align, batch_size=3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, blur(image[None])[0], atol=1e-6)


def test_a_margin_shorter_than_what_is_seen_does_not():
    image = picture(100, 131)
    found = predict_tiled(blur, image, tile=64, overlap=12, margin=0, align=1)
    assert np.abs(found - blur(image[None])[0]).max() > 0.02


def strided(seed=0):
    """A network of stride 4 whose padding does not depend on the input's size; it sees 11 pixels to each side."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = keras.layers.MaxPooling2D(4)(x)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    return keras.Model(image, keras.layers.UpSampling2D(4)(x))


@pytest.mark.parametrize("size", [(96, 128), (100, 132), (64, 60)])
def test_a_network_of_stride_4_agrees_where_tiles_are_aligned(size):
    image = picture(*size)
    network = strided()
    whole = network.predict_on_batch(image[None])[0]
    found = predict_tiled(network, image, tile=64, overlap=24, margin=12, align=4, batch_size=2)
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_tiles_between_the_cells_of_a_network_do_not_agree():
    image, network = picture(102, 102), strided()
    found = predict_tiled(network, image, tile=64, overlap=26, margin=12, align=2)
    assert np.abs(found[:100, :100] - network.predict_on_batch(image[None])[0]).max() > 0.01


def test_each_pixel_has_weights_that_sum_to_1_and_few_tiles_are_predicted():
    calls = []

    def ones(tiles):
        calls.append(tiles.shape)
        return np.ones((*tiles.shape[:3], 1))

    found = predict_tiled(ones, picture(300, 500, 1), tile=(128, 256), overlap=32, align=32, batch_size=4)
    np.testing.assert_allclose(found, 1, atol=1e-6)
    # rows begin at 0, 96, 192 and columns at 0, 224, 448 but for what the last tiles before the edge cover
    assert sum(shape[0] for shape in calls) == 3 * 3
    assert all(shape[1] <= 128 and shape[2] <= 256 and shape[0] <= 4 for shape in calls)


def test_no_seams_on_a_photograph(shared, randomize):
    """A network that sees far more than the overlap, so that tiles differ: the steps across borders stay small."""
    image = keras.Input((None, None, 3))
    x = image
    for dilation in (1, 2, 4, 8, 16):
        x = keras.layers.Conv2D(12, 3, padding="same", dilation_rate=dilation, activation="relu")(x)
    network = randomize(keras.Model(image, keras.layers.AveragePooling2D(5, 1, "same")(keras.layers.Conv2D(3, 1)(x))))
    with Image.open(shared / "data/voc_samples/JPEGImages/2011_000006.jpg") as file:
        photograph = np.asarray(file, np.float32) / 255 - 0.5
    tile, overlap = 128, 48
    found = predict_tiled(network, photograph, tile=tile, overlap=overlap, align=16)
    whole = network.predict_on_batch(photograph[None])[0]
    hard = predict_tiled(network, photograph, tile=tile, overlap=0, align=16)

    def step_at_borders(scores, starts):
        """Largest mean step between columns at the borders, over that of the columns elsewhere."""
        steps = np.abs(np.diff(scores, axis=1)).mean((0, 2))
        at = np.zeros(len(steps), bool)
        at[[s - 1 for s in starts]] = True
        return steps[at].max() / steps[~at].max()

    assert np.abs(found - whole).max() > 1e-3  # the tiles do differ from the whole
    assert step_at_borders(hard, [128, 256, 384]) > 1.5  # seams, as they are without an overlap
    for starts in ([80, 160, 240, 320], [128, 208, 288, 368]):  # where tiles begin, and end
        assert step_at_borders(found, starts) <= 1
    error_blended, error_hard = (np.abs(each - whole).mean() for each in (found, hard))
    assert error_blended < 0.5 * error_hard


@pytest.mark.parametrize("size", [(48, 48), (20, 31), (130, 49), (1, 1)])
def test_a_model_of_fixed_size_and_one_channel_sets_the_tile(size):
    image = keras.Input((48, 48, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(image))
    grey = picture(*size)[..., 0]
    found = predict_tiled(model, grey, align=4)
    assert found.shape == (*size, 2)
    open_image = keras.Input((None, None, 1))
    whole = keras.Model(open_image, model.layers[1](open_image))
    expected = whole.predict_on_batch(np.pad(grey, 1, mode="edge")[None, ..., None])[0, 1:-1, 1:-1]
    inner = (slice(1, -1), slice(1, -1)) if min(size) > 2 else (slice(0, 0), slice(0, 0))
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)


def test_memory_is_that_of_the_map():
    image = np.zeros((1000, 1500, 1), np.float32)
    tracemalloc.start()
    predict_tiled(lambda tiles: np.zeros((*tiles.shape[:3], 4), np.float32), image, tile=128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.25 * (1000 * 1500 * 4 * 4)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((2, 4, 4, 3)), {}, r"an image \(2, 4, 4, 3\); give pixels"),
        (np.zeros((0, 4, 3)), {}, r"an image \(0, 4, 3\)"),
        (
            picture(9, 9),
            {"tile": 64, "overlap": 60, "align": 8},
            "would move on by 0; the rest must be at least align=8",
        ),
        (picture(9, 9), {"overlap": 10, "margin": 6}, "a margin of at most half the overlap"),
        (picture(9, 9), {"batch_size": 0}, "give positive numbers"),
    ],
)
def test_bad_input(image, options, message):
    with pytest.raises(KerasVisionError, match=message):
        predict_tiled(blur, image, **options)


def test_bad_predictors():
    with pytest.raises(KerasVisionError, match=r"predictions \(1, 4, 4, 3\) for tiles \(1, 9, 9, 3\)"):
        predict_tiled(lambda tiles: tiles[:, ::2, ::2][:, :4, :4], picture(9, 9))
    image = keras.Input((None, None, 3))
    heads = {name: keras.layers.Conv2D(2, 1, name=name)(image) for name in ("a", "b")}
    with pytest.raises(KerasVisionError, match="has 2 outputs; give a model of one of them"):
        predict_tiled(keras.Model(image, heads), picture(9, 9))
