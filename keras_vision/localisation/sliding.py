"""Box regressors and classifiers on photographs: one central crop, or the whole image at several scales."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image
from scipy.special import softmax

from keras_vision import graph
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.fully_convolutional import fully_convolutional
from keras_vision.localisation.boxes import clip_boxes, decode_boxes
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image
from keras_vision.runtime.preprocessing import resized_size

MAX_PIXELS = 1 << 22  # of a resized image: the first maps of VGG then take 1 GB
_BATCH = 32  # crops per call


class SlidingNetwork:
    """A classifier or box regressor made ready to be applied densely, so that many images share the preparation.

    Cell `(r, c)` of its output sees the window of the native size at `(r * stride, c * stride)` of the resized image.

    Attributes:
        name: of the model.
        size: (height, width) of a window, in pixels of the resized image.
        stride: (vertical, horizontal) distance between windows, in the same pixels.
        outputs: number of outputs of a cell: classes, or box coordinates.

    Raises:
        KerasVisionError: the model has no card, which says how to prepare images, or an open input size.

    Source: VGG (Simonyan & Zisserman, 2014), section 3.2.
    """

    def __init__(self, model: VisionModel):
        _check_card(model)
        self._dense = fully_convolutional(model)
        self._preprocessing = model.preprocessing
        self.name, self.size = model.name, model.input_shape[1:3]
        axes = next(axes for layer, axes in graph.feature_maps(self._dense) if layer.output is self._dense.output)
        self.stride = axes[0].stride, axes[1].stride
        self.outputs = self._dense.output_shape[-1]

    def posteriors(self, image: Any, scale: int) -> np.ndarray:
        """Class probabilities of every window, row by row: `(windows, classes)`; arguments as for `boxes`."""
        return softmax(self._run(open_image(image), scale).reshape(-1, self.outputs), axis=1)

    def boxes(self, image: Any, scale: int) -> np.ndarray:
        """Predicted boxes of every window, row by row: `(windows, k, 4)`, k = 1 or the number of classes.

        Args:
            image: a path, the encoded bytes, a Pillow image, or uint8 pixels `(h, w, 3)`.
            scale: length that the shorter side is resized to, in pixels (Q in the paper).

        Returns:
            (left, top, right, bottom) in pixels of the image as given, clipped to it.

        Raises:
            KerasVisionError: the scale is below the native size.
            ImageError: the image cannot be decoded, or the resized one would exceed 2^22 pixels.
        """
        image = open_image(image)
        outputs = self._run(image, scale)
        rows, columns, _ = outputs.shape
        height, width = resized_size(image.height, image.width, scale)
        top, left = (axis.ravel() for axis in np.mgrid[:rows, :columns] * np.reshape(self.stride, (2, 1, 1)))
        windows = np.stack([left, top, left + self.size[1], top + self.size[0]], axis=1)
        pixels = np.array([image.width / width, image.height / height] * 2)
        outputs = outputs.reshape(rows * columns, box_sets(self.name, self.outputs), 4)
        found = decode_boxes(outputs, (windows * pixels)[:, None])
        return clip_boxes(found, image.height, image.width)

    def _run(self, image: Image.Image, scale: int) -> np.ndarray:
        """The map of outputs `(rows, columns, outputs)` of the whole image."""
        if scale < max(self.size):
            raise KerasVisionError(f"scale={scale}; {self.name} takes {self.size}: give at least {max(self.size)}.")
        size = resized_size(image.height, image.width, scale)
        if size[0] * size[1] > MAX_PIXELS:
            raise ImageError("image", f"{size[1]} x {size[0]} pixels after resizing, more than {MAX_PIXELS}")
        spec = dataclasses.replace(self._preprocessing, size=size, resize_shorter=None)
        return keras.ops.convert_to_numpy(self._dense(spec(image)[None], training=False))[0]


def centre_crop_box(regressor: VisionModel, images: Iterable[Any], classes: Sequence[int] | None = None) -> np.ndarray:
    """One box per image from its central crop alone, for a given class: the protocol of the paper's Table 8.

    The crop is that of the model's own preprocessing.

    Args:
        regressor: what `box_regressor` returns.
        images: paths, encoded bytes, Pillow images, or uint8 pixels `(h, w, 3)`.
        classes: the class of each image, as an index; a single-class regressor needs none.

    Returns:
        `(n, 4)`, (left, top, right, bottom) in pixels of each image, clipped to it.

    Raises:
        KerasVisionError: the model is no regressor, or there is not one class in range for each image.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1 and Table 8.
    """
    _check_card(regressor)
    sources, k = list(images), box_sets(regressor.name, regressor.output_shape[-1])
    index = np.zeros(len(sources), int) if k == 1 else np.asarray([] if classes is None else classes)
    if index.shape != (len(sources),) or not np.isin(index, range(k)).all():
        raise KerasVisionError(
            f"classes of shape {index.shape} for {len(sources)} images; "
            f"{regressor.name} needs an index from 0 to {k - 1} for each."
        )
    boxes = np.empty((len(sources), 4))
    for start in range(0, len(sources), _BATCH):
        batch = slice(start, start + _BATCH)
        found = _centre_boxes(regressor, sources[batch], k)
        boxes[batch] = found[np.arange(len(found)), index[batch].astype(int)]
    return boxes


def dense_boxes(
    regressor: VisionModel | SlidingNetwork, classifier: VisionModel | SlidingNetwork, image: Any, scales: Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and class posteriors of every window of an image, at all scales together.

    Args:
        regressor, classifier: of one input size and stride; a `SlidingNetwork` of each saves work for many images.
        image: a path, the encoded bytes, a Pillow image, or uint8 pixels `(h, w, 3)`.
        scales: lengths that the shorter side is resized to, in pixels (Q in the paper).

    Returns:
        Boxes `(windows, k, 4)`, (left, top, right, bottom) in pixels of the image, clipped to it, with k = 1 or the
        number of classes; posteriors `(windows, classes)`.

    Raises:
        KerasVisionError: the networks do not go together, or a scale is below their native size.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1.
    """
    networks = slide(regressor), slide(classifier)
    check_together(networks[:1], networks[1:])
    image, scales = open_image(image), tuple(scales)
    if not scales:
        raise KerasVisionError("there are no scales; give lengths of the shorter side in pixels.")
    boxes, posteriors = (
        [call(image, scale) for scale in scales] for call in (networks[0].boxes, networks[1].posteriors)
    )
    return np.concatenate(boxes), np.concatenate(posteriors)


