"""Where in an image the evidence for a class lies: Grad-CAM and occlusion."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.ops.gradient import gradient
from keras_vision.visualization.gradients import checked_images, chosen_classes, score_model, tap

_BATCH = 64  # occluded images that are computed at a time


def grad_cam(model: keras.Model, images: Any, classes: Any = None, layer: str | None = None) -> np.ndarray:
    """``relu(sum_k a_k A_k)`` for the maps A of a layer, where a_k is the mean gradient of the class's score by A_k.

    Args:
        model: functional; of several outputs the first counts. A softmax or sigmoid at its end is left out.
        images: `(n, h, w, c)`, preprocessed.
        classes: number of a class for each image `(n,)`, or one for all; None for the one of the highest score.
        layer: whose maps; None for the last map `(n, h', w', k)` of more than one cell.

    Returns:
        `(n, h, w)` float32 from 0 up, bilinearly resized to the images.

    Raises:
        KerasVisionError: images that do not fit, a class that there is not, no such layer, or one that has no maps or
            that the scores are not computed from alone.

    Source: Selvaraju et al. (2016), Equations 1 and 2.
    """
    images = checked_images(model, images)
    scores = score_model(model)
    chosen = chosen_classes(scores, images, classes)
    maps = tap(scores, layer or _last_map(scores))
    if len(maps.shape) != 4:
        raise KerasVisionError(f"layer {layer!r} gives {maps.shape}, no maps (n, h, w, k).")
    features = keras.Model(scores.input, maps)(images, training=False)
    try:
        head = keras.Model(maps, scores.output)
    except ValueError as error:
        raise KerasVisionError(
            f"the scores of {model.name} are not computed from the maps of {layer!r} alone; give the layer in which "
            "the ways come together."
        ) from error
    slopes = gradient(lambda x: ops.sum(ops.multiply(head(x, training=False), chosen)), features)
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    heat = np.maximum((weights * ops.convert_to_numpy(features)).sum(axis=3, keepdims=True), 0)
    return ops.convert_to_numpy(ops.image.resize(heat, images.shape[1:3], interpolation="bilinear"))[..., 0]


def occlusion(
    model: keras.Model, images: Any, classes: Any = None, *, window: int = 32, stride: int = 16, fill: float = 0.0
) -> np.ndarray:
    """The first output for each image's class while a square hides a part of it, for all places of the square.

    Args:
        model: functional; of several outputs the first counts, as it is: probabilities, if it ends in a softmax.
        images: `(n, h, w, c)`, preprocessed.
        classes: number of a class for each image `(n,)`, or one for all; None for the one of the highest score.
        window: side of the square, in pixels.
        stride: from one place to the next, in pixels.
        fill: value of what is hidden; after preprocessing, 0 is the mean colour.

    Returns:
        `(n, rows, columns)` float32: cell (i, j) with the square's top left corner at `(i * stride, j * stride)`. The
        evidence for the class is where they are low; `occlusion_picture` draws them.

    Raises:
        KerasVisionError: images that do not fit, a class that there is not, or a square below 1 pixel, larger than the
            image or moved by less than 1.

    Source: Zeiler & Fergus (2013), section 4.2.
    """
    images = checked_images(model, images)
    height, width = images.shape[1:3]
    if not 1 <= window <= min(height, width) or stride < 1 or not np.isfinite(fill):
        raise KerasVisionError(
            f"window={window}, stride={stride}, fill={fill}; give a square of 1 to {min(height, width)} pixels, a "
            "stride from 1, and a finite value."
        )
    source = keras.Model(model.input, keras.tree.flatten(model.outputs)[0])
    chosen = chosen_classes(source, images, classes).argmax(axis=1)
    rows, columns = (range(0, side - window + 1, stride) for side in (height, width))
    places = [(top, left) for top in rows for left in columns]
    found = np.empty((len(images), len(places)), np.float32)
    for number, image in enumerate(images):
        for start in range(0, len(places), _BATCH):
            hidden = np.repeat(image[None], len(places[start : start + _BATCH]), axis=0)
            for copy, (top, left) in zip(hidden, places[start : start + _BATCH], strict=True):
                copy[top : top + window, left : left + window] = fill
            outputs = ops.convert_to_numpy(source(hidden, training=False))
            found[number, start : start + len(hidden)] = outputs[:, chosen[number]]
    return found.reshape(len(images), len(rows), len(columns))


def _last_map(model: keras.Model) -> str:
    names = [
        layer.name
        for layer in model.layers
        if len(getattr(graph.call_of(layer)[1], "shape", ())) == 4 and graph.call_of(layer)[1].shape[1:3] != (1, 1)
    ]
    if len(names) < 2:  # the input alone
        raise KerasVisionError(f"{model.name} has no maps (n, h, w, k).")
    return names[-1]
