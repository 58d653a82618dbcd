"""DRAW's drawings as pictures: grids, the sequence as an animated GIF, attention as rectangles."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

_GAP = 1  # pixels between images, before enlarging
_GROUND = 64
RED, GREEN = (230, 40, 40), (40, 200, 60)


def grid(images: Any, columns: int | None = None, enlarge: int = 1) -> Image.Image:
    """Images side by side, RGB.

    Args:
        images: `(n, h, w, c)` with intensities from 0 to 1; one channel, or three.
        columns: images in a row; None for as many as there are rows.
        enlarge: pixels of the picture along each pixel of an image.

    Raises:
        KerasVisionError: no images, another shape, or values that are not from 0 to 1.
    """
    pixels = np.asarray(images, np.float32)
    if pixels.ndim != 4 or not len(pixels) or pixels.shape[3] not in (1, 3):
        raise KerasVisionError(f"images {pixels.shape}; give (n, h, w, 1) or (n, h, w, 3), with n from 1.")
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise KerasVisionError(f"images from {pixels.min():g} to {pixels.max():g}; give intensities from 0 to 1.")
    n, height, width = pixels.shape[:3]
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _GROUND, np.uint8)
    for number, image in enumerate(pixels):
        top, left = _corner(number, columns, (height, width))
        sheet[top : top + height, left : left + width] = np.rint(255 * image)
    return Image.fromarray(sheet.repeat(enlarge, 0).repeat(enlarge, 1))


def drawing_frames(
    canvases: Any, windows: Any = None, patch: int = 0, columns: int | None = None, enlarge: int = 3
) -> list[Image.Image]:
    """A grid for each step, with the attention of that step as rectangles.

    Args:
        canvases: probabilities `(n, T, h, w, c)`.
        windows: `(n, T, 4)` as of `generative.Drawing`: centre, distance and deviation of the filters; None for none.
        patch: N, the filters along a side of the windows.
        columns, enlarge: as of `grid`.

    Returns:
        T pictures. A rectangle goes through the outermost filters, and its line is as wide as the filters are.

    Raises:
        KerasVisionError: as of `grid`; or windows of other images.
    """
    canvases = np.asarray(canvases)
    if canvases.ndim != 5 or (windows is not None and np.shape(windows) != (*canvases.shape[:2], 4)):
        raise KerasVisionError(
            f"canvases {canvases.shape} and windows {np.shape(windows)}; give (n, T, h, w, c) and (n, T, 4)."
        )
    columns = columns or math.ceil(math.sqrt(len(canvases)))
    frames = []
    for step in range(canvases.shape[1]):
        frame = grid(canvases[:, step], columns, enlarge)
        if windows is not None:
            _rectangles(frame, np.asarray(windows)[:, step], patch, columns, canvases.shape[2:4], enlarge)
        frames.append(frame)
    return frames


def write_animation(
    frames: list[Image.Image],
    path: str | os.PathLike,
    milliseconds: int = 80,
    last: int = 1500,
    overwrite: bool = False,
) -> None:
    """Write frames as a GIF that plays forever.

    Args:
        frames: of one size, at least one.
        path: of the file, `.gif`.
        milliseconds: that a frame is shown; the last one is for `last`.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: no frames, another suffix, or a file that exists or cannot be written.
    """
    if not frames or not str(path).lower().endswith(".gif"):
        raise KerasVisionError(f"{path} of {len(frames)} frames; give a .gif, and at least one frame.")
    palettes = [frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    times = [milliseconds] * (len(frames) - 1) + [last]
    with whole_file(path, overwrite) as temporary:
        palettes[0].save(temporary, "GIF", save_all=True, append_images=palettes[1:], duration=times, loop=0)


def _rectangles(
    frame: Image.Image, windows: np.ndarray, patch: int, columns: int, size: tuple[int, int], enlarge: int
) -> None:
    pen = ImageDraw.Draw(frame)
    for number, (y, x, stride, deviation) in enumerate(windows):
        top, left = _corner(number, columns, size)
        half = (patch - 1) / 2 * stride
        box = np.array([x - half, y - half, x + half, y + half]) - 0.5  # the first pixel's centre is 1
        low, high = np.array([left, top] * 2), np.array([left + size[1], top + size[0]] * 2)
        box = np.clip(np.nan_to_num(box) + low, low - _GAP, high + _GAP) * enlarge
        pen.rectangle(tuple(box), outline=RED, width=int(np.clip(round(float(deviation) * enlarge), 1, 2 * enlarge)))


def _corner(number: int, columns: int, size: tuple[int, int]) -> tuple[int, int]:
    """Upper left corner of an image in a grid."""
    row, column = divmod(number, columns)
    return row * (size[0] + _GAP) + _GAP, column * (size[1] + _GAP) + _GAP
