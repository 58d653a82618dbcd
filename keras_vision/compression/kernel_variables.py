"""Which weights of a model are compressed: kernels. Biases and batch norm stay as they are.

Source: Han et al. (2016), Deep Compression, whose files keep biases in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError


def kernels(model: keras.Model) -> dict[str, Any]:
    """The variables of a model that are compressed, by path, such as "conv1/kernel".

    They are the float variables of two or more axes whose name ends in "kernel": of dense, convolutional, depthwise,
    separable and recurrent layers, those of nested models included.

    Raises:
        KerasVisionError: the model is not built, or a weight of it is NaN or infinite.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise KerasVisionError(f"{type(model).__name__}: give a built keras.Model; call it, or give it an input shape.")
    check_finite(model)
    found = {}
    for variable in model.weights:
        if variable.name.endswith("kernel") and len(variable.shape) >= 2 and "float" in str(variable.dtype):
            found[variable.path] = variable
    return found


def check_finite(model: keras.Model) -> None:
    """Refuse a model that has diverged.

    Raises:
        KerasVisionError: a weight is NaN or infinite.
    """
    for variable in model.weights:
        values = np.asarray(keras.ops.convert_to_numpy(variable))
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise KerasVisionError(
                f"{variable.path} holds NaN or infinite values; its training diverged, or the file is damaged. "
                "Compress a model whose weights are finite."
            )


def values_of(variable: Any) -> np.ndarray:
    """A variable's values, as a NumPy array of its own shape."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def chosen(model: keras.Model, names: Iterable[str] | None) -> dict[str, Any]:
    """The kernels whose path or layer `names` lists; all for None.

    Raises:
        KerasVisionError: a name that no kernel has.
    """
    every = kernels(model)
    if not every:
        raise KerasVisionError(f"{model.name} has no kernels; there is nothing to compress.")
    if names is None:
        return every
    found: dict[str, Any] = {}
    for name in names:
        own = {path: v for path, v in every.items() if name in _names(path)}
        if not own:
            raise KerasVisionError(f"{name!r} names no kernel; {model.name} has {_some(every)}.")
        found |= own
    return found


def _names(path: str) -> tuple[str, ...]:
    """What "block/conv1/kernel" answers to: itself, "block/conv1", and "conv1"."""
    layer = path.rpartition("/")[0]
    return path, layer, layer.rpartition("/")[2]


def _some(every: Mapping[str, Any]) -> str:
    names = list(every)
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
