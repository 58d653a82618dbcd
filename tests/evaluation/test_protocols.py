"""Views of images against a naive construction: the whole image resized, then sliced."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation import PROTOCOLS, Protocol, Views, protocol
from keras_vision.evaluation.networks import views
from keras_vision.evaluation.protocols import CENTRE, GRID, WHOLE
from keras_vision.runtime import Preprocessing

SPEC = Preprocessing((28, 28), 32, "BGR", (104.0, 117.0, 123.0))
GREY_LEVELS = 1  # crops made from their part of the source differ from slices of the resized image by rounding alone


def photograph(height, width, seed=0):
    """Smooth shapes with noise, RGB."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    return Image.fromarray(
        np.clip(np.asarray(coarse) + rng.integers(-30, 31, (height, width, 3)), 0, 255).astype("uint8")
    )


def all_views(name, image, spec=SPEC, scales=()):
    """`(count, h, w, 3)` of a protocol without dense parts."""
    return np.concatenate([v for part in protocol(name, scales).parts for v in views(part, spec, image)])


def resized(image, shorter):
    scale = shorter / min(image.size)
    size = [round(side * scale) for side in image.size]
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR)).astype(int)


def squashed(pixels):
    return np.asarray(Image.fromarray(pixels.astype("uint8")).resize((28, 28), Image.Resampling.BILINEAR)).astype(int)


def with_mirrors(crops):
    return np.stack([pixels for crop in crops for pixels in (crop, crop[:, ::-1])])


@pytest.mark.parametrize(("name", "count"), [
    ("single", 1), ("squash", 1), ("ten", 10), ("twelve", 12), ("fifty", 50), ("144", 144),
    ("dense", 2), ("dense_multi_scale", 6), ("dense_and_fifty", 52),
])  # fmt: skip
def test_number_of_views(name, count):
    found = [v for part in PROTOCOLS[name].parts for v in views(part, SPEC, photograph(60, 90))]
    assert PROTOCOLS[name].count == count == sum(map(len, found))


def test_150_crops_of_vgg():
    assert protocol("fifty", (256, 384, 512)).count == 150


@pytest.mark.parametrize("size", [(50, 70), (71, 40), (33, 33), (20, 301), (500, 375)])
@pytest.mark.parametrize("spec", [
    SPEC,
    Preprocessing((28, 28), None),
    Preprocessing((28, 40), 45),
    Preprocessing((28, 28), 28, "L", (127.5,), (127.5,)),
])  # fmt: skip
def test_single_is_the_models_own_preprocessing_bit_for_bit(size, spec):
    image = photograph(*size)
    np.testing.assert_array_equal(all_views("single", image, spec)[0], spec.pixels(image))


@pytest.mark.parametrize("size", [(50, 70), (71, 40), (375, 500)])
def test_squash_is_the_whole_image_at_the_native_size(size):
    image = photograph(*size)
    np.testing.assert_array_equal(all_views("squash", image)[0], Preprocessing((28, 28), None).pixels(image))


