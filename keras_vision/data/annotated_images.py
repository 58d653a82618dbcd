"""Images with more than one class: masks, boxes, several labels, captions, boundaries.

As with `LabelledImages`, listing a data set decodes nothing. `sources` are paths or uint8 arrays `(h, w)` or
`(h, w, 3)`; masks, boxes and boundaries are decoded and checked when they are asked for, by position.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_vision.data.masks import class_lookup, colour_indices, image_size, look_up, read_mask
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import open_image

Skipped = tuple[tuple[str, str], ...]


class _Sourced:
    """What all of them share: a length, and the pixels of one image."""

    sources: Sequence[Any]

    def __len__(self) -> int:
        return len(self.sources)

    def image(self, position: int) -> np.ndarray:
        """Upright RGB or grey pixels, uint8 `(h, w, 3)` or `(h, w)`.

        Raises:
            ImageError: the file is missing or damaged.
        """
        return np.asarray(open_image(self.sources[position]))


@dataclasses.dataclass(frozen=True)
class SegmentedImages(_Sourced):
    """Images with a class for each pixel.

    Attributes:
        sources: the images.
        masks: one for each image: whatever `decode` takes, a path by default.
        class_names: name of each class.
        void: label of pixels that belong to no class, left out of loss and metrics; None if there are none.
        decode: `masks[i]` to numbers `(h, w)`, or to colours `(h, w, 3)` where there is a palette.
        palette: colours of a colour-coded mask `(k, 3)`; the number of a pixel is its colour's position here.
        lookup: class, `void`, or -1 for "must not occur", of each number in the file. None: numbers are classes.
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    masks: Sequence[Any]
    class_names: tuple[str, ...]
    void: int | None = 255
    decode: Callable[[Any], np.ndarray] = read_mask
    palette: np.ndarray | None = None
    lookup: np.ndarray | None = None
    skipped: Skipped = ()

    def mask(self, position: int) -> np.ndarray:
        """Class of each pixel, `(h, w)`, uint8 where all fit; `void` where there is none.

        Raises:
            KerasVisionError: damaged, of another size than its image, or with labels or colours out of range.
        """
        entry = self.masks[position]
        numbers = entry if isinstance(entry, np.ndarray) else self.decode(entry)
        name = entry if isinstance(entry, str) or hasattr(entry, "__fspath__") else f"mask {position}"
        if (size := image_size(self.sources[position])) != numbers.shape[:2]:
            raise KerasVisionError(
                f"{name}: a mask of {numbers.shape[:2]} pixels for an image of {size} (height, width); they must agree."
            )
        lookup = class_lookup(len(self.class_names), self.void) if self.lookup is None else self.lookup
        try:
            return look_up(numbers if self.palette is None else colour_indices(numbers, self.palette), lookup)
        except KerasVisionError as error:
            raise KerasVisionError(f"{name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class BoxedImages(_Sourced):
    """Images with labelled boxes.

    Attributes:
        sources: the images.
        annotations: one for each image: whatever `decode` takes.
        class_names: name of each class.
        decode: `annotations[i]` to boxes `(k, 4)` as x0, y0, x1, y1 in pixels, and their classes `(k,)`.
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    annotations: Sequence[Any]
    class_names: tuple[str, ...]
    decode: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    skipped: Skipped = ()

    def boxes(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes `(k, 4)`, float32: x0, y0, x1, y1 in pixels from the upper left corner; and their classes `(k,)`.

        Raises:
            KerasVisionError: damaged, or with classes out of range.
        """
        boxes, labels = self.decode(self.annotations[position])
        boxes, labels = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels, np.int64)
        if len(boxes) != len(labels) or not np.isfinite(boxes).all():
            raise KerasVisionError(
                f"{self.sources[position]}: {len(boxes)} boxes and {len(labels)} labels, or not finite."
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.class_names):
            raise KerasVisionError(
                f"{self.sources[position]}: classes {labels.tolist()}; expected 0 to {len(self.class_names) - 1}."
            )
        return boxes, labels


@dataclasses.dataclass(frozen=True)
class MultiLabelImages(_Sourced):
    """Images with any number of classes each.

    Attributes:
        sources: the images.
        labels: 1 where the image has the class, else 0; uint8 `(n, classes)`.
        class_names: name of each class.
        ignored: True where the published evaluation does not count (VOC: only difficult objects), or None.
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    labels: np.ndarray
    class_names: tuple[str, ...]
    ignored: np.ndarray | None = None
    skipped: Skipped = ()


@dataclasses.dataclass(frozen=True)
class CaptionedImages(_Sourced):
    """Images with sentences that describe them.

    Attributes:
        sources: the images.
        captions: the sentences of each, as published (neither lower-cased nor split into words).
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    captions: tuple[tuple[str, ...], ...]
    skipped: Skipped = ()


@dataclasses.dataclass(frozen=True)
class EdgeImages(_Sourced):
    """Images with the boundaries, and the regions, that several people drew.

    Attributes:
        sources: the images.
        annotations: one for each image: whatever `decode` takes.
        decode: `annotations[i]` to boundaries and regions, each `(people, h, w)`.
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    annotations: Sequence[Any]
    decode: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    skipped: Skipped = ()

    def boundaries(self, position: int) -> np.ndarray:
        """1 on a boundary, else 0, by each person: uint8 `(people, h, w)`.

        Raises:
            KerasVisionError: damaged, or of another size than the image.
        """
        return self._checked(position, 0)

    def segmentations(self, position: int) -> np.ndarray:
        """Number of the region of each pixel, from 1, by each person: uint16 `(people, h, w)`.

        Raises:
            KerasVisionError: damaged, or of another size than the image.
        """
        return self._checked(position, 1)

    def _checked(self, position: int, which: int) -> np.ndarray:
        maps = self.decode(self.annotations[position])[which]
        if (size := image_size(self.sources[position])) != maps.shape[1:]:
            raise KerasVisionError(
                f"{self.annotations[position]}: maps of {maps.shape[1:]} pixels for an image of {size} (height, width)."
            )
        return maps
