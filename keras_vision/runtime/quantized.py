"""Numbers of integer tensors: real value = scale * (integer - zero point)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def to_tensor(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Real values as the tensor that a model's input takes: rounded to the nearest integer and clipped where it is one.

    Args:
        values: of any shape.
        detail: the interpreter's description of the input: "dtype", and "quantization" with scale and zero point.
    """
    scale, zero = detail["quantization"]
    if not scale or not np.issubdtype(detail["dtype"], np.integer):
        return values.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / np.float32(scale)) + zero, limits.min, limits.max).astype(detail["dtype"])


def to_values(tensor: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """A model's output as real values: float32 where it holds integers with a scale, and else as it is."""
    scale, zero = detail["quantization"]
    if not scale or not np.issubdtype(tensor.dtype, np.integer):
        return tensor
    return (tensor.astype(np.float32) - np.float32(zero)) * np.float32(scale)
