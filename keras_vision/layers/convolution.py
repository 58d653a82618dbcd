"""Convolutions with what follows them, as several networks of Caffe, PyTorch and TensorFlow write them."""

from collections.abc import Callable, Sequence
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
    scale: bool = True,
    momentum: float = 0.9,
    relu: bool = True,
    **conv: Any,
) -> Any:
    """Convolution, batch norm, ReLU: `(n, h, w, c) -> (n, h / strides, w / strides, filters)`.

    The three are `{name}_conv`, `{name}_bn` and `name`. Without `relu` the batch norm is the last.

    Args:
        x: symbolic feature map.
        filters, kernel, strides: of the convolution.
        name: of what comes out.
        epsilon, scale, momentum: of the batch norm; the default momentum is PyTorch's 0.1 in Keras' terms.
        padding: "same", "valid", or "both": half of the kernel on both sides, as in Caffe and PyTorch, which "same" is
            not for a stride.
        relu: whether a ReLU follows.
        **conv: further arguments of `keras.layers.Conv2D`; there is no bias unless `use_bias=True` is one.

    Source: Ioffe & Szegedy (2015), section 3.2.
    """
    if padding == "both":
        padding = "same" if strides == 1 else "valid"
        if strides > 1 and kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(filters, kernel, strides, padding, name=f"{name}_conv", **{"use_bias": False, **conv})(x)
    return bn_relu(x, name=name, epsilon=epsilon, scale=scale, momentum=momentum, relu=relu)


def bn_relu(
    x: Any, *, name: str, epsilon: float, scale: bool = True, momentum: float = 0.9, relu: bool = True
) -> Any:  # fmt: skip
    """Batch norm and ReLU, `{name}_bn` and `name`: `(n, h, w, c) -> (n, h, w, c)`."""
    x = layers.BatchNormalization(epsilon=epsilon, momentum=momentum, scale=scale, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=name)(x) if relu else x


def conv_chain(x: Any, convs: Sequence[Sequence[Any]], conv: Callable[..., Any], *, name: str) -> Any:
    """Convolutions one after another, `{name}_1` and so on, the last without ReLU: what a residual block adds.

    Args:
        x: symbolic feature map.
        convs: filters, kernel, stride, and what else `conv` takes, of each.
        conv: ``(x, filters, kernel, stride, ..., name=, relu=) -> x``.
        name: of the block.
    """
    for number, spec in enumerate(convs, 1):
        x = conv(x, *spec, name=f"{name}_{number}", relu=number < len(convs))
    return x
