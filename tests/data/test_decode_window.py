"""Decoding only what a window shows, against decoding the whole image."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFile

from keras_vision.data.augment.geometry import AreaCrop
from keras_vision.data.augment.window import Window, show
from keras_vision.data.decode import decode_image
from keras_vision.data.decode_window import RATIOS, _exactly, show_encoded

SIZE = (24, 32)
SEED = tf.constant([0, 0])
FRACTIONS = [  # offset and extent as parts of the image's sides, mirror
    ((0.1, 0.25), (0.5, 0.4), False),
    ((0.0, 0.0), (1.0, 1.0), True),
    ((0.62, 0.7), (0.33, 0.3), True),  # in the lower right corner
    ((-0.2, -0.1), (0.6, 1.4), False),  # beyond the image
    ((0.4, 0.3), (0.01, 0.02), False),  # a few pixels, enlarged
    ((1.2, 0.0), (0.3, 0.3), False),  # nothing of the image
]


def fixed(offset, extent, mirror):
    def geometry(source, target, seed):
        source = tf.cast(source, tf.float32)
        return Window(source * offset, source * extent, tf.constant(mirror))

    return geometry


@pytest.fixture(autouse=True, scope="module")
def room_for_progressive_files():
    before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, 1 << 24
    yield
    ImageFile.MAXBLOCK = before


def picture(height, width, seed=0):
    """Smooth colours with some noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), 3)
    return Image.fromarray((np.asarray(coarse) * 0.9 + rng.integers(0, 25, (height, width, 3))).astype(np.uint8))


def encoded(image, orientation=1, form="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, exif=exif, **options)
    return buffer.getvalue()


def as_chosen(*given):
    pixels, window = show_encoded(*given)
    return pixels, *window


def compare(content, geometry, channels=3, size=SIZE, found=as_chosen):
    """Greatest and mean difference to decoding everything."""
    pixels = decode_image(content, channels)
    expected_window = geometry(tf.shape(pixels)[:2], size, SEED)
    shown, *window = found(tf.constant(content), geometry, size, channels, SEED, 0.0)
    for ours, expected in zip(window, expected_window, strict=True):
        np.testing.assert_array_equal(ours, expected)
    difference = np.abs(shown.numpy() - show(pixels, expected_window, size).numpy())
    assert shown.shape == (*size, channels)
    return difference.max(), difference.mean()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("progressive", [False, True])
def test_the_part_is_what_the_whole_would_show(orientation, progressive):
    image = picture(67, 93)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        content = encoded(image, orientation, quality=90, subsampling=subsampling, progressive=progressive)
        for fractions in FRACTIONS:
            assert compare(content, fixed(*fractions))[0] < 0.01


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [(403, 517), (811, 1037), (1603, 2049)], ids=["1/2", "1/4", "1/8"])
def test_decoding_smaller_keeps_place_and_colours(orientation, side):
    content = encoded(picture(*side), orientation, quality=90, subsampling="4:2:0")
    for fractions in FRACTIONS[1:2], FRACTIONS[3:4]:
        greatest, mean = compare(content, fixed(*fractions[0]))
        assert greatest < 4
        assert mean < 0.5


@pytest.mark.parametrize(("form", "mode", "channels"), [
    ("JPEG", "L", 3), ("JPEG", "L", 1), ("JPEG", "RGB", 1), ("JPEG", "CMYK", 3), ("PNG", "RGB", 3), ("PNG", "L", 1),
    ("GIF", "P", 3),
])  # fmt: skip
def test_other_colours_and_formats(form, mode, channels):
    content = encoded(picture(67, 93).convert(mode), form=form)
    for fractions in FRACTIONS:
        assert compare(content, fixed(*fractions), channels)[0] < 0.01


