"""How many pixels an image is padded with, so that the cells of feature maps reach beyond its corners."""

from __future__ import annotations

import dataclasses
import math

import keras

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.upsampling import placed


@dataclasses.dataclass(frozen=True)
class Reach:
    """Where the cells of a map begin and end, in pixels from the corners of an image that is not padded.

    Attributes:
        stride: distance of the cells.
        begins: from the image's first pixel to the first cell's centre, the larger of both axes.
        ends: from the last cell's centre to the image's last pixel, the larger of both axes and of all sizes.
    """

    stride: int
    begins: float
    ends: float


def reaches(model: keras.Model) -> list[Reach]:
    """Of each output, by name, of a model for images of an open size."""
    maps, least = [placed(x) for x in model.output.values()], max(graph.minimum_size(model))
    ends = [-math.inf] * len(maps)
    for size in range(least, least + max(x.stride for x in maps)):
        for axis in (0, 1):
            cells = graph.cells(model, axis, size)
            last = [x.start[axis] + x.stride * (cells[id(x.map)] - 1) for x in maps]
            ends = [max(end, size - 1 - cell) for end, cell in zip(ends, last, strict=True)]
    return [Reach(x.stride, max(x.start), end) for x, end in zip(maps, ends, strict=True)]


def least_padding(model: keras.Model) -> tuple[int, int]:
    """Pixels before and after the image with which the cells of every output reach beyond the corners of any image."""
    found = reaches(model)
    before = max(0, *(math.ceil(x.begins) for x in found))
    after = max(0, *(math.ceil(x.ends) for x in found), max(graph.minimum_size(model)) - 1 - before)
    return before, after


def checked_padding(padding: int | tuple[int, int], model: keras.Model) -> tuple[int, int]:
    """Pixels before and after, enough for interpolated maps to cover any image that the padded trunk takes.

    Raises:
        KerasVisionError: they are not.
    """
    pair = (padding, padding) if isinstance(padding, int) else tuple(padding)
    if len(pair) != 2 or not all(isinstance(p, int) and p >= 0 for p in pair):
        raise KerasVisionError(f"padding={padding!r}; give a number of pixels from 0, or (before, after).")
    found = reaches(model)
    short = [(x.begins - pair[0] > x.stride - 1) or (x.ends - pair[1] > x.stride - 1) for x in found]
    if any(short):
        raise KerasVisionError(
            f"padding={padding} leaves pixels of the image without side outputs; (before, after) = "
            f"{least_padding(model)} covers all."
        )
    return pair[0], pair[1]
