"""A network with spatial pyramid pooling over many windows of an image: the convolutions are computed once.

Source: SPP-net (He et al., 2014), sections 3.1.5 (views) and 4.1 (windows), and Appendix A (from windows to cells).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D
from keras_vision.localisation.boxes import checked_boxes
from keras_vision.localisation.window_pooling import pool_windows
from keras_vision.model import VisionModel
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.preprocessing import resized_size

SCALES = (224, 256, 300, 360, 448, 560)  # section 3.1.5
_BATCH = 256  # windows that the dense layers take at a time


class PyramidWindows:
    """A network's convolutions over whole images, and its pyramid and dense layers over windows of them.

    Args:
        model: functional, with one `SpatialPyramidPooling2D` through which its first output is computed; its weights
            are copied.

    Attributes:
        bins, mode: of the pooling.
        length: numbers in the pyramid of a window.

    Raises:
        KerasVisionError: no such layer, or several.
    """

    def __init__(self, model: keras.Model):
        pools = [layer for layer in model.layers if isinstance(layer, SpatialPyramidPooling2D)]
        if len(pools) != 1 or len(model.inputs) != 1:
            raise KerasVisionError(
                f"{model.name} has {len(pools)} layers of SpatialPyramidPooling2D; give a network of one input and one."
            )
        pool = pools[0]
        self.model, self.bins, self.mode = model, pool.bins, pool.mode
        source = keras.Model(model.input, keras.tree.flatten(model.outputs)[0])
        copy = graph.cloned(source)
        copy.set_weights(source.get_weights())
        twin = copy.get_layer(pool.name)
        self._head = keras.Model(graph.call_of(twin)[1], copy.output)
        self.length = int(np.prod(graph.call_of(pool)[1].shape[1:]))
        trunk = keras.Model(model.input, graph.call_of(pool)[0][0])
        image = keras.Input((None, None, model.inputs[0].shape[-1]), name="image")
        self._trunk = graph.cloned(trunk, input_tensors=image)
        self._trunk.set_weights(trunk.get_weights())
        *_, (_, self._axes) = graph.feature_maps(self._trunk)
        self._least = graph.minimum_size(self._trunk)
        for part in (self._head, self._trunk):
            part.jit_compile = False  # XLA would compile anew for each size of image

    def features(self, images: Any) -> np.ndarray:
        """Maps of whole images of any size, preprocessed: `(n, h, w, c) -> (n, h', w', channels)`.

        Raises:
            KerasVisionError: images from which the convolutions leave no cell.
        """
        images = np.asarray(images, np.float32)
        graph.check_size(self.model.name, images.shape[1:3], self._least)
        return np.asarray(self._trunk.predict_on_batch(images))

    def cells(self, boxes: Any, size: tuple[int, int], map_size: tuple[int, int]) -> np.ndarray:
        """The cells whose centres lie within each box, or else the nearest cell; `(n, 4)` for `pool_windows`.

        A cell's centre is that of the pixels it sees. Where it is at ``stride * i``, as the paper has it, this is
        Appendix A: from ``floor(x / stride) + 1`` to ``ceil(x / stride) - 1``.

        Args:
            boxes: (left, top, right, bottom) in pixels, `(n, 4)`.
            size, map_size: (height, width) of the image and of its map.

        Raises:
            KerasVisionError: boxes that are empty, not finite, or reach beyond the image.
        """
        corners = checked_boxes(boxes)
        beyond = (corners[:, :2] < 0).any(axis=1) | (corners[:, 2:] > (size[1], size[0])).any(axis=1)
        empty = (corners[:, 2:] <= corners[:, :2]).any(axis=1)
        if wrong := np.flatnonzero(beyond | empty).tolist():
            raise KerasVisionError(
                f"box {wrong[0]}, {corners[wrong[0]].tolist()}, is empty or reaches beyond the image of {size[1]} x "
                f"{size[0]} pixels; give left, top, right, bottom within it."
            )
        found = np.empty((len(corners), 4), np.int64)
        for position, (axis, count) in enumerate(zip(self._axes, map_size, strict=True)):
            low, high = corners[:, 1 - position], corners[:, 3 - position]
            centre = (axis.first + axis.last + 1) / 2  # of cell 0, counted from the image's edge
            first = np.floor((low - centre) / axis.stride).astype(int) + 1
            last = np.ceil((high - centre) / axis.stride).astype(int) - 1
            nearest = np.rint(((low + high) / 2 - centre) / axis.stride).astype(int)
            first, last = (np.where(last < first, nearest, edge).clip(0, count - 1) for edge in (first, last))
            found[:, position], found[:, position + 2] = first, last + 1
        return found

    def pooled(self, image: Any, boxes: Any) -> np.ndarray:
        """Pyramids of the boxes of one image `(h, w, c)`, preprocessed: `(n, bins, channels)`."""
        image = np.asarray(image, np.float32)
        if image.ndim != 3:
            raise KerasVisionError(f"an image of shape {image.shape}; give one, (h, w, c).")
        features = self.features(image[None])[0]
        return pool_windows(features, self.cells(boxes, image.shape[:2], features.shape[:2]), self.bins, self.mode)

    def scores(self, image: Any, boxes: Any) -> np.ndarray:
        """The network's first output for each box of one image `(h, w, c)`, preprocessed: `(n, classes)`."""
        pooled = self.pooled(image, boxes)
        if not len(pooled):
            return np.zeros((0, *self._head.output_shape[1:]), np.float32)
        parts = [pooled[start : start + _BATCH] for start in range(0, len(pooled), _BATCH)]
        return np.concatenate([np.asarray(self._head.predict_on_batch(part)) for part in parts])


