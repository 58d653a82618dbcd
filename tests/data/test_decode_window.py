"""Decoding only what a window shows, against decoding the whole image."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFile

from keras_vision.data.augment.window import Window, show
from keras_vision.data.decode import decode_image
from keras_vision.data.decode_window import show_encoded

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


def compare(content, geometry, channels=3, size=SIZE):
    """Greatest and mean difference to decoding everything."""
    pixels = decode_image(content, channels)
    expected_window = geometry(tf.shape(pixels)[:2], size, SEED)
    shown, window = show_encoded(tf.constant(content), geometry, size, channels, SEED)
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
            assert compare(path.read_bytes(), fixed(*fractions), size=(224, 224))[0] < 0.02
        with Image.open(path) as image:
            large = image.convert("RGB").resize((2000, 2000), Image.Resampling.LANCZOS)
        means += [compare(encoded(large, quality=90), fixed(*FRACTIONS[1]), size=(s, s))[1] for s in (224, 96, 64)]
    assert max(means) < 1
    assert np.mean(means) < 0.5


def test_graph_and_eager_agree():
    content = encoded(picture(67, 93), 6)
    geometry = fixed(*FRACTIONS[0])
    eager, _ = show_encoded(tf.constant(content), geometry, SIZE, 3, SEED)
    data = tf.data.Dataset.from_tensors(content).map(lambda c: show_encoded(c, geometry, SIZE, 3, SEED)[0])
    np.testing.assert_array_equal(eager, next(iter(data)))
