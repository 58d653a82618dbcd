"""Checks of what the edge functions are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError


def strength_map(edges: Any, name: str) -> np.ndarray:
    """Edge strengths as float64 `(h, w)`.

    Raises:
        KerasVisionError: another shape, no pixels, or values that are not from 0 to 1.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or not edges.size or edges.dtype.kind not in "buif":
        raise KerasVisionError(f"{name} of shape {edges.shape} and type {edges.dtype}; expected numbers (h, w).")
    edges = edges.astype(np.float64)
    if not np.isfinite(edges).all():
        y, x = np.argwhere(~np.isfinite(edges))[0]
        raise KerasVisionError(f"{name} has {edges[y, x]} in row {y}, column {x}; expected numbers from 0 to 1.")
    if edges.min() < 0 or edges.max() > 1:
        raise KerasVisionError(
            f"{name} has values from {edges.min():g} to {edges.max():g}; expected 0 to 1: take the sigmoid of logits, "
            "divide 8-bit values by 255."
        )
    return edges


def binary_map(edges: Any, name: str) -> np.ndarray:
    """Edges as bool `(h, w)`.

    Raises:
        KerasVisionError: another shape, no pixels, or values other than 0 and 1.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or not edges.size:
        raise KerasVisionError(f"{name} of shape {edges.shape}; expected (h, w).")
    return _zeros_and_ones(edges, name)


def drawn_maps(boundaries: Any, name: str) -> np.ndarray:
    """Boundaries that people drew, as bool `(people, h, w)`.

    Raises:
        KerasVisionError: another shape, nobody, no pixels, or values other than 0 and 1.
    """
    boundaries = np.asarray(boundaries)
    if boundaries.ndim != 3 or not boundaries.size:
        raise KerasVisionError(f"{name} of shape {boundaries.shape}; expected (people, h, w) of one person or more.")
    return _zeros_and_ones(boundaries, name)


def _zeros_and_ones(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        other = values[~np.isin(values, (0, 1))][0]
        raise KerasVisionError(f"{name} has the value {other}; expected 0 and 1, 1 on an edge.")
    return values.astype(bool)
