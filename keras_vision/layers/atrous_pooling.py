"""Pooling with holes: what a strided pooling layer's successors become when its stride is traded for dilation."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError


def repeat_edges(x: Any, axis: int, before: int, after: int, dilation: int = 1) -> Any:
    """Lengthen an axis by repeating its first and last `dilation` cells.

    Every cell that is added stands a multiple of `dilation` away from its equal, so that the maximum of a window with
    such steps stays that of its cells inside; unlike minus infinity, it leaves quantised values their range.
    """
    size = ops.shape(x)[axis]
    cells = np.arange(-before, size + after) if isinstance(size, int) else ops.arange(-before, size + after)
    library = np if isinstance(size, int) else ops
    inside = library.where(cells < 0, cells % dilation, cells)
    inside = library.where(cells < size, inside, size - dilation + (cells - size) % dilation)
    return ops.take(x, library.clip(inside, 0, size - 1), axis=axis)


@keras.saving.register_keras_serializable("keras_vision")
class AtrousPooling2D(keras.layers.Layer):
    """Max or average pooling, stride 1, over every `dilation_rate`-th pixel of the window.

    ``y[i, j] = reduce(x[i + d*u, j + d*v] for u, v in the window)``. With padding "same", cells outside the image
    take no part (an average divides by the cells inside), as in Keras' own pooling layers.

    Args:
        pool_size: height and width of the window, in cells.
        dilation_rate: distance between the cells of the window, in pixels.
        mode: "max" or "average".
        padding: "valid" or "same".

    Input shape: `(n, h, w, c)`.
    Output shape: `(n, h, w, c)` for "same", `(n, h - d*(pool_h - 1), w - d*(pool_w - 1), c)` for "valid".

    Source: atrous algorithm of DeepLab (Chen et al., 2015, section 3.1), applied to pooling.
    """

    def __init__(
        self,
        pool_size: tuple[int, int],
        dilation_rate: int = 1,
        mode: str = "max",
        padding: str = "valid",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if mode not in ("max", "average") or padding not in ("valid", "same"):
            raise KerasVisionError(
                f"mode={mode!r}, padding={padding!r}; accepted: mode 'max' or 'average', padding 'valid' or 'same'."
            )
        self.pool_size = tuple(pool_size)
        self.dilation_rate = dilation_rate
        self.mode = mode
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        if self.mode == "max":
            return self._windows(inputs, ops.maximum)
        total = self._windows(inputs, ops.add)
        if self.padding == "valid":
            return total / (self.pool_size[0] * self.pool_size[1])
        return total / self._windows(ops.ones_like(inputs[:1, :, :, :1]), ops.add)

    def _windows(self, x: Any, reduce: Any) -> Any:
        for axis, cells in zip((1, 2), self.pool_size, strict=True):
            reach = (cells - 1) * self.dilation_rate
            if self.padding == "same":
                pad = reach // 2, reach - reach // 2
                if self.mode == "max":
                    x = repeat_edges(x, axis, *pad, self.dilation_rate)
                else:
                    x = ops.pad(x, [pad if a == axis else (0, 0) for a in range(4)])
            size = ops.shape(x)[axis] - reach
            shifted = [
                x[:, s : s + size] if axis == 1 else x[:, :, s : s + size]
                for s in range(0, reach + 1, self.dilation_rate)
            ]
            x = shifted[0]
            for other in shifted[1:]:
                x = reduce(x, other)
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        if self.padding == "same":
            return tuple(input_shape)
        lost = [(cells - 1) * self.dilation_rate for cells in self.pool_size]
        n, h, w, c = input_shape
        return n, h and h - lost[0], w and w - lost[1], c

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "dilation_rate": self.dilation_rate,
            "mode": self.mode,
            "padding": self.padding,
        }
