"""Convolutions with what follows them, as several networks of Caffe and of TensorFlow write them."""

from typing import Any

import keras
from keras import layers


def conv_relu(
    x: Any, filters: int, kernel: Any, strides: int = 1, *, name: str, padding: str = "same", bias: float = 0.0
) -> Any:
    """Convolution and ReLU: `(n, h, w, c) -> (n, h / strides, w / strides, filters)`.

    Starts from Caffe's "xavier", uniform with variance 1 / fan-in, and from one `bias`, as the released solvers do.
    """
    xavier = keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")
    start = dict(kernel_initializer=xavier, bias_initializer=keras.initializers.Constant(bias))
    return layers.Conv2D(filters, kernel, strides, padding, activation="relu", name=name, **start)(x)


def conv_bn_relu(
    x: Any,
    filters: int,
    kernel: Any,
    strides: int = 1,
    *,
    name: str,
    epsilon: float,
    padding: str = "same",
    use_bias: bool = False,
    scale: bool = True,
    momentum: float = 0.9,
) -> Any:
    """Convolution, batch norm, ReLU: `(n, h, w, c) -> (n, h / strides, w / strides, filters)`.

    The three are `{name}_conv`, `{name}_bn` and `name`. The default `momentum` is PyTorch's 0.1 in Keras' terms.

    Source: Ioffe & Szegedy (2015), section 3.2.
    """
    x = layers.Conv2D(filters, kernel, strides, padding, use_bias=use_bias, name=f"{name}_conv")(x)
    return bn_relu(x, name=name, epsilon=epsilon, scale=scale, momentum=momentum)


def bn_relu(x: Any, *, name: str, epsilon: float, scale: bool = True, momentum: float = 0.9) -> Any:
    """Batch norm and ReLU, `{name}_bn` and `name`: `(n, h, w, c) -> (n, h, w, c)`."""
    x = layers.BatchNormalization(epsilon=epsilon, momentum=momentum, scale=scale, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=name)(x)