def test_photographs_as_published_and_enlarged(shared):
    """Progressive and baseline; and enlarged, so that all three ratios are used, half a grey level on average."""
    means = []
    for path in sorted((shared / "data/imagenet_sample").glob("*.JPEG"))[::40]:
        for fractions in FRACTIONS[:2]:
            assert compare(path.read_bytes(), fixed(*fractions), size=(224, 224), found=_exactly)[0] < 0.02
        with Image.open(path) as image:
            large = image.convert("RGB").resize((2000, 2000), Image.Resampling.LANCZOS)
        content = encoded(large, quality=90)
        means += [compare(content, fixed(*FRACTIONS[1]), size=(s, s), found=_exactly)[1] for s in (224, 96, 64)]
    assert max(means) < 1
    assert np.mean(means) < 0.5


def without_exif(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "fractions", [((0.1, 0.25), (0.5, 0.4)), ((0.05, 0.0), (0.65, 0.6)), ((0.62, 0.7), (0.33, 0.3))]
)
def test_without_exif_whole_pixels_are_interpolated(fractions, mirror, progressive):
    """Against cropping the whole image and TensorFlow's own resizing; the colours of 4:4:4 have no neighbours."""
    content = without_exif(picture(67, 93), quality=90, subsampling="4:4:4", progressive=progressive)
    shown, window = show_encoded(tf.constant(content), fixed(*fractions, mirror), SIZE, 3, SEED)
    for ours, exact in zip(window, fixed(*fractions, mirror)([67, 93], SIZE, SEED), strict=True):
        assert np.abs(np.float32(ours) - np.float32(exact)).max() <= 1
    (top, left), (height, width) = window.offset.numpy().astype(int), window.extent.numpy().astype(int)
    assert [top, left, height, width] == [*window.offset, *window.extent]
    part = decode_image(content)[top : top + height, left : left + width]
    expected = tf.image.resize(part[:, ::-1] if mirror else part, SIZE)
    np.testing.assert_allclose(shown, expected, atol=1e-3)


@pytest.mark.parametrize("side", [(403, 517), (811, 1037), (1603, 2049)], ids=["1/4", "1/8", "antialiased"])
def test_without_exif_decoding_smaller_keeps_place_and_colours(side):
    """At (24, 32), 403 x 517 goes to 1/8, and what is larger still to `show`."""
    content = without_exif(picture(*side), quality=90, subsampling="4:2:0")
    for size in SIZE, (48, 64), (96, 128):
        shown, window = show_encoded(tf.constant(content), fixed(*FRACTIONS[1]), size, 3, SEED)
        assert (window.offset + window.extent <= np.float32(side)).numpy().all()
        assert (window.extent > np.float32(side) - max(RATIOS)).numpy().all()
        difference = np.abs(shown - show(decode_image(content), window, size))
        assert difference.mean() < 2
        assert abs(float(tf.reduce_mean(shown - show(decode_image(content), window, size)))) < 0.2


def test_photographs_by_interpolation(shared):
    """The documented difference: 1.4 grey levels on average, at most 6 in one photograph."""
    means = []
    for number, path in enumerate(sorted((shared / "data/imagenet_sample").glob("*.JPEG"))[::12]):
        content = tf.io.read_file(str(path))
        shown, window = show_encoded(content, AreaCrop(), (224, 224), 3, tf.constant([7, number]))
        means.append(np.abs(shown - show(decode_image(content), window, (224, 224))).mean())
    assert np.mean(means) < 1.8
    assert max(means) < 7


def test_graph_and_eager_agree_without_exif():
    content, geometry = without_exif(picture(67, 93)), fixed(*FRACTIONS[0])
    eager, _ = show_encoded(tf.constant(content), geometry, SIZE, 3, SEED)
    data = tf.data.Dataset.from_tensors(content).map(lambda c: show_encoded(c, geometry, SIZE, 3, SEED)[0])
    np.testing.assert_array_equal(eager, next(iter(data)))


def test_graph_and_eager_agree():
    content = encoded(picture(67, 93), 6)
    geometry = fixed(*FRACTIONS[0])
    eager, _ = show_encoded(tf.constant(content), geometry, SIZE, 3, SEED)
    data = tf.data.Dataset.from_tensors(content).map(lambda c: show_encoded(c, geometry, SIZE, 3, SEED)[0])
    np.testing.assert_array_equal(eager, next(iter(data)))
