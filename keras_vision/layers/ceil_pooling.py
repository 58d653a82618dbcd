"""Max pooling whose output size is rounded up, as Caffe computes it."""

from typing import Any

from keras import layers


def ceil_max_pool(x: Any, pool_size: int, strides: int, name: str) -> Any:
    """Max pooling without padding whose last window may hang over the bottom and right edge.

    `(n, h, w, c) -> (n, ceil((h - pool_size) / strides) + 1, ...)`. Where the size is known to divide evenly the
    layer is a plain "valid" pooling; elsewhere zeros are added at the bottom and right first, so the input must not be
    negative (put it after a ReLU).

    Source: Caffe's pooling layer; PyTorch's ``ceil_mode=True``.
    """
    if any(size is None or (size - pool_size) % strides for size in x.shape[1:3]):
        x = layers.ZeroPadding2D(((0, strides - 1), (0, strides - 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(pool_size, strides, name=name)(x)
