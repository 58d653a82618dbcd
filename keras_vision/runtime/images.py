"""Opening image files: formats, EXIF orientation, and what is wrong with those that do not open."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from keras_vision.errors import ImageError, KerasVisionError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
DAMAGE = (  # what Pillow's decoders raise on damaged files
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError,
    struct.error, zlib.error, MemoryError,
)  # fmt: skip
_TURNS = (None, None, *(Image.Transpose(t) for t in (0, 3, 1, 5, 4, 6, 2)))  # by EXIF orientation
_HIGH_DEPTH = ("I", "I;16", "I;16B", "I;16L", "I;16N")

Source = str | os.PathLike | bytes | np.ndarray | Image.Image


def open_image(source: Source) -> Image.Image:
    """Decode one image, upright by its EXIF orientation, as 8-bit RGB or grey.

    The first frame of an animation is taken, CMYK is converted, 16-bit grey is scaled to 8 bits,
    transparency is dropped.

    Args:
        source: a path, the encoded bytes, a Pillow image, or uint8 pixels `(h, w)`, `(h, w, 1)` or `(h, w, 3)`.

    Raises:
        ImageError: the source is missing, empty, damaged, no image, or larger than Pillow's limit of pixels.
    """
    if isinstance(source, Image.Image):
        return _to_8_bit(_upright(source))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = "encoded image" if isinstance(source, bytes) else os.fspath(source)
    try:
        encoded = source if isinstance(source, bytes) else Path(name).read_bytes()
    except OSError as error:
        raise ImageError(name, (error.strerror or str(error)).lower()) from error
    if not encoded:
        raise ImageError(name, "the file is empty")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            return _to_8_bit(_upright(image))
    except UnidentifiedImageError as error:
        raise ImageError(name, "not an image in a known format") from error
    except Image.DecompressionBombError as error:
        raise ImageError(name, f"too large: {error}") from error
    except DAMAGE as error:
        raise ImageError(name, f"damaged: {error}") from error


def list_images(sources: Iterable[str | os.PathLike]) -> Iterator[Path]:
    """Files as given; folders as the image files anywhere below them (by suffix), in sorted order.

    Files and folders whose name begins with a dot are left out, such as the `._photo.jpg` that macOS adds.

    Raises:
        KerasVisionError: a path does not exist.
    """
    for source in map(Path, sources):
        if source.is_dir():
            found = (p for p in sorted(source.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file())
            yield from (p for p in found if not any(part[0] == "." for part in p.relative_to(source).parts))
        elif source.exists():
            yield source
        else:
            raise KerasVisionError(f"{source}: no such file or folder.")


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, or 1; read alone, so that damage elsewhere in the block does not matter."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGE:
        return 1
    return found if isinstance(found, int) and 1 <= found < len(_TURNS) else 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS[orientation(image)]
    return image if turn is None else image.transpose(turn)


def _to_8_bit(image: Image.Image) -> Image.Image:
    if image.mode in _HIGH_DEPTH:  # Pillow's own conversion clips at 255 instead of scaling
        values = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image.convert("RGB")


def _from_array(pixels: np.ndarray) -> Image.Image:
    if (
        not pixels.size
        or pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3))
    ):
        raise ImageError(
            f"array of {pixels.dtype} {pixels.shape}", "expected uint8 pixels (h, w), (h, w, 1) or (h, w, 3)"
        )
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
