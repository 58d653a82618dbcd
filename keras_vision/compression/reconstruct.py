"""Pruning and sharing that keep each layer's outputs: what rounding one weight spoils, the weights after it make good.

Layer by layer, on unlabelled images, the squared error of a layer's outputs is kept small: weights are rounded one
input at a time, and the error of each is spread over the inputs not yet rounded as the inverse of the inputs' second
moments says (optimal brain surgeon). The bias goes last and is not rounded.

Sources: Hassibi & Stork (1993), Second order derivatives for network pruning, Equation 5; Frantar et al. (2023), GPTQ,
Algorithm 1, for the order and the Cholesky form; Frantar & Alistarh (2023), SparseGPT, for zeros.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vision.compression.kernel_variables import chosen, values_of
from keras_vision.compression.pruning import Masks, matched
from keras_vision.compression.quantize import SharedKernel, nearest, share
from keras_vision.errors import KerasVisionError

DAMPING = 0.01  # of the mean second moment, added to each
POSITIONS = 1024  # of a feature map that are looked at, at most, spread over it
PASSES = 4  # over the images; in each, a part of the layers is rebuilt on what those of the parts before give


def prune_reconstructed(model: keras.Model, masks: Masks, batches: Iterable) -> None:
    """Prune in place, where the weights that stay change so that each layer's outputs stay close.

    Convolutions and dense layers of the model itself are rebuilt, a quarter of them at a time, on what the quarters
    before give when pruned; kernels of other layers and of nested models are pruned as they are.

    Args:
        model: functional, before pruning.
        masks: by kernel, True where a weight stays; from `magnitude_masks`.
        batches: of preprocessed images `(n, h, w, c)`, alone or first in a tuple; a hundred photographs do. They are
            gone through four times, so an iterator that ends after one round is not enough.

    Raises:
        KerasVisionError: no batches, or masks that do not fit.
    """
    allowed = {variable.path: _Masked(mask) for variable, mask in matched(model, masks)}
    _reconstruct(model, allowed, batches)


def share_reconstructed(
    model: keras.Model, bits: int, batches: Iterable, names: Iterable[str] | None = None
) -> dict[str, SharedKernel]:
    """As `share_weights`, in place, where weights go to values such that each layer's outputs stay close.

    The values are those of `share_weights`; zeros stay zeros. For layers and images, see `prune_reconstructed`.

    Raises:
        KerasVisionError: as `share_weights`; no batches.
    """
    allowed = {path: _Shared(share(values_of(variable), bits)) for path, variable in chosen(model, names).items()}
    _reconstruct(model, allowed, batches)
    return {path: rule.shared(model, path) for path, rule in allowed.items()}


class _Masked:
    """Weights where the mask is; zeros elsewhere."""

    def __init__(self, mask: np.ndarray):
        self.mask = mask

    def rows(self, inputs: int) -> np.ndarray:
        return self.mask.reshape(inputs, -1)

    def round(self, weights: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return np.where(kept, weights, 0)


class _Shared(_Masked):
    """The nearest centroid where a weight is not pruned; zeros elsewhere."""

    def __init__(self, kernel: SharedKernel):
        self.kernel = kernel
        super().__init__(kernel.codes > 0 if kernel.pruned else np.ones(kernel.codes.shape, bool))

    def round(self, weights: np.ndarray, kept: np.ndarray) -> np.ndarray:
        values = self.kernel.centroids[int(self.kernel.pruned) :]
        return np.where(kept, values[nearest(weights, values)] if values.size else 0, 0)

    def shared(self, model: keras.Model, path: str) -> SharedKernel:
        weights = values_of(chosen(model, [path])[path])
        values = self.kernel.centroids[int(self.kernel.pruned) :]
        codes = np.where(self.mask, nearest(weights, values) + self.kernel.pruned, 0).astype(np.uint8)
        return dataclasses.replace(self.kernel, codes=codes)


def _reconstruct(model: keras.Model, allowed: Mapping[str, Any], batches: Iterable) -> None:
    found = list(_rebuildable(model, allowed))
    for part in np.array_split(np.arange(len(found)), min(PASSES, len(found))) if found else ():
        own = [found[place] for place in part]
        for layer, moment in zip(own, _second_moments(model, own, batches), strict=True):
            _rebuild(layer, allowed[layer.kernel.path], moment)
    rebuilt = {layer.kernel.path for layer in found}
    for path, variable in chosen(model, allowed).items():
        if path not in rebuilt:
            variable.assign(allowed[path].round(values_of(variable), allowed[path].mask))


def _rebuildable(model: keras.Model, allowed: Mapping[str, Any]) -> Iterator[Any]:
    """Dense layers and whole convolutions that are called once, in the order of computation."""
    for layer in model.layers:
        plain = isinstance(layer, layers.Dense) or (type(layer) is layers.Conv2D and layer.groups == 1)
        if plain and layer.kernel.path in allowed and len(layer._inbound_nodes) == 1:
            yield layer


def _second_moments(model: keras.Model, own: list[Any], batches: Iterable) -> list[np.ndarray]:
    """For each layer, the mean of x xT over positions and images, where x is what an output sees, with a 1 behind."""
    inner = keras.Model(model.inputs, [layer.input for layer in own])

    @tf.function(reduce_retracing=True)
    def sums_of(images: Any) -> list[tuple[Any, Any]]:
        inputs = keras.tree.flatten(inner(images, training=False))
        seen = [_seen(layer, x) for layer, x in zip(own, inputs, strict=True)]
        return [(tf.matmul(x, x, transpose_a=True), tf.shape(x)[0]) for x in seen]

    totals: list[Any] = [0.0] * len(own)
    counts = [0] * len(own)
    for batch in batches:
        images = tf.convert_to_tensor(batch[0] if isinstance(batch, tuple | list) else batch)
        for place, (total, count) in enumerate(sums_of(images)):
            totals[place] += np.asarray(total, "float64")
            counts[place] += int(count)
    if not counts[0]:
        raise KerasVisionError("no batches of images; give a list, or what starts again each time it is gone through.")
    return [total / count for total, count in zip(totals, counts, strict=True)]


def _seen(layer: Any, features: Any) -> Any:
    """What each output of a layer sees, `(positions, inputs + 1)`; the last is 1."""
    if isinstance(layer, layers.Conv2D):
        rows, columns = layer.output.shape[1:3]
        apart = max(round(((rows or 1) * (columns or 1) / POSITIONS) ** 0.5), 1)
        features = tf.image.extract_patches(
            features, [1, *layer.kernel_size, 1], [1, *(stride * apart for stride in layer.strides), 1],
            [1, *layer.dilation_rate, 1], layer.padding.upper(),
        )  # fmt: skip
    flat = tf.reshape(features, (-1, features.shape[-1]))
    return tf.concat([flat, tf.ones_like(flat[:, :1])], axis=1)


def _rebuild(layer: Any, allowed: Any, moments: np.ndarray) -> None:
    kernel = values_of(layer.kernel)
    inputs = moments.shape[0] - 1
    weights = kernel.reshape(inputs, -1).astype("float64")
    kept = allowed.rows(inputs)
    order = np.argsort(-np.diag(moments)[:-1], kind="stable")
    places = np.append(order, inputs) if layer.use_bias else order
    bias = values_of(layer.bias)[None].astype("float64") if layer.use_bias else weights[:0]
    moments = moments[np.ix_(places, places)]
    rounded, bias = _rounded(np.concatenate([weights[order], bias]), kept[order], moments, allowed)
    back = np.empty_like(rounded)
    back[order] = rounded
    layer.kernel.assign(back.reshape(kernel.shape))
    if layer.use_bias:
        layer.bias.assign(bias[0])


def _rounded(weights: np.ndarray, kept: np.ndarray, moments: np.ndarray, allowed: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rounds row by row; returns the rows that were, and those that only took up errors (GPTQ, Algorithm 1)."""
    damped = moments + np.eye(len(moments)) * max(DAMPING * np.diag(moments).mean(), 1e-12)
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T
    for row, stays in enumerate(kept):
        rounded = allowed.round(weights[row], stays)
        error = (weights[row] - rounded) / spread[row, row]
        weights[row + 1 :] -= np.outer(spread[row, row + 1 :], error)
        weights[row] = rounded
    return weights[: len(kept)], weights[len(kept) :]
