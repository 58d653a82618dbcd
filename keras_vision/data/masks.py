"""Masks of class numbers: files of them, checks, and translation from other numbers or from colours."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from keras_vision.data.palettes import checked_labels, checked_palette
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.files import whole_file
from keras_vision.runtime.images import DAMAGE, orientation

_INDEXED = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
_SIDEWAYS = range(5, 9)  # EXIF orientations that exchange width and height
SOFTWARE = "keras-vision"
NOT_ACCEPTED = -1  # in a lookup: this number must not occur


def read_mask(path: str | os.PathLike | bytes) -> np.ndarray:
    """The numbers in a grey or palette image, `(h, w)`; of a palette image its indices, not its colours.

    Args:
        path: the file, or its content.

    Raises:
        ImageError: missing, damaged, too large, or a colour image.
    """
    return _decoded(path, _indices)


def read_colours(path: str | os.PathLike) -> np.ndarray:
    """The colours of a colour-coded mask, uint8 `(h, w, 3)`.

    Raises:
        ImageError: missing, damaged, or too large.
    """
    return _decoded(path, lambda image: np.asarray(image.convert("RGB")))


def colour_indices(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Position in the palette of each pixel's colour, `(h, w, 3), (k, 3) -> (h, w)`.

    Raises:
        KerasVisionError: a colour that is not in the palette.
    """
    weights = np.array([1 << 16, 1 << 8, 1])
    codes, pixels = palette.astype(np.int64) @ weights, colours.astype(np.int64) @ weights
    order = np.argsort(codes)
    found = order[np.searchsorted(codes, pixels, sorter=order).clip(0, len(codes) - 1)]
    wrong = codes[found] != pixels
    if wrong.any():
        raise KerasVisionError(
            f"colour {tuple(colours[wrong][0].tolist())} and {wrong.sum() - 1} more pixels are not among the palette's "
            f"{len(palette)} colours; masks must not be resized, smoothed or kept as JPEG."
        )
    return found


def write_mask(path: str | os.PathLike, labels: Any, palette: Any, overwrite: bool = False) -> None:
    """Write class numbers as a palette PNG: the indices are the classes, which any viewer shows in their colours.

    `read_mask` gives the same numbers back. The file appears whole or not at all.

    Args:
        path: usually `.png`; always written as PNG.
        labels: integers `(h, w)`, each below the number of colours.
        palette: colours `(k, 3)`, 0-255: `voc_palette()`, `CAMVID_PALETTE`, or your own.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: labels without a colour or no integers, no palette `(k, 3)`, or the file exists or cannot be
            written.
    """
    colours = checked_palette(palette)
    image = Image.fromarray(checked_labels(labels, len(colours)), "L")
    image.putpalette(colours.tobytes())
    with whole_file(path, overwrite) as file:
        image.save(file, "PNG", optimize=True, pnginfo=signature())


def signature() -> PngInfo:
    """The text that a PNG of this package carries: PNG's own keyword "Software"."""
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    return info


def is_ours(path: str | os.PathLike) -> bool:
    """Whether a file is a PNG that carries `signature`."""
    try:
        with Image.open(path) as image:
            return image.format == "PNG" and image.info.get("Software") == SOFTWARE
    except (*DAMAGE, Image.DecompressionBombError):
        return False


def class_lookup(classes: int, void: int | None) -> np.ndarray:
    """The lookup of masks that hold the classes' own numbers: each stands for itself, as does void."""
    lookup = np.full(max(classes, 0 if void is None else void + 1), NOT_ACCEPTED, np.int64)
    lookup[:classes] = np.arange(classes)
    if void is not None:
        lookup[void] = void
    return lookup


def look_up(numbers: np.ndarray, lookup: np.ndarray) -> np.ndarray:
    """The class of each number, `(h, w) -> (h, w)`, uint8 where all classes fit.

    Raises:
        KerasVisionError: numbers that the lookup does not accept.
    """
    outside = (numbers < 0) | (numbers >= len(lookup))
    labels = lookup[np.where(outside, 0, numbers).astype(np.intp)]
    wrong = outside | (labels == NOT_ACCEPTED)
    if wrong.any():
        found = ", ".join(map(str, np.unique(numbers[wrong])[:5]))
        accepted = np.flatnonzero(lookup != NOT_ACCEPTED)
        raise KerasVisionError(
            f"labels {found} at {wrong.sum()} pixels; accepted: {len(accepted)} from {accepted[0]} to {accepted[-1]}."
        )
    return labels.astype(np.uint8 if lookup.max() < 256 else np.int32)


def image_size(source: Any) -> tuple[int, int]:
    """Height and width of an image as it is shown, from the head of its file or the shape of its array.

    Raises:
        ImageError: missing, or no image.
    """
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    try:
        with _opened(source) as image:
            width, height = image.size
            sideways = orientation(image) in _SIDEWAYS
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise ImageError(_name(source), f"not an image that can be read ({error})") from error
    return (width, height) if sideways else (height, width)


def _name(source: Any) -> Any:
    return "encoded image" if isinstance(source, bytes) else source


def _opened(source: str | os.PathLike | bytes) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _decoded(path: str | os.PathLike | bytes, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    try:
        with _opened(path) as image:
            return convert(image)
    except UnidentifiedImageError as error:
        raise ImageError(_name(path), "not an image in a known format") from error
    except (*DAMAGE, Image.DecompressionBombError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else f"damaged: {error}"
        raise ImageError(_name(path), reason) from error


def _indices(image: Image.Image) -> np.ndarray:
    if image.mode not in _INDEXED:
        raise ValueError(f"a mask of mode {image.mode}; accepted: grey or palette images of class numbers")
    return np.asarray(image)
