"""The gradient of a function of one array, on the Keras backend in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError


def gradient(function: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Of a scalar function of a float tensor, at `x`, as an array of its shape.

    Raises:
        KerasVisionError: a backend other than TensorFlow, JAX and PyTorch.
    """
    backend = keras.backend.backend()
    x = keras.ops.convert_to_tensor(x, "float32")
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return np.asarray(tape.gradient(value, x, unconnected_gradients="zero"))
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    if backend == "torch":
        x = x.detach().clone().requires_grad_(True)
        function(x).backward()
        return keras.ops.convert_to_numpy(keras.ops.zeros_like(x) if x.grad is None else x.grad)
    raise KerasVisionError(f"gradients need KERAS_BACKEND tensorflow, jax or torch, not {backend!r}.")