def views_of(height: int, width: int, window: tuple[int, int]) -> np.ndarray:
    """The middle, the corners and the middles of the sides, as boxes `(n, 4)`; those that coincide only once."""
    tops, lefts = ({0, (side - own) // 2, side - own} for side, own in zip((height, width), window, strict=True))
    boxes = [(left, top, left + window[1], top + window[0]) for top in sorted(tops) for left in sorted(lefts)]
    return np.array(boxes, np.float64)


def multi_view(
    model: VisionModel, images: Sequence[Source], scales: Sequence[int] = SCALES, mirror: bool = True
) -> np.ndarray:
    """Scores of images, averaged over views that are pooled from the maps of the whole image at several scales.

    At each scale, where the shorter side has that length, the nine views of the network's own size, and their mirror
    images: 96 with the paper's six scales, which compute the convolutions twelve times.

    Args:
        model: with a card, a fixed input size and one `SpatialPyramidPooling2D`.
        images: paths, encoded bytes, Pillow images or uint8 arrays.
        scales: lengths of the shorter side, in pixels.
        mirror: also the images with left and right exchanged.

    Returns:
        `(n, classes)`: means of the network's first output.

    Raises:
        KerasVisionError: a scale below the network's input, or none; and see `PyramidWindows`.
        ImageError: an image cannot be decoded.
    """
    spec, network = model.preprocessing, PyramidWindows(model)
    if not scales or min(scales) < max(spec.size):
        raise KerasVisionError(f"scales={tuple(scales)}; the network takes {spec.size}: give some of at least that.")
    rows = []
    for source in images:
        image = open_image(source).convert("L" if spec.color == "L" else "RGB")
        scores = []
        for scale in scales:
            height, width = resized_size(image.height, image.width, scale)
            pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
            x = spec.normalize(pixels.reshape(height, width, spec.channels))
            boxes = views_of(height, width, spec.size)
            scores += [network.scores(way, boxes) for way in ((x, x[:, ::-1]) if mirror else (x,))]
        rows.append(np.concatenate(scores).mean(axis=0))
    return np.stack(rows) if rows else np.zeros((0, keras.tree.flatten(model.outputs)[0].shape[-1]), np.float32)