@pytest.mark.parametrize("size", [(50, 70), (71, 40), (375, 500)])
def test_ten_crops(size):
    image = photograph(*size)
    whole = resized(image, 32)
    height, width = whole.shape[:2]
    places = [(y, x) for y in (0, height - 28) for x in (0, width - 28)] + [((height - 28) // 2, (width - 28) // 2)]
    naive = with_mirrors([whole[y : y + 28, x : x + 28] for y, x in places])
    assert np.abs(all_views("ten", image) - naive).max() <= GREY_LEVELS


def test_fifty_crops_lie_on_a_regular_grid():
    image = photograph(100, 130)
    naive = []
    for shorter in (36, 44):
        whole = resized(image, shorter)
        rows, columns = ([int(i * (side - 28) / 4) for i in range(5)] for side in whole.shape[:2])
        naive += [whole[y : y + 28, x : x + 28] for y in rows for x in columns]
    assert np.abs(all_views("fifty", image, scales=(36, 44)) - with_mirrors(naive)).max() <= GREY_LEVELS


@pytest.mark.parametrize("size", [(90, 130), (130, 90), (100, 100)])
def test_144_crops(size):
    """GoogLeNet, section 7: 4 scales, 3 squares along the longer side, 4 corners, centre and whole square, mirrored."""
    image = photograph(*size)
    crops, whole_squares = [], []
    for shorter in (32, 36, 40, 44):  # 256, 288, 320, 352 for a crop of 224
        whole = resized(image, shorter)
        slack = max(whole.shape[:2]) - shorter
        for start in (0, slack // 2, slack):
            square = whole[start:][:shorter] if whole.shape[0] > shorter else whole[:, start:][:, :shorter]
            far, middle = shorter - 28, (shorter - 28) // 2
            places = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
            crops += [square[y : y + 28, x : x + 28] for y, x in places] + [squashed(square)]
            whole_squares += [False] * 5 + [True]
    difference = np.abs(all_views("144", image) - with_mirrors(crops)).max(axis=(1, 2, 3))
    twice_resized = np.repeat(whole_squares, 2)
    assert difference[~twice_resized].max() <= GREY_LEVELS
    assert difference[twice_resized].max() <= 40  # the naive square is resized twice, and so is softer


def test_twelve_crops_are_those_of_the_centre_square():
    image = photograph(90, 130)
    found = all_views("twelve", image)
    whole = resized(image, 32)
    left = (whole.shape[1] - 32) // 2
    corner = whole[:28, left : left + 28]
    assert np.abs(found[0] - corner).max() <= GREY_LEVELS
    scale = 90 / 32
    box = ((left * 130 / whole.shape[1]), 0, (left + 32) * 130 / whole.shape[1], 32 * scale)
    square = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR, box=box))
    np.testing.assert_array_equal(found[10], square)
    np.testing.assert_array_equal(found[11], square[:, ::-1])


def test_dense_views_are_whole_images():
    image = photograph(60, 90)
    found = [v for part in PROTOCOLS["dense"].parts for v in views(part, SPEC, image)]
    assert [v.shape for v in found] == [(2, 32, 48, 3)]
    np.testing.assert_array_equal(found[0][0], resized(image, 32))
    np.testing.assert_array_equal(found[0][1], found[0][0][:, ::-1])


@pytest.mark.parametrize(("name", "native", "shorter"), [
    ("144", 224, [256, 288, 320, 352]),
    ("144", 299, [342, 384, 427, 470]),
    ("dense_multi_scale", 224, [224, 256, 288]),  # VGG, Table 4: S - 32, S, S + 32 for S = 256
    ("dense_multi_scale", 227, [227, 256, 288]),  # never below what the network takes
])  # fmt: skip
def test_scales_of_the_papers(name, native, shorter):
    spec = Preprocessing((native, native), 256 if native < 256 else 342)
    assert PROTOCOLS[name].parts[0].shorter_sides(spec) == shorter


@given(st.sampled_from([p for p in PROTOCOLS.values() if not p.dense]), st.integers(1, 2000), st.integers(1, 2000))
def test_boxes_lie_inside_the_image(found, height, width):
    boxes = np.array([box for part in found.parts for box in part.boxes(SPEC, height, width)], np.float32)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (width, height)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_a_strip_is_cropped_without_resizing_it_whole_and_refused_densely():
    strip = photograph(1, 100_000)
    assert all_views("fifty", strip, Preprocessing((227, 227), 256)).shape == (50, 227, 227, 3)
    with pytest.raises(ImageError, match="25600000 x 256 pixels after resizing"):
        list(views(PROTOCOLS["dense"].parts[0], Preprocessing((227, 227), 256), strip))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: protocol("tenn"), "no protocol is called 'tenn'. Did you mean ten"),
    (lambda: protocol("dense_fifty"), "Did you mean dense_and_fifty"),
    (lambda: protocol("xyz"), "Known: single, squash, ten"),
    (lambda: protocol("squash", (256,)), "squashes the whole image"),
    (lambda: protocol("ten", (0,)), "give lengths of the shorter side"),
    (lambda: protocol("ten", (20,)).parts[0].shorter_sides(SPEC), "give at least 28"),
    (lambda: PROTOCOLS["ten"].parts[0].shorter_sides(Preprocessing((28, 28), None)), "no scale of their own"),
    (lambda: Views(GRID, regions="circle"), "accepted are the regions image, centre square, three squares"),
    (lambda: Views(((0.5, 1.5),)), "between 0 and 1"),
    (lambda: Views(CENTRE, dense=True), "either dense=True or crops"),
    (lambda: Protocol("none", ()), "has no views"),
])  # fmt: skip
def test_errors_say_what_to_do(make, message):
    with pytest.raises(KerasVisionError, match=message):
        make()


def test_a_protocol_of_ones_own_is_taken_as_it_is():
    own = Protocol("two", (Views(WHOLE, mirror=True),))
    assert protocol(own) is own
    assert own.to_dict()["parts"][0]["crops"] == (None,)


def test_single_at_other_scales_is_a_centre_crop():
    image = photograph(60, 90)
    np.testing.assert_array_equal(
        all_views("single", image, scales=(40,))[0], Preprocessing((28, 28), 40).pixels(image)
    )
