"""What can be trained of the fully-connected CRF, as numbers or as tensors: kernel weights and label compatibility."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.energy import Kernel, Potts, penalties


def strengths(kernels: Sequence[Kernel], given: Any, factor: Any) -> Any:
    """Weights of the kernels, (kernels), float32: an array of numbers, or a tensor that gradients go through.

    Args:
        kernels: whose own weights hold if no others are given.
        given: weights in their place, (kernels), or None.
        factor: of the compatibility, as `compatibility_terms` gives it.

    Raises:
        KerasVisionError: there is not one finite number for each kernel.
    """
    weights = np.array([kernel.weight for kernel in kernels], np.float32) if given is None else _float32(given)
    if weights is None or not _fits(weights, (len(kernels),)) or not _finite(weights):
        raise KerasVisionError(
            f"kernel_weights must be {len(kernels)} finite numbers, one for each kernel; given: {given!r}."
        )
    return weights if factor is None else weights * factor


def compatibility_terms(compatibility: Any, labels: int) -> tuple[Any, Any]:
    """The compatibility as a factor of all kernels, or None for 1, and penalties (labels, labels), or None for Potts.

    Raises:
        KerasVisionError: it is neither Potts, a finite number nor a finite matrix with a row for each label.
    """
    if isinstance(compatibility, Potts):
        return None, None
    values = _float32(compatibility)
    if values is None or (isinstance(values, np.ndarray) and values.ndim):
        return None, penalties(compatibility, labels)
    if _fits(values, ()) and _finite(values):
        return values, None
    if not _fits(values, (labels, labels)):
        raise KerasVisionError(
            f"compatibility must be Potts(), a number or a finite matrix of shape ({labels}, {labels}), one row for "
            f"each label of the logits; given: {values!r}."
        )
    return None, values


def _float32(values: Any) -> Any | None:
    """An array or, of a tensor or variable, a tensor; None if it holds no numbers."""
    if isinstance(values, keras.Variable) or ops.is_tensor(values):
        return ops.cast(ops.convert_to_tensor(values), "float32")
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError):
        return None


def _fits(values: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array has a shape, or a tensor may have it: sizes that are not known are left to the operation."""
    own = values.shape
    if getattr(own, "rank", 0) is None:  # TensorFlow's word for a tensor of any number of axes
        return bool(shape)
    return len(own) == len(shape) and all(size in (None, wanted) for size, wanted in zip(own, shape, strict=True))


def _finite(values: Any) -> bool:
    return not isinstance(values, np.ndarray) or bool(np.isfinite(values).all())
