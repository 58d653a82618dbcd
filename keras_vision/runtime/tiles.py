"""Maps of images too large for one call of a network: overlapping tiles, blended where they meet."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError

Predict = Callable[[np.ndarray], Any]


def predict_tiles(
    predict: Predict,
    image: Any,
    *,
    tile: int | tuple[int, int] = 512,
    overlap: int | None = None,
    margin: int | None = None,
    align: int = 32,
    batch_size: int = 1,
    whole_tiles: bool = False,
) -> np.ndarray:
    """`keras_vision.segmentation.predict_tiled` of any function, without Keras: see there.

    Args:
        predict: `(n, h, w, c) -> (n, h, w, k)`.
        image: `(h, w, c)`, or `(h, w)` for one channel.
        tile, overlap, margin, align, batch_size: as there.
        whole_tiles: all tiles have the full size; the image is continued with its edge pixels to where the last end.

    Raises:
        KerasVisionError: as there.
    """
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or not pixels.size:
        raise KerasVisionError(f"an image {np.shape(image)}; give pixels (h, w, c), or (h, w) for one channel.")
    height, width = (tile, tile) if isinstance(tile, int) else tile
    overlap = min(height, width) // 4 if overlap is None else overlap
    margin = overlap // 4 if margin is None else margin
    _check(height, width, overlap, margin, align, batch_size)
    size = pixels.shape[:2]
    if whole_tiles:
        ends = [_starts(n, side, overlap, align)[-1] + side for n, side in zip(size, (height, width), strict=True)]
        pixels = np.pad(pixels, [(0, ends[0] - size[0]), (0, ends[1] - size[1]), (0, 0)], mode="edge")
    rows = _spans(pixels.shape[0], height, overlap, margin, align)
    columns = _spans(pixels.shape[1], width, overlap, margin, align)
    tiles = _predictions(predict, pixels, rows, columns, batch_size)
    return _blended(tiles, pixels.shape[:2])[: size[0], : size[1]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Span:
    """Rows, or columns, of one tile: from `start` to before `stop`, and the weight of each."""

    start: int
    stop: int
    weights: np.ndarray


def _spans(length: int, tile: int, overlap: int, margin: int, align: int) -> list[_Span]:
    """The tiles along one side of an image; their weights sum to 1 everywhere."""
    starts = _starts(length, tile, overlap, align)
    stops = [min(start + tile, length) for start in starts]
    raw = [
        _ramp(stop - start, overlap, margin, first=start == 0, last=stop == length)
        for start, stop in zip(starts, stops, strict=True)
    ]
    total = np.zeros(length)
    for start, stop, weights in zip(starts, stops, raw, strict=True):
        total[start:stop] += weights
    return [
        _Span(start, stop, (weights / total[start:stop]).astype(np.float32))
        for start, stop, weights in zip(starts, stops, raw, strict=True)
    ]


def _starts(length: int, tile: int, overlap: int, align: int) -> list[int]:
    step = (tile - overlap) // align * align
    count = 1 + max(0, -(-(length - tile) // step))
    return [number * step for number in range(count)]


def _ramp(length: int, overlap: int, margin: int, first: bool, last: bool) -> np.ndarray:
    """Weights of one tile: 0 in the margin, a raised cosine over the rest of the overlap, else 1."""
    inside = np.arange(length) + 0.5 - margin  # pixels' centres from the margin's inner edge
    width = max(overlap - 2 * margin, 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(inside / width, 0, 1))
    fall = rise[::-1]
    return np.where(first, 1.0, rise) * np.where(last, 1.0, fall)


def _blended(predictions: Iterable[tuple[tuple[_Span, _Span], np.ndarray]], size: tuple[int, ...]) -> np.ndarray:
    """The weighted sum of all tiles, `(h, w, k)`."""
    whole = np.zeros((*size, 0), np.float32)
    for (row, column), scores in predictions:
        if not whole.size:
            whole = np.zeros((*size, scores.shape[-1]), np.float32)
        target = whole[row.start : row.stop, column.start : column.stop]
        target += scores * row.weights[:, None, None] * column.weights[:, None]
    return whole


def _predictions(
    predict: Predict, image: np.ndarray, rows: list[_Span], columns: list[_Span], batch_size: int
) -> Iterator[tuple[tuple[_Span, _Span], np.ndarray]]:
    """Each tile's place and prediction; tiles of one size share calls."""

    def size(place: tuple[_Span, _Span]) -> tuple[int, int]:
        return place[0].stop - place[0].start, place[1].stop - place[1].start

    places = sorted(itertools.product(rows, columns), key=size)
    for (height, width), group in itertools.groupby(places, size):
        while batch := list(itertools.islice(group, batch_size)):
            tiles = np.stack([image[row.start : row.stop, column.start : column.stop] for row, column in batch])
            scores = np.asarray(predict(tiles), np.float32)
            if scores.ndim != 4 or scores.shape[:3] != (len(batch), height, width):
                raise KerasVisionError(
                    f"predictions {scores.shape} for tiles {tiles.shape}; they must be (n, h, w, k) of the tiles' size."
                )
            yield from zip(batch, scores, strict=True)


def _check(height: int, width: int, overlap: int, margin: int, align: int, batch_size: int) -> None:
    if min(height, width, align, batch_size) < 1 or overlap < 0 or not 0 <= 2 * margin <= overlap:
        raise KerasVisionError(
            f"tile={height, width}, overlap={overlap}, margin={margin}, align={align}, batch_size={batch_size}; give "
            "positive numbers, and a margin of at most half the overlap."
        )
    if (step := (min(height, width) - overlap) // align * align) < align:
        raise KerasVisionError(
            f"tiles of {height} x {width} pixels that overlap by {overlap} would move on by {step}; the rest must be "
            f"at least align={align} pixels: give larger tiles, less overlap, or a smaller align."
        )
