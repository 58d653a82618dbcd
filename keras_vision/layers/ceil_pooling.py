"""Max pooling whose output size is rounded up, as Caffe computes it."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_vision")
class LowestPadding2D(layers.ZeroPadding2D):
    """Padding with minus infinity, which a max pooling after it never picks.

    Input shape: `(n, h, w, c)`. Output shape: `(n, h + top + bottom, w + left + right, c)`.
    """

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)), constant_values=float("-inf"))


def ceil_max_pool(x: Any, pool_size: int, strides: int, name: str, negative: bool = False) -> Any:
    """Max pooling without padding whose last window may hang over the bottom and right edge.

    `(n, h, w, c) -> (n, ceil((h - pool_size) / strides) + 1, ...)`. Where the size is known to divide evenly the
    layer is a plain "valid" pooling. Elsewhere the overhang is padded first: with zeros, which quantise well, or with
    minus infinity if the input may be `negative` (not the output of a ReLU).

    Source: Caffe's pooling layer; PyTorch's ``ceil_mode=True``.
    """
    if any(size is None or (size - pool_size) % strides for size in x.shape[1:3]):
        padding = LowestPadding2D if negative else layers.ZeroPadding2D
        x = padding(((0, strides - 1), (0, strides - 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(pool_size, strides, name=name)(x)
