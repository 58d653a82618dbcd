"""Classifiers turned into networks for images of any size: dense layers become convolutions with the same weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel

_POOLINGS = {
    layers.GlobalAveragePooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling2D: layers.MaxPooling2D,
}


def fully_convolutional(model: keras.Model) -> keras.Model:
    """The classifier slid over an image: `(n, h, w, c)` of any size to logits `(n, h', w', classes)`.

    The first dense layer after a flattened `(h, w, c)` map becomes a convolution of that size without padding, the
    others become 1x1 convolutions, and a global pooling becomes one over the map's size at the model's own input,
    with stride 1. An image of that size gives one cell: the classifier's logits. Layer names stay; weights are copied;
    of several outputs the first is taken. A global pooling that gates a feature map, as in squeeze-and-excitation,
    stays global.

    Raises:
        KerasVisionError: the model has an open input size, gives no classes, or classifies a spatial pyramid.

    Source: VGG (Simonyan & Zisserman, 2014), section 3.2; FCN (Long et al., 2015), section 3.1.
    """
    if None in model.input_shape[1:] or len(model.input_shape) != 4:
        raise KerasVisionError(f"{model.name} takes {model.input_shape}; build it with a fixed input size first.")
    output = keras.tree.flatten(model.outputs)[0]
    if len(output.shape) != 2:
        raise KerasVisionError(f"{model.name} gives {output.shape}, not (n, classes); build it with its classifier.")
    source = keras.Model(model.input, output)
    head = _head(source)
    last = _logits_layer(output)
    image = keras.Input((None, None, model.input_shape[-1]), name="image")

    def clone(layer: Any) -> Any:
        return _convolutional(layer, layer is last) if id(layer) in head else _copy(layer, layer is last)

    cloned = graph.cloned(source, input_tensors=image, clone_function=clone)
    for layer in source.layers:
        if layer.weights:
            twin = cloned.get_layer(layer.name)
            twin.set_weights([np.reshape(w, v.shape) for w, v in zip(layer.get_weights(), twin.weights, strict=True)])
    result = VisionModel(cloned.input, cloned.output, name=model.name)
    return _with_card(result, model)


def _with_card(result: VisionModel, model: keras.Model) -> keras.Model:
    if not isinstance(model, VisionModel):
        return result
    shape = (None, None, model.input_shape[-1])
    card = dataclasses.replace(model.card, input_shape=shape, output="logit", multiply_adds=None)
    return result.with_card(card)


def _head(model: keras.Model) -> set[int]:
    """Ids of the operations on vectors from which no path leads back to a feature map."""
    head: set[int] = set()
    users: dict[int, list[int]] = {}
    for operation in reversed(model.operations):
        vector = len(getattr(operation.output, "shape", ())) == 2
        if vector and all(user in head for user in users.get(id(operation.output), [])):
            head.add(id(operation))
        if not isinstance(operation, layers.InputLayer):
            for tensor in keras.tree.flatten(operation.input):
                users.setdefault(id(tensor), []).append(id(operation))
    return head


def _logits_layer(output: Any) -> Any:
    """The layer whose activation turns logits into the output."""
    layer = output._keras_history.operation
    return layer if hasattr(layer, "activation") else None


def _convolutional(layer: Any, last: bool) -> Any:
    config = layer.get_config()
    common = {"name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, layers.Flatten):
        return layers.Identity(**common)
    if type(layer) in _POOLINGS:
        return _POOLINGS[type(layer)](layer.input.shape[1:3], 1, **common)
    if isinstance(layer, layers.Dense):
        activation = "linear" if last else config["activation"]
        kernel = _flattened_size(layer.input)
        return layers.Conv2D(layer.units, kernel, activation=activation, use_bias=layer.use_bias, **common)
    return _copy(layer, last)


def _copy(layer: Any, last: bool) -> Any:
    config = layer.get_config()
    if last:
        config["activation"] = "linear"
    return layer.__class__.from_config(config)


def _flattened_size(vector: Any) -> tuple[int, int]:
    """Height and width of the map that a vector is, or (1, 1) if a pooling or dense layer lies between."""
    for operation in graph.ancestors(vector):
        if isinstance(operation, layers.Flatten):
            if len(operation.input.shape) != 4:
                raise KerasVisionError(f"{operation.name} flattens a pyramid of bins, not a map: it cannot slide.")
            return tuple(operation.input.shape[1:3])
        if isinstance(operation, layers.Dense) or type(operation) in _POOLINGS:
            break
    return 1, 1
