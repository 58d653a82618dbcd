"""Masks of objects as COCO writes them: polygons, and run lengths, plain or packed into letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keras_vision.errors import KerasVisionError

_MORE, _SIGN, _DIGIT, _FIRST = 0x20, 0x10, 0x1F, 48  # of a letter, once 48 is taken off
_FAR = 1e6  # pixels; a corner farther away would overflow Pillow's edges


def polygons_mask(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """True inside any of the polygons, `(h, w)`; a polygon is x, y, x, y ... in pixels.

    Drawn by Pillow: pixels on an edge belong to the object. The COCO API draws finer and leaves some of them out.

    Raises:
        KerasVisionError: a polygon of fewer than three points, or with coordinates that are no numbers.
    """
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
            raise KerasVisionError(f"a polygon of {np.shape(polygon)}; expected at least three pairs of finite x, y.")
        draw.polygon((points - 0.5).round().clip(-_FAR, _FAR).tolist(), fill=1)
    return np.asarray(canvas)


def run_length_mask(counts: str | bytes | Sequence[int], height: int, width: int) -> np.ndarray:
    """The mask that run lengths stand for, bool `(h, w)`: runs of 0 and 1 in turn, column by column.

    Args:
        counts: the lengths, or COCO's packed form of them.
        height: of the mask, in pixels.
        width: of the mask, in pixels.

    Raises:
        KerasVisionError: damaged, or lengths that do not add up to the mask's pixels.
    """
    try:
        runs = _unpacked(counts) if isinstance(counts, (str, bytes)) else [int(count) for count in counts]
    except (TypeError, ValueError, OverflowError) as error:
        raise KerasVisionError(f"run lengths are damaged ({error}).") from error
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise KerasVisionError(
            f"run lengths of {sum(runs)} pixels for a mask of {height} x {width}, or a negative one."
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _unpacked(text: str | bytes) -> list[int]:
    """Five bits in each letter, the lowest first; from the fourth on, differences to the length two before."""
    letters = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    value = bits = 0
    for letter in letters:
        digit = letter - _FIRST
        if not 0 <= digit < 64:
            raise ValueError(f"letter {letter}")
        value |= (digit & _DIGIT) << bits
        bits += 5
        if bits > 60:
            raise ValueError("a number of more than 60 bits")
        if not digit & _MORE:
            value -= (1 << bits) if digit & _SIGN else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = bits = 0
    if bits:
        raise ValueError("ends within a number")
    return runs


def object_mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The mask of an annotation's `segmentation`, bool `(h, w)`: polygons, or run lengths with their size.

    Raises:
        KerasVisionError: none of these, damaged, or of another size.
    """
    if isinstance(segmentation, list):
        return polygons_mask(segmentation, height, width)
    if not isinstance(segmentation, dict) or list(segmentation.get("size", ())) != [height, width]:
        raise KerasVisionError(f"a segmentation that is no polygons and no run lengths of {height} x {width} pixels.")
    return run_length_mask(segmentation.get("counts", ()), height, width)
