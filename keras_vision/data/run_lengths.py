"""Masks of objects as COCO writes them: polygons, and run lengths, plain or packed into letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError

_MORE, _SIGN, _DIGIT, _FIRST = 0x20, 0x10, 0x1F, 48  # of a letter, once 48 is taken off
_FAR = 1e12  # pixels; products of coordinates beyond it would no longer be exact to a pixel
_AT_ONCE = 1 << 22  # crossings of edges and rows that are held in memory


def polygons_mask(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """True where a pixel's centre is inside any of the polygons, `(h, w)`; a polygon is x, y, x, y ... in pixels.

    Inside is what a ray leaves through an odd number of edges. The COCO API rounds the edges in another way: a few
    pixels on them differ.

    Raises:
        KerasVisionError: a polygon of fewer than three points, or with coordinates that are no numbers.
    """
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        try:
            points = np.array(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError, OverflowError) as error:
            raise KerasVisionError(f"a polygon of no pairs of x, y ({error}).") from error
        if len(points) < 3 or not np.isfinite(points).all():
            raise KerasVisionError(f"a polygon of {len(points)} points, or not finite; expected at least three.")
        _paint(mask, points.clip(-_FAR, _FAR))
    return mask


def _paint(mask: np.ndarray, points: np.ndarray) -> None:
    """Set what is inside a polygon: along a row, each edge that is crossed turns all pixels to the right of it over."""
    left, top = np.floor(points.min(0)).clip(0, mask.shape[::-1]).astype(int)
    right, bottom = np.ceil(points.max(0)).clip(0, mask.shape[::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    x0, y0, x1, y1 = np.concatenate([points, np.roll(points, -1, axis=0)], axis=1)[:, :, None].transpose(1, 0, 2)
    step = max(1, _AT_ONCE // max(len(points), right - left))
    for first in range(top, bottom, step):
        rows = np.arange(first, min(first + step, bottom))
        centres = rows + 0.5
        edge, row = np.nonzero((y0 <= centres) != (y1 <= centres))
        slope = (x1 - x0)[edge, 0] / (y1 - y0)[edge, 0]
        crossed = x0[edge, 0] + (centres[row] - y0[edge, 0]) * slope
        column = np.ceil(crossed - 0.5).clip(left, right).astype(int) - left  # the first whose centre is not before it
        turns = np.zeros((len(rows), right - left + 1), np.uint8)
        np.add.at(turns, (row, column), 1)  # wraps at 256, which is even
        mask[rows, left:right] |= np.cumsum(turns, axis=1, dtype=np.uint8)[:, :-1] % 2 == 1


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
    if not all(0 <= run <= height * width for run in runs) or sum(runs) != height * width:
        raise KerasVisionError(f"run lengths that do not add up to a mask of {height} x {width}, or a negative one.")
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
    if not isinstance(segmentation, dict) or segmentation.get("size") not in ([height, width], (height, width)):
        raise KerasVisionError(f"a segmentation that is no polygons and no run lengths of {height} x {width} pixels.")
    return run_length_mask(segmentation.get("counts", ()), height, width)
