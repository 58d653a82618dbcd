"""Boxes: corners in pixels of an image, and what a network predicts of its window."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError


def checked_boxes(boxes: Any) -> np.ndarray:
    """Boxes `(n, 4)` as float64 corners (left, top, right, bottom); an empty sequence becomes `(0, 4)`.

    Raises:
        KerasVisionError: another shape, values that are not finite, or corners that are exchanged.
    """
    array = np.asarray(boxes, np.float64)
    if not array.size:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise KerasVisionError(f"boxes of shape {array.shape}; give (n, 4): left, top, right, bottom of each.")
    if not np.isfinite(array).all() or (array[:, 2:] < array[:, :2]).any():
        raise KerasVisionError("a box is not finite or ends before it begins; give left, top, right, bottom.")
    return array


def iou(boxes: Any, others: Any) -> np.ndarray:
    """Intersection over union of each of `boxes` `(n, 4)` with each of `others` `(m, 4)`: `(n, m)`, 0 to 1.

    Boxes are (left, top, right, bottom) in any unit. Without any area, both the intersection and the result are 0.

    Raises:
        KerasVisionError: boxes that are not `(n, 4)` finite corners.
    """
    first, second = checked_boxes(boxes)[:, None], checked_boxes(others)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    intersection = np.maximum(sides, 0).prod(axis=-1)
    union = _area(first) + _area(second) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def encode_boxes(boxes: Any, windows: Any) -> np.ndarray:
    """What a network has to predict of its window: (centre x, centre y, width, height) in fractions of the window.

    Args:
        boxes: `(n, 4)`, (left, top, right, bottom) in pixels of the image.
        windows: `(n, 4)`, the part of the image that the network sees, likewise; or `(4,)`, one for all.

    Returns:
        `(n, 4)` float32. A box that sticks out of the window keeps its full size.

    Raises:
        KerasVisionError: another shape, boxes that are not finite corners, or a window without area.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1.
    """
    boxes = checked_boxes(boxes)
    start, size = _start_and_size(windows)
    if np.ndim(windows) != 1 and np.shape(windows) != boxes.shape:
        raise KerasVisionError(f"{len(boxes)} boxes and windows of shape {np.shape(windows)}; give a window for each.")
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([(centre - start) / size, (boxes[:, 2:] - boxes[:, :2]) / size], axis=1).astype(np.float32)


def decode_boxes(outputs: Any, windows: Any) -> np.ndarray:
    """The inverse of `encode_boxes`: predictions `(..., 4)` to corners `(..., 4)` in pixels of the image.

    Args:
        outputs: (centre x, centre y, width, height) in fractions of the window; a negative size counts as 0.
        windows: (left, top, right, bottom) in pixels, of a shape that broadcasts with `outputs`.

    Raises:
        KerasVisionError: the last axis is not 4, a window has no area, or a prediction is not finite.
    """
    outputs = np.asarray(outputs, np.float64)
    if outputs.shape[-1:] != (4,) or not np.isfinite(outputs).all():
        raise KerasVisionError(f"predictions of shape {outputs.shape}; give finite ones of shape (..., 4).")
    start, size = _start_and_size(windows)
    centre, half = start + outputs[..., :2] * size, np.maximum(outputs[..., 2:], 0) * size / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def clip_boxes(boxes: np.ndarray, height: float, width: float) -> np.ndarray:
    """The part of each box `(..., 4)` that lies in a `height` x `width` image; one outside shrinks to the border."""
    return np.clip(boxes, 0, [width, height, width, height])


def _start_and_size(windows: Any) -> tuple[np.ndarray, np.ndarray]:
    windows = np.asarray(windows, np.float64)
    if windows.shape[-1:] != (4,) or not (windows[..., 2:] > windows[..., :2]).all():
        raise KerasVisionError(f"windows of shape {windows.shape}; give left, top, right, bottom, with an area.")
    return windows[..., :2], windows[..., 2:] - windows[..., :2]


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
