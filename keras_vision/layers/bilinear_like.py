"""Bilinear interpolation of a coarse map at the cells of a fine one."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_vision")
class BilinearLike2D(layers.Layer):
    """Bilinear interpolation at the cells of another map: `[(n, h, w, c), (n, H, W, d)] -> (n, H, W, c)`.

    Cell ``p`` of the result lies at ``(p - start) / stride`` among the coarse cells; before the first and after the
    last the value stays that of the edge. Along each axis it is a product with a matrix of hat functions,
    ``max(0, 1 - |(p - start) / stride - i|)``, computed in float32. There are no weights.

    Args:
        stride: distance between the coarse cells, in fine ones.
        start: row and column of the first coarse cell, in fine ones from the first of them; need not be whole.
    """

    def __init__(self, stride: float, start: tuple[float, float], **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.stride = stride
        self.start = tuple(start)

    def call(self, inputs: Any) -> Any:
        x, like = inputs
        (_, height, width, channels), (_, rows, columns, _) = ops.shape(x), ops.shape(like)
        down = ops.reshape(x, (-1, height, width * channels))
        down = ops.matmul(self._hats(rows, height, self.start[0]), down)
        down = ops.reshape(down, (-1, rows, width, channels))
        return ops.matmul(self._hats(columns, width, self.start[1]), down)

    def _hats(self, fine: Any, coarse: Any, start: float) -> Any:
        """Weight of each coarse cell for each fine one, `(fine, coarse)`."""
        cells = ops.cast(ops.arange(coarse), "float32")
        last = ops.cast(coarse - 1, "float32")
        places = (ops.cast(ops.arange(fine), "float32") - start) / self.stride
        places = ops.minimum(ops.relu(places), last)
        return ops.relu(1 - ops.abs(places[:, None] - cells[None, :]))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        (n, _, _, channels), (_, height, width, _) = input_shape
        return n, height, width, channels

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape([t.shape for t in inputs]), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride, "start": self.start}
