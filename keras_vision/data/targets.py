"""What a network is to say about an image: class, classes, sentences, mask or boundaries, by position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.annotated_images import CaptionedImages, EdgeImages, MultiLabelImages, SegmentedImages
from keras_vision.data.augment.window import Window, show, show_mask
from keras_vision.data.labelled_images import LabelledImages
from keras_vision.errors import KerasVisionError

NOWHERE = -1  # label of what lies outside the image, where a data set has no void
Chosen = Callable[[Any], Window]  # size of the upright image, int32 (2,), to the window that is shown
Target = Callable[[Any, Chosen], Any]  # position, int64 ()


def target_of(images: Any, size: tuple[int, int]) -> Target:
    """The targets of a data set; masks and boundaries are shown through the image's window, at `size`.

    Of `LabelledImages` the class, int64 `()`; of `MultiLabelImages` uint8 `(classes,)`; of `CaptionedImages` all
    sentences, strings `(k,)`, empty ones at the end where an image has fewer than others; of `SegmentedImages` int32
    `size`, `void` outside the image (-1 if there is none); of `EdgeImages` the share of people who drew a boundary,
    float32 `size`.

    Raises:
        KerasVisionError: another type, targets that are not as many as images, or classes out of range.
    """
    if isinstance(images, LabelledImages):
        return _constant(images, _checked(images))
    if isinstance(images, MultiLabelImages):
        return _constant(images, images.labels)
    if isinstance(images, CaptionedImages):
        most = max(map(len, images.captions), default=0)
        return _constant(images, np.array([(*c, *[""] * (most - len(c))) for c in images.captions], object))
    if isinstance(images, SegmentedImages):
        return _mask(images, size)
    if isinstance(images, EdgeImages):
        return _boundaries(images, size)
    raise KerasVisionError(
        f"images of type {type(images).__name__}; accepted: LabelledImages, MultiLabelImages, CaptionedImages, "
        "SegmentedImages, EdgeImages."
    )


def _checked(images: LabelledImages) -> np.ndarray:
    labels, classes = np.asarray(images.labels, np.int64), len(images.class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise KerasVisionError(
            f"label {labels[wrong[0]]} of image {wrong[0]} and of {wrong.size - 1} more; expected 0 to {classes - 1}, "
            f"as there are {classes} class names."
        )
    return labels


def _constant(images: Any, values: np.ndarray) -> Target:
    if len(values) != len(images.sources):
        raise KerasVisionError(f"{len(values)} labels for {len(images.sources)} images; give one for each.")
    tensor = tf.constant(values.tolist() if values.dtype == object else values)
    return lambda position, chosen: tf.gather(tensor, position)


def _mask(images: SegmentedImages, size: tuple[int, int]) -> Target:
    void = NOWHERE if images.void is None else images.void

    def target(position: Any, chosen: Chosen) -> Any:
        mask = tf.numpy_function(lambda i: images.mask(i).astype(np.int32), [position], tf.int32)
        mask = tf.ensure_shape(mask, [None, None])
        return tf.ensure_shape(show_mask(mask, chosen(tf.shape(mask)), size, void), size)

    return target


def _boundaries(images: EdgeImages, size: tuple[int, int]) -> Target:
    def target(position: Any, chosen: Chosen) -> Any:
        drawn = tf.numpy_function(lambda i: images.boundaries(i).mean(0, dtype=np.float32), [position], tf.float32)
        drawn = tf.ensure_shape(drawn, [None, None])
        return tf.ensure_shape(show(drawn[..., None], chosen(tf.shape(drawn)), size)[..., 0], size)

    return target
