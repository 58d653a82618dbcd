"""Max pooling over the edge of a map, as Caffe and PyTorch compute it."""

from typing import Any

import keras
from keras import layers

from keras_vision.layers.atrous_pooling import repeat_edges


@keras.saving.register_keras_serializable("keras_vision")
class OverhangPadding2D(layers.ZeroPadding2D):
    """Padding below and to the right for a pooling whose last window hangs over the edge.

    Args:
        padding: as of `keras.layers.ZeroPadding2D`.
        pooling: (window, stride) of the pooling after it, in cells: images that it divides evenly are left as they
            are. None pads all.
        lowest: repeat the cells at the edge, which no maximum of a window picks unless it is there already, in place of
            zeros.
        dilation: distance of the cells in a window of the pooling after it.

    Input shape: `(n, h, w, c)`. Output shape: `(n, h + top + bottom, w + left + right, c)`, or as the input.
    """

    def __init__(
        self,
        padding: Any,
        pooling: tuple[int, int] | None = None,
        lowest: bool = False,
        dilation: int = 1,
        **kwargs: Any,
    ):
        super().__init__(padding, **kwargs)
        self.pooling = None if pooling is None else tuple(pooling)
        self.lowest = lowest
        self.dilation = dilation

    def call(self, inputs: Any) -> Any:
        if not self._pads(inputs.shape):
            return inputs
        if not self.lowest:
            return super().call(inputs)
        for axis, (before, after) in enumerate(self.padding, start=1):
            inputs = repeat_edges(inputs, axis, before, after, self.dilation)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return super().compute_output_shape(input_shape) if self._pads(input_shape) else tuple(input_shape)

    def _pads(self, shape: tuple) -> bool:
        if self.pooling is None:
            return True
        window, stride = self.pooling
        return any(size is None or (size - window) % stride for size in shape[1:3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling, "lowest": self.lowest, "dilation": self.dilation}


def ceil_max_pool(x: Any, pool_size: int, strides: int, name: str, negative: bool = False) -> Any:
    """Max pooling without padding whose last window may hang over the bottom and right edge.

    `(n, h, w, c) -> (n, ceil((h - pool_size) / strides) + 1, ...)`. Where the size does not divide evenly, the overhang
    is padded first: with zeros, or by repeating the cells at the edge if the input may be `negative` (not the output
    of a ReLU).

    Source: Caffe's pooling layer; PyTorch's ``ceil_mode=True``.
    """
    side = (0, strides - 1)
    x = OverhangPadding2D((side, side), (pool_size, strides), lowest=negative, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(pool_size, strides, name=name)(x)


def padded_max_pool(x: Any, pool_size: int, strides: int, name: str) -> Any:
    """Max pooling of the output of a ReLU, with half a window of padding on every side.

    `(n, h, w, c) -> (n, floor((h + 2 * (pool_size // 2) - pool_size) / strides) + 1, ...)`. The padding is zeros, which
    quantise well: after a ReLU nothing is lower.

    Source: PyTorch's ``MaxPool2d(pool_size, strides, pool_size // 2)``.
    """
    x = layers.ZeroPadding2D(pool_size // 2, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(pool_size, strides, name=name)(x)


MAX_POOLINGS = {"ceil": ceil_max_pool, "padded": padded_max_pool}
