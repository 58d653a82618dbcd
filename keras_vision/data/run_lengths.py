"""Masks of objects as COCO writes them: polygons, and run lengths, plain or packed into letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keras_vision.errors import KerasVisionError

_MORE, _SIGN, _DIGIT, _FIRST = 0x20, 0x10, 0x1F, 48  # of a letter, once 48 is taken off
_FINER = 4  # Pillow draws on whole pixels, edges included; so draw larger and look at the centres
_FAR = 1e6  # pixels; a corner farther away would overflow Pillow's edges


def polygons_mask(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """True where a pixel's centre is inside any of the polygons, `(h, w)`; a polygon is x, y, x, y ... in pixels.

    The COCO API rounds the edges in another way: a few pixels on them differ.

    Raises:
        KerasVisionError: a polygon of fewer than three points, or with coordinates that are no numbers.
    """
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        try:
            points = np.array(polygon, np.float64).reshape(-1, 2).clip(-_FAR, _FAR)
        except (TypeError, ValueError) as error:
            raise KerasVisionError(f"a polygon of no pairs of x, y ({error}).") from error
        if len(points) < 3 or not np.isfinite(points).all():
            raise KerasVisionError(f"a polygon of {len(points)} points, or not finite; expected at least three.")
        left, top = np.floor(points.min(0)).clip(0, (width, height)).astype(int)
        right, bottom = np.ceil(points.max(0)).clip(0, (width, height)).astype(int)
        if left < right and top < bottom:
            canvas = Image.new("1", ((right - left) * _FINER, (bottom - top) * _FINER))
            ImageDraw.Draw(canvas).polygon(((points - (left, top)) * _FINER).round().ravel().tolist(), fill=1)
            mask[top:bottom, left:right] |= np.asarray(canvas)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
    return mask


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
