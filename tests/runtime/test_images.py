"""Opening image files: every orientation and depth, and a reason for each file that does not open."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.runtime import list_images, open_image

UPRIGHT = {  # EXIF orientation: what turns the stored pixels upright
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: np.rot90(p, 2),
    4: lambda p: p[::-1],
    5: lambda p: np.swapaxes(p, 0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(np.swapaxes(p, 0, 1), 2),
    8: lambda p: np.rot90(p, 1),
}


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def encode(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png_header(width, height):
    """A valid PNG of a few bytes that claims a size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")


# --------------------------------------------------------------------------------------------- what is opened


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["path", "string", "bytes", "image"])
def test_exif_orientation_is_applied(orientation, kind, tmp_path):
    pixels = noise(5, 7, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(Image.fromarray(pixels), "PNG", exif=exif)
    path = tmp_path / "image.png"
    path.write_bytes(encoded)
    source = {"path": path, "string": str(path), "bytes": encoded, "image": Image.open(path)}[kind]
    np.testing.assert_array_equal(open_image(source), UPRIGHT[orientation](pixels))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format):
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    opened = open_image(encode(Image.fromarray(values), format))
    assert opened.mode == "L"
    np.testing.assert_allclose(np.asarray(opened), values / 257, atol=1)


def test_cmyk_jpeg_becomes_rgb():
    colors = {(255, 0, 0, 0): (0, 255, 255), (0, 255, 0, 0): (255, 0, 255), (0, 0, 0, 255): (0, 0, 0)}
    for cmyk, rgb in colors.items():
        opened = open_image(encode(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=100))
        assert opened.mode == "RGB"
        np.testing.assert_allclose(np.asarray(opened)[8, 8], rgb, atol=4)


def test_palette_with_transparency_becomes_its_colors():
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 2), 1)
    opened = open_image(encode(image, "PNG", transparency=0))
    assert opened.mode == "RGB"
    assert (opened.getpixel((0, 0)), opened.getpixel((1, 2))) == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("L", "L"), ("LA", "L"), ("RGBA", "RGB"), ("RGB", "RGB")])
def test_grey_stays_grey_and_the_rest_becomes_rgb(mode, expected):
    image = Image.fromarray(noise(6, 5, 3)).convert(mode)
    opened = open_image(encode(image, "PNG"))
    assert opened.mode == expected
    np.testing.assert_array_equal(opened, image.convert(expected))


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    opened = open_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert opened.getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_arrays_of_pixels(shape):
    pixels = noise(*shape)
    np.testing.assert_array_equal(np.asarray(open_image(pixels)).reshape(shape), pixels)


# ------------------------------------------------------------------------------------------ what is not opened


@pytest.mark.parametrize("pixels", [
    np.zeros((6, 5, 3), "float32"), np.zeros((6, 5, 4), "uint8"), np.zeros(6, "uint8"), np.zeros((1, 6, 5, 3), "uint8"),
    np.zeros((0, 5, 3), "uint8"),
])  # fmt: skip
def test_other_arrays_are_errors(pixels):
    with pytest.raises(ImageError, match="expected uint8 pixels"):
        open_image(pixels)


JPEG = encode(Image.fromarray(noise(64, 64, 3)), "JPEG")
DAMAGED = {
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"once upon a time", "not an image in a known format"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "not an image in a known format"),
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "damaged: "),
    "half.png": (encode(Image.fromarray(noise(64, 64, 3)), "PNG")[:5000], "damaged: "),
    "no_pixels.png": (png_header(50, 50), "damaged: "),
    "bomb.png": (png_header(20_000, 20_000), "too large: .*400000000 pixels"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_give_a_reason(name, tmp_path):
    content, reason = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=f"{name}: {reason}") as caught:
        open_image(tmp_path / name)
    assert name not in caught.value.reason
    if content:
        with pytest.raises(ImageError, match=f"encoded image: {reason}"):
            open_image(content)


def test_missing_file_and_folder_are_errors(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.jpg: no such file"):
        open_image(tmp_path / "nothing.jpg")
    with pytest.raises(ImageError, match="is a directory"):
        open_image(tmp_path)


FILES = {
    "jpeg": JPEG,
    "exif": encode(
        Image.fromarray(noise(9, 9, 3)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0"
    ),
    "png": encode(Image.fromarray(noise(9, 9, 3)), "PNG"),
    "gif": encode(Image.fromarray(noise(9, 9)), "GIF"),
    "bmp": encode(Image.fromarray(noise(9, 9, 3)), "BMP"),
    "tiff": encode(Image.fromarray(noise(9, 9, 3)), "TIFF", compression="tiff_lzw"),
    "webp": encode(Image.fromarray(noise(9, 9, 3)), "WEBP"),
}


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
def test_changed_bytes_give_an_image_or_an_image_error(kind, changes):
    data = bytearray(FILES[kind])
    for where, value in changes:
        data[int(where * min(len(data), 400))] = value
    try:
        opened = open_image(bytes(data))
    except ImageError:
        return
    assert opened.mode in ("L", "RGB")


# ------------------------------------------------------------------------------------------------- listing


def test_list_images_finds_files_below_folders_in_order(tmp_path):
    for name in ("b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "deep/d.jpeg", "e.jpg/inside.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images([tmp_path])]
    assert found == ["a.png", "b.JPG", "deep/d.jpeg", "deep/er/c.webp", "e.jpg/inside.png"]


def test_list_images_takes_a_file_whatever_its_name(tmp_path):
    (tmp_path / "picture").touch()
    assert list(list_images([str(tmp_path / "picture")])) == [tmp_path / "picture"]


def test_list_images_of_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(KerasVisionError, match="nothing: no such file or folder"):
        list(list_images([tmp_path / "nothing"]))