def slide(model: VisionModel | SlidingNetwork) -> SlidingNetwork:
    """The model, made ready unless it is already."""
    return model if isinstance(model, SlidingNetwork) else SlidingNetwork(model)


def check_together(regressors: Sequence[SlidingNetwork], classifiers: Sequence[SlidingNetwork]) -> None:
    """Raises unless all networks see the same windows and know the same classes."""
    if not regressors or not classifiers:
        raise KerasVisionError("there is no regressor or no classifier; give at least one of each.")
    networks = (*regressors, *classifiers)
    windows = {network.name: (network.size, network.stride) for network in networks}
    if len(set(windows.values())) > 1:
        raise KerasVisionError(f"the networks see different windows (size, stride): {windows}.")
    classes = {network.outputs for network in classifiers}
    classes |= {box_sets(network.name, network.outputs) for network in regressors} - {1}
    if len(classes) > 1:
        counts = {network.name: network.outputs for network in networks}
        raise KerasVisionError(f"the networks have different numbers of classes {sorted(classes)}; outputs: {counts}.")


def box_sets(name: str, outputs: int) -> int:
    """Number of boxes among a regressor's outputs: 1, or the number of classes."""
    if outputs % 4:
        raise KerasVisionError(f"{name} has {outputs} outputs, not 4 or 4 x classes; use box_regressor to make it.")
    return outputs // 4


def _centre_boxes(regressor: VisionModel, sources: Sequence[Any], k: int) -> np.ndarray:
    """Boxes `(n, k, 4)` of a batch."""
    images = [open_image(source) for source in sources]
    sizes = np.array([(image.height, image.width) for image in images])
    inputs = np.stack([regressor.preprocessing(image) for image in images])
    outputs = keras.ops.convert_to_numpy(regressor(inputs, training=False))
    windows = np.array([regressor.preprocessing.source_box(*size) for size in sizes])
    found = decode_boxes(outputs.reshape(len(images), k, 4), windows[:, None])
    return np.stack([clip_boxes(boxes, *size) for boxes, size in zip(found, sizes, strict=True)])


def _check_card(model: keras.Model) -> None:
    if not isinstance(model, VisionModel):
        raise KerasVisionError(
            f"{type(model).__name__} {getattr(model, 'name', '')!r} has no model card, which says how to prepare its "
            "images; use VisionModel(inputs, outputs, card=base.card) in place of keras.Model."
        )
