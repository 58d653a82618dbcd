"""Colours of classes: PASCAL VOC's for any number of them, and SegNet's of CamVid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_vision.errors import KerasVisionError

# SegNet's colours of `readers.camvid.CAMVID_CLASSES` in their order, and of void, the last.
CAMVID_PALETTE = np.array(
    [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0), (192, 128, 128),
        (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
    ],
    np.uint8,
)  # fmt: skip
CAMVID_PALETTE.flags.writeable = False


def voc_palette(classes: int = 256) -> np.ndarray:
    """PASCAL VOC's colours of labels, uint8 `(classes, 3)`: black for 0, the background; (224, 224, 192) for 255, void.

    Raises:
        KerasVisionError: fewer than 1 or more than 256 classes.

    Source: `VOClabelcolormap` of the challenge's development kit (Everingham & Winn).
    """
    if not 1 <= classes <= 256:
        raise KerasVisionError(f"a palette of {classes} colours; a palette image has 1 to 256.")
    index = np.arange(classes)
    table = np.zeros((classes, 3), np.uint8)
    for bit in range(8):  # bits 0, 1, 2 of every three go to the highest free bit of red, green, blue
        for channel in range(3):
            table[:, channel] |= ((index >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return table


def class_palette(labels: Sequence[str] | None) -> np.ndarray:
    """Colours of classes by their names: CamVid's if these are its classes, else PASCAL VOC's."""
    from keras_vision.data.readers.camvid import CAMVID_CLASSES  # which needs this module

    is_camvid = labels is not None and tuple(labels[: len(CAMVID_CLASSES)]) == CAMVID_CLASSES
    return CAMVID_PALETTE if is_camvid and len(labels or ()) <= len(CAMVID_PALETTE) else voc_palette()


def checked_palette(palette: object) -> np.ndarray:
    """A palette as uint8 `(k, 3)`.

    Raises:
        KerasVisionError: another shape, such as `(k, 4)` with alpha; numbers that are no integers from 0 to 255; or
            more than 256 colours.
    """
    table = np.asarray(palette)
    if table.ndim == 2 and table.shape[1] == 4:
        raise KerasVisionError(
            f"a palette {table.shape} with alpha; masks have none: give palette[:, :3] (k, 3), and set the strength "
            "of an overlay by its own alpha."
        )
    if table.ndim != 2 or table.shape[1] != 3 or not 1 <= len(table) <= 256:
        raise KerasVisionError(f"a palette {table.shape}; give 1 to 256 colours (k, 3).")
    if not np.issubdtype(table.dtype, np.integer) or table.min() < 0 or table.max() > 255:
        raise KerasVisionError(f"a palette of {table.dtype} from {table.min()} to {table.max()}; give integers 0-255.")
    return table.astype(np.uint8)


def checked_labels(labels: object, colours: int) -> np.ndarray:
    """A class map as uint8 `(h, w)`, each label with a colour.

    Raises:
        KerasVisionError: another shape, no integers, or labels that are negative or not below `colours`.
    """
    numbers = np.asarray(labels)
    if numbers.ndim != 2 or not numbers.size or not np.issubdtype(numbers.dtype, np.integer):
        raise KerasVisionError(f"labels {numbers.dtype} {numbers.shape}; give one integer per pixel (h, w).")
    wrong = (numbers < 0) | (numbers >= colours)
    if wrong.any():
        found = ", ".join(map(str, np.unique(numbers[wrong])[:5]))
        raise KerasVisionError(
            f"labels {found} at {wrong.sum()} pixels, with {colours} colours: 0 to {colours - 1}; give a longer "
            "palette (voc_palette() has all 256, void 255 among them), or other labels."
        )
    return numbers.astype(np.uint8)
