"""Magnitude pruning: the smallest weights become zero.

Sources: Han et al. (2015), Learning both Weights and Connections; for the score that compares layers, Lee et al.
(2021), Layer-adaptive Sparsity for the Magnitude-based Pruning (LAMP), Equation 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_vision.compression.kernel_variables import chosen, values_of
from keras_vision.errors import KerasVisionError

Masks = Mapping[str, np.ndarray]
SCOPES = ("lamp", "global", "layer")


def magnitude_masks(
    model: keras.Model,
    sparsity: float | Mapping[str, float],
    scope: str = "lamp",
    layers: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """Which weights to keep, by kernel: True where the weight stays. The model is left as it is.

    Args:
        model: built.
        sparsity: share of the chosen kernels' weights that become zero, at least 0 and below 1; what is zero already
            counts. Or one share for each layer or kernel by name; others stay whole, and `scope` says nothing.
        scope: what is compared with what. "layer": the same share of each kernel. "global": absolute values over
            all kernels. "lamp": over all kernels, the square of a weight divided by the sum of squares of those of
            its kernel that are no smaller; it spares small kernels, and leaves each its largest weight.
        layers: names of layers or kernels to prune; the others stay whole. None: all.

    Raises:
        KerasVisionError: a share out of range, an unknown scope or name, NaN weights.
    """
    if isinstance(sparsity, Mapping):
        masks: dict[str, np.ndarray] = {}
        for name, share in sparsity.items():
            masks |= magnitude_masks(model, share, "layer", [name])
        return masks
    check_share(sparsity)
    if scope not in SCOPES:
        raise KerasVisionError(f"scope={scope!r}; accepted: {', '.join(SCOPES)}.")
    values = {path: values_of(variable) for path, variable in chosen(model, layers).items()}
    if scope == "layer":
        return {path: _keep_largest(np.abs(value), sparsity) for path, value in values.items()}
    scores = {path: (_lamp(value) if scope == "lamp" else np.abs(value)).ravel() for path, value in values.items()}
    kept = _keep_largest(np.concatenate(list(scores.values())), sparsity)
    parts = np.split(kept, np.cumsum([score.size for score in scores.values()])[:-1])
    return {path: part.reshape(values[path].shape) for path, part in zip(values, parts, strict=True)}


def check_share(sparsity: float) -> None:
    """Refuse a share of zeros that is none.

    Raises:
        KerasVisionError: below 0, 1 or above, or no number.
    """
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 <= sparsity < 1:
        raise KerasVisionError(
            f"sparsity={sparsity!r}; give the share of zeros, from 0 to less than 1, such as 0.67 to keep a third."
        )


def apply_masks(model: keras.Model, masks: Masks) -> None:
    """Set to zero, in place, what the masks do not keep.

    Raises:
        KerasVisionError: a mask for no kernel of the model, or of another shape.
    """
    for variable, mask in matched(model, masks):
        variable.assign(np.where(mask, values_of(variable), 0))


def prune(
    model: keras.Model,
    sparsity: float | Mapping[str, float],
    scope: str = "lamp",
    layers: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """Prune once, in place, without training; the arguments are those of `magnitude_masks`.

    Returns:
        The masks, which `KeepPruned`, `distil` and `share_weights` take.
    """
    masks = magnitude_masks(model, sparsity, scope, layers)
    apply_masks(model, masks)
    return masks


def zero_masks(model: keras.Model) -> dict[str, np.ndarray]:
    """The masks of a model that is pruned already: False where a kernel is zero."""
    return {path: values_of(variable) != 0 for path, variable in chosen(model, None).items()}


def sparsity_of(model: keras.Model) -> float:
    """Share of the kernels' weights that are zero, from 0 to 1."""
    masks = zero_masks(model)
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / sum(mask.size for mask in masks.values())


def matched(model: keras.Model, masks: Masks) -> list[tuple[Any, np.ndarray]]:
    """Each masked kernel of the model with its mask.

    Raises:
        KerasVisionError: a mask for no kernel of the model, or of another shape.
    """
    every = chosen(model, None)
    for path, mask in masks.items():
        if path not in every or tuple(every[path].shape) != np.shape(mask):
            own = f"has shape {tuple(every[path].shape)}" if path in every else f"is no kernel of {model.name}"
            raise KerasVisionError(f"a mask of shape {np.shape(mask)} for {path}, which {own}; make masks anew.")
    return [(every[path], np.asarray(mask, bool)) for path, mask in masks.items()]


def _keep_largest(scores: np.ndarray, sparsity: float) -> np.ndarray:
    """True for all but the share of smallest scores; of equal ones, the earlier go."""
    flat = scores.ravel()
    kept = np.ones(flat.size, bool)
    kept[np.argsort(flat, kind="stable")[: round(sparsity * flat.size)]] = False
    return kept.reshape(scores.shape)


def _lamp(values: np.ndarray) -> np.ndarray:
    """Square of each weight over the sum of squares of those no smaller (Lee et al., 2021, Equation 4)."""
    squares = np.square(values.ravel().astype("float64"))
    order = np.argsort(squares, kind="stable")
    no_smaller = np.cumsum(squares[order][::-1])[::-1]
    scores = np.zeros_like(squares)
    scores[order] = np.divide(squares[order], no_smaller, out=np.zeros_like(squares), where=no_smaller > 0)
    return scores
