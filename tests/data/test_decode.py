"""Decoding in the graph against Pillow: formats, EXIF, resizing, damaged metadata."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import decode_image, load_pixels
from keras_vision.data.augment import CentreCrop
from keras_vision.data.decode import exif_orientation
from keras_vision.data.decode_window import show_encoded
from keras_vision.runtime import Preprocessing, open_image

DECODE = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


def _picture(height=20, width=30):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _encode(image, name, **options):
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def _exif(orientation, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 are not defined and mean: as it is
@pytest.mark.parametrize("endian", "<>")
def test_exif_orientation_as_pillow(orientation, endian):
    encoded = _encode(_picture(), "JPEG", quality=95, exif=_exif(orientation, endian))
    got, expected = DECODE(encoded).numpy(), np.asarray(open_image(encoded))
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_cmyk_with_and_without_adobes_segment_as_pillow(shared):
    """The Amazon's chips have four colours and no such segment: TensorFlow alone gives black."""
    chips = [path.read_bytes() for path in sorted((shared / "data/planet_sample").glob("*.jpg"))]
    written = _encode(_picture().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in written
    for encoded in (*chips, written):
        got, expected = DECODE(encoded).numpy(), np.asarray(open_image(encoded))
        assert expected.std() > 5
        assert np.abs(got.astype(int) - expected).max() <= 2
        shown = show_encoded(encoded, CentreCrop(None), expected.shape[:2], 3, tf.constant([0, 0]))[0]
        assert np.abs(shown.numpy() - expected).max() <= 2
    assert not tf.io.decode_jpeg(chips[0], channels=3).numpy().any()


def test_no_damage_to_the_exif_block_stops_decoding():
    encoded = bytearray(_encode(_picture(), "JPEG", quality=95, exif=_exif(6, "<")))
    start = encoded.index(b"Exif\0\0") + 6
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(encoded)
        for position in rng.integers(start, start + 40, 4):
            damaged[position] = rng.integers(256)
        assert 1 <= int(exif_orientation(bytes(damaged))) <= 8
    for end in range(start, start + 40):
        assert 1 <= int(exif_orientation(bytes(encoded[:end]))) <= 8


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_png_is_exact(mode):
    image = _picture().quantize(64) if mode == "P" else _picture().convert(mode)
    encoded = _encode(image, "PNG")
    assert (DECODE(encoded).numpy() == np.asarray(open_image(encoded).convert("RGB"))).all()


def test_sixteen_bit_png_is_scaled_not_clipped():
    values = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    encoded = _encode(Image.fromarray(values), "PNG")
    expected = np.asarray(open_image(encoded)).astype(int)
    assert np.abs(DECODE(encoded).numpy()[..., 0].astype(int) - expected).max() <= 1


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    encoded = _encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (DECODE(encoded).numpy() == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (17, 400)])
@pytest.mark.parametrize("shorter", [None, 72])
def test_resize_and_crop_as_pillow(size, shorter):
    rng = np.random.default_rng(2)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    encoded = _encode(coarse.resize(size[::-1], Image.Resampling.BICUBIC), "PNG")
    spec = Preprocessing((48, 64), shorter)
    got = load_pixels(encoded, spec).numpy()
    assert got.shape == (48, 64, 3)
    assert np.abs(got - spec.pixels(open_image(encoded))).max() <= 1


def test_grey_network():
    encoded = _encode(_picture(), "PNG")
    spec = Preprocessing((24, 24), None, "L", (0.0,), (1.0,))
    got, expected = load_pixels(encoded, spec).numpy(), spec.pixels(open_image(encoded))
    assert got.shape == (24, 24, 1)
    assert np.abs(got - expected).max() <= 2  # the two libraries round the grey value differently


def test_inside_a_tf_data_map(tmp_path):
    for number in range(3):
        _picture(20 + number, 30).save(tmp_path / f"{number}.jpg")
    spec = Preprocessing((16, 16), 18)
    files = tf.data.Dataset.list_files(str(tmp_path / "*.jpg"), shuffle=False)
    batch = next(iter(files.map(lambda f: load_pixels(tf.io.read_file(f), spec)).batch(3)))
    assert batch.shape == (3, 16, 16, 3)
