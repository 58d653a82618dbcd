"""Dense layers as products of two smaller ones, by singular value decomposition.

Source: Denton et al. (2014), Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation,
section 3.2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers as keras_layers
from scipy import linalg

from keras_vision import graph
from keras_vision.compression.kernel_variables import check_finite, values_of
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, counts

_Factors = tuple[np.ndarray, np.ndarray]


def factorize_dense(
    model: keras.Model,
    rank: int | Mapping[str, int] | None = None,
    *,
    energy: float | None = None,
    layers: Iterable[str] | None = None,
) -> keras.Model:
    """A new model whose dense layers `(n, a) -> (n, b)` go through `rank` numbers.

    Instead of `a * b` weights there are `(a + b) * rank`. Dense layer "fc6" becomes "fc6_low", which has neither bias
    nor activation, and "fc6", which has those of before.
    The product is the closest of its rank to the kernel. A layer that would not get smaller stays as it is.

    Args:
        model: functional; left as it is. Dense layers of nested models stay.
        rank: of every dense layer, or by name; or None, with `energy`.
        energy: share, above 0 and up to 1, of the squared singular values that the rank has to hold.
        layers: names of the dense layers; None for all, or for those that `rank` names.

    Returns:
        A functional model; a `VisionModel` keeps its labels, and its card with the new counts.

    Raises:
        KerasVisionError: not a functional model, an unknown layer, both or neither of rank and energy, or out of range.
    """
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise KerasVisionError(f"{type(model).__name__}: give a functional model, made of keras.Input and layers.")
    if (rank is None) == (energy is None):
        raise KerasVisionError(f"rank={rank!r}, energy={energy!r}; give one of them.")
    check_finite(model)
    names = list(rank) if isinstance(rank, Mapping) and layers is None else layers
    factors = dict(_factors(model, _dense_layers(model, names), rank, energy))
    return _with_card_of(model, _rebuilt(model, factors))


def _dense_layers(model: keras.Model, names: Iterable[str] | None) -> list[Any]:
    every = {layer.name: layer for layer in model.layers if isinstance(layer, keras_layers.Dense)}
    if names is None:
        return list(every.values())
    names = list(names)
    if unknown := [name for name in names if name not in every]:
        raise KerasVisionError(f"{model.name} has no dense layers {unknown}; it has {list(every)}.")
    return [every[name] for name in names]


def _factors(model: keras.Model, dense: list[Any], rank: Any, energy: float | None) -> Iterable[tuple[str, _Factors]]:
    for layer in dense:
        kernel = values_of(layer.kernel).astype("float64")
        left, singular, right = linalg.svd(kernel, full_matrices=False)
        own = rank.get(layer.name) if isinstance(rank, Mapping) else rank
        own = _rank_of(singular, energy) if energy is not None else own
        if not isinstance(own, int) or isinstance(own, bool) or own < 1:
            raise KerasVisionError(f"rank={own!r} for {layer.name}; give a whole number from 1 to {singular.size}.")
        if own * sum(kernel.shape) < kernel.size:
            root = np.sqrt(singular[:own])
            yield layer.name, (left[:, :own] * root, root[:, None] * right[:own])


def _rank_of(singular: np.ndarray, energy: float) -> int:
    if not 0 < energy <= 1:
        raise KerasVisionError(f"energy={energy!r}; give the share to keep, above 0 and up to 1, such as 0.95.")
    held = np.cumsum(np.square(singular))
    return min(int(np.searchsorted(held, energy * held[-1] * (1 - 1e-12))) + 1, singular.size)


def _rebuilt(model: keras.Model, factors: Mapping[str, _Factors]) -> keras.Model:
    low = {
        name: keras_layers.Dense(first.shape[1], use_bias=False, name=f"{name}_low", dtype=_policy(model, name))
        for name, (first, _) in factors.items()
    }

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in low:
            args = (low[layer.name](args[0]), *args[1:])
        return layer(*args, **kwargs)

    copy = graph.cloned(model, call_function=call)
    for layer in copy.layers:
        if not layer.weights:
            continue
        name = layer.name.removesuffix("_low")
        if layer in low.values():
            layer.set_weights([factors[name][0]])
        elif layer.name in factors:
            layer.set_weights([factors[name][1], *model.get_layer(name).get_weights()[1:]])
        else:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def _policy(model: keras.Model, name: str) -> Any:
    return model.get_layer(name).dtype_policy


def _with_card_of(model: keras.Model, copy: keras.Model) -> keras.Model:
    if not isinstance(model, VisionModel) or not isinstance(copy, VisionModel):
        return copy
    copy.labels = model.labels
    if model._card is None:
        return copy
    fresh = counts(copy) if None not in keras.tree.flatten(copy.inputs)[0].shape[1:] else {}
    fresh.setdefault("parameters", copy.count_params())
    fresh.setdefault("trainable_parameters", sum(math.prod(w.shape) for w in copy.trainable_weights))
    return copy.with_card(dataclasses.replace(model.card, **fresh))
