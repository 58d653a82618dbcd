"""The part of a network that describes an image: its penultimate layer, or a tap, as one vector."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from typing import Any

import numpy as np
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel

POOLINGS = ("avg", "max", "none")
# Between the last features and the classifier: they change no feature, or average, as is done over the whole map.
_SKIPPED = (layers.Dropout, layers.Identity, layers.ZeroPadding2D, layers.AveragePooling2D)


def penultimate(logits: Any) -> Any:
    """What the last layer with a kernel is computed from; dropout, padding and average pooling left out."""
    operation = next(found for found in graph.ancestors(logits) if hasattr(found, "kernel"))
    while isinstance(operation.input._keras_history.operation, _SKIPPED):
        operation = operation.input._keras_history.operation
    return operation.input


def feature_network(model: VisionModel, layer: str | None = None, pooling: str = "avg") -> VisionModel:
    """The network up to its description of an image, `(n, h, w, c) -> (n, d)`, sharing the model's weights.

    Args:
        model: with a card. Of several outputs, the first counts.
        layer: name of the layer to take. By default the one that feeds the classifier's last dense or convolution
            layer: fc7 in VGG (d = 4096), the global average of mixed10 in Inception-v3 (2048), fire9 in SqueezeNet
            (512); of a model without classifier, its output.
        pooling: of a feature map: "avg" or "max" over all positions, or "none", which makes one long vector of it.

    Raises:
        KerasVisionError: another pooling; no such layer, or one that gives neither a map nor a vector; a network of
            maps or drawings without `layer`; weights that are not finite.
    """
    if pooling not in POOLINGS:
        raise KerasVisionError(f"pooling={pooling!r}; accepted: {', '.join(map(repr, POOLINGS))}.")
    x = _chosen(model, layer)
    if len(x.shape) == 4:
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "none": layers.Flatten}
        x = kinds[pooling](name="embedding")(x)
    if len(x.shape) != 2 or x.shape[1] is None:
        raise KerasVisionError(f"{model.name}'s layer {layer or 'before the last'} gives {x.shape}, no map or vector.")
    features = VisionModel(model.input, x, name=model.name)
    if not all(np.isfinite(weight.numpy()).all() for weight in features.weights):  # TensorFlow's fused ReLU hides NaN
        raise KerasVisionError(f"{model.name} has weights that are not finite, as after a training that diverged.")
    return features.with_card(dataclasses.replace(model.card, output="features", task="classification"))


def _chosen(model: VisionModel, name: str | None) -> Any:
    outputs = model.outputs[0]
    if name is None:
        if model.card.output == "features":
            return outputs
        if model.card.task != "classification":
            raise KerasVisionError(
                f"{model.name} is a network for {model.card.task}; say with layer= which layer describes images."
            )
        return penultimate(outputs)
    known = {layer.name: graph.call_of(layer)[1] for layer in model.operations}
    key = name.replace("/", "_")  # Keras allows no "/" in a layer's name
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        raise KerasVisionError(f"{model.name} has no layer {name!r}. {hint}")
    return known[key]


def network_hash(features: VisionModel) -> str:
    """64 hexadecimal digits of all that a network's outputs depend on: layers, weights, preprocessing; no names."""
    digest = hashlib.sha256(json.dumps(features.preprocessing.to_dict(), sort_keys=True).encode())
    for operation in features.operations:
        config = {key: value for key, value in operation.get_config().items() if key != "name"}
        digest.update(type(operation).__name__.encode())
        digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        for weight in getattr(operation, "weights", ()):
            values = np.ascontiguousarray(weight.numpy())
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(values.data)
    return digest.hexdigest()
