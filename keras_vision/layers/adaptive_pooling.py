"""Average pooling to a fixed number of cells, whatever the size of the feature map."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class AdaptiveAveragePool2D(keras.layers.Layer):
    """Averages over `cells` windows per axis that cover the map; neighbours may overlap by a cell.

    Window i of an axis of `size` cells goes from ``floor(i * size / cells)`` up to ``ceil((i + 1) * size / cells)``.
    The windows of both axes are applied as two small matrices, which every backend and LiteRT have.

    Args:
        cells: number of cells of the output along each axis.

    Input shape: `(n, h, w, c)`, of known height and width. Output shape: `(n, cells, cells, c)`.

    Source: PyTorch's ``adaptive_avg_pool2d``.
    """

    def __init__(self, cells: int, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(cells, int) or cells < 1:
            raise KerasVisionError(f"cells={cells!r}; give a number of cells, at least 1.")
        self.cells = cells

    def build(self, input_shape: tuple) -> None:
        if None in input_shape[1:3]:
            raise KerasVisionError(f"{self.name}: pooling to {self.cells} cells needs a known height and width.")

    def call(self, inputs: Any) -> Any:
        rows, columns = (ops.cast(self._windows(size), inputs.dtype) for size in inputs.shape[1:3])
        return ops.einsum("ih,nhwc,jw->nijc", rows, inputs, columns)

    def _windows(self, size: int) -> np.ndarray:
        """Share of each cell in each window, `(cells, size)`."""
        shares = np.zeros((self.cells, size), "float32")
        for i in range(self.cells):
            start, stop = i * size // self.cells, -(-(i + 1) * size // self.cells)
            shares[i, start:stop] = 1 / (stop - start)
        return shares

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape[0], self.cells, self.cells, input_shape[3]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": self.cells}
