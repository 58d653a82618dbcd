"""Batch norm after training: statistics of the whole training set, and networks without it that compute the same.

Source: Ioffe & Szegedy (2015), section 3.1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel


def _check_functional(model: keras.Model) -> None:
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise KerasVisionError(f"{type(model).__name__}: give a functional model, made of keras.Input and layers.")


# ------------------------------------------------------------------------------------ population statistics


class _BatchStatistics(layers.BatchNormalization):
    """Batch norm that always takes the batch's own statistics, and keeps those of the last batch alone."""

    cells = 0

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        self.cells = math.prod(size or 0 for size in inputs.shape) // inputs.shape[self.axis]
        return super().call(inputs, training=True, mask=mask)


def recalibrate_batch_norm(model: keras.Model, dataset: Iterable) -> None:
    """Set the moving statistics of every trainable batch norm to those of the training set (Algorithm 2).

    The mean is the average of the batches' means, the variance ``m / (m - 1)`` times the average of their variances,
    for m values of a feature in a batch (with positions, section 3.2). Larger batches weigh more. As in training, each
    layer sees what the layers before it give when they normalise with the batch's own statistics; dropout is off.

    Args:
        model: functional; changed in place, at the end.
        dataset: batches of images `(n, h, w, c)`, preprocessed, alone or first in a tuple with labels.

    Raises:
        KerasVisionError: not a functional model, no batches, or a batch that holds a single value of some feature.
    """
    _check_functional(model)
    twin = graph.cloned(model, clone_function=_with_batch_statistics, recursive=True)
    twin.set_weights(model.get_weights())
    pairs = list(zip(_batch_norms(model), _batch_norms(twin), strict=True))
    sums = [np.zeros((2, own.moving_mean.shape[0])) for own, _ in pairs]
    cells = [0] * len(pairs)
    for batch in dataset:
        twin(batch[0] if isinstance(batch, tuple | list) else batch, training=False)
        for position, (_, last) in enumerate(pairs):
            if last.cells < 2:
                raise KerasVisionError(f"{last.name}: a batch with one value per feature has no variance; take larger.")
            unbiased = np.asarray(last.moving_variance, "float64") * last.cells / (last.cells - 1)
            sums[position] += last.cells * np.stack([np.asarray(last.moving_mean, "float64"), unbiased])
            cells[position] += last.cells
    if pairs and not cells[0]:
        raise KerasVisionError("the dataset has no batches; give some of the training images.")
    for (own, _), total, count in zip(pairs, sums, cells, strict=True):
        own.moving_mean.assign(total[0] / count)
        own.moving_variance.assign(total[1] / count)


def _with_batch_statistics(layer: Any) -> Any:
    if not isinstance(layer, layers.BatchNormalization):
        return layer.__class__.from_config(layer.get_config())
    return _BatchStatistics.from_config({**layer.get_config(), "momentum": 0.0})


def _batch_norms(model: keras.Model) -> Iterator[Any]:
    """The trainable ones, those of nested models included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _batch_norms(layer)
        elif isinstance(layer, layers.BatchNormalization) and layer.trainable:
            yield layer


# -------------------------------------------------------------------------------------------------- folding

_LAST_AXIS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_LINEAR = (*_LAST_AXIS, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE)


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy for inference in which each batch norm right after a linear layer is part of that layer (Equation 11).

    With ``a = gamma / sqrt(variance + epsilon)``, the kernel becomes ``a * kernel`` and the bias ``a * (bias - mean) +
    beta``. Linear layers are dense, convolutional, transposed, depthwise and separable ones without an activation of
    their own. A batch norm after anything else stays, and so do those of nested models, of layers that are called
    twice, and after a layer whose output is used elsewhere too.

    Args:
        model: functional; left as it is.

    Returns:
        A model with the same outputs; a `VisionModel` keeps its card and its labels.

    Raises:
        KerasVisionError: not a functional model.
    """
    _check_functional(model)
    folded = dict(_foldable(model))
    gone = {norm.name for norm in folded.values()}

    def clone(layer: Any) -> Any:
        bias = {"use_bias": True} if layer.name in folded else {}
        return layer.__class__.from_config({**layer.get_config(), **bias})

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    copy = graph.cloned(model, clone_function=clone, call_function=call)
    for layer in (layer for layer in copy.layers if layer.weights):
        own = model.get_layer(layer.name)
        layer.set_weights(_merged(own, folded[layer.name]) if layer.name in folded else own.get_weights())
    return _with_card_of(model, copy)


def _foldable(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Name of each linear layer that feeds nothing but a batch norm, and that batch norm."""
    used = [id(tensor) for operation in model.operations for tensor in _inputs(operation)]
    used += [id(tensor) for tensor in model.outputs]
    linear = {id(layer.output): layer for layer in model.layers if isinstance(layer, _LINEAR) and _called_once(layer)}
    for norm in model.layers:
        if not isinstance(norm, layers.BatchNormalization) or not _called_once(norm):
            continue
        source = id(norm.input)
        last = norm.axis in (-1, len(norm.input.shape) - 1)
        alone = source in linear and used.count(source) == 1
        if alone and last and linear[source].activation is keras.activations.linear:
            yield linear[source].name, norm


def _inputs(operation: Any) -> list[Any]:
    nodes = operation._inbound_nodes
    return [tensor for node in nodes for tensor in node.input_tensors]


def _called_once(layer: Any) -> bool:
    return len(layer._inbound_nodes) == 1


def _merged(layer: Any, norm: Any) -> list[np.ndarray]:
    """The weights of a linear layer, and of the batch norm after it, in one."""
    mean, variance = (np.asarray(v, "float64") for v in (norm.moving_mean, norm.moving_variance))
    scale = (np.asarray(norm.gamma, "float64") if norm.scale else 1) / np.sqrt(variance + norm.epsilon)
    beta = np.asarray(norm.beta, "float64") if norm.center else 0
    values = [np.asarray(w, "float64") for w in layer.get_weights()]
    kernels, bias = (values[:-1], values[-1]) if layer.use_bias else (values, 0)
    *before, kernel = kernels  # of a separable layer, the pointwise one
    if isinstance(layer, _TRANSPOSED):
        kernel = kernel * scale[:, None]
    elif isinstance(layer, _DEPTHWISE):
        kernel = kernel * scale.reshape(kernel.shape[-2:])
    else:
        kernel = kernel * scale
    return [*before, kernel, scale * (bias - mean) + beta]


def _with_card_of(model: keras.Model, copy: keras.Model) -> keras.Model:
    if not isinstance(model, VisionModel) or not isinstance(copy, VisionModel):
        return copy
    copy.labels = model.labels
    if model._card is None:
        return copy
    trainable = sum(math.prod(w.shape) for w in copy.trainable_weights)
    return copy.with_card(
        dataclasses.replace(model.card, parameters=copy.count_params(), trainable_parameters=trainable)
    )
