"""Pooling of a feature map of any size into a vector of one length."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class SpatialPyramidPooling2D(keras.layers.Layer):
    """Pools a map to several grids of cells, one after another, each grid row by row.

    Window i of an axis of `size` cells and `bins` windows goes from ``floor(i * size / bins)`` up to ``ceil((i + 1) *
    size / bins)``: together they cover the map, and neighbours may overlap by a cell. With more bins than cells,
    windows repeat. This is the rounding of PyTorch's adaptive pooling. Section 2.3 has, for a fixed size,
    windows of ``ceil(size / bins)`` cells every ``floor(size / bins)``, which on some sizes do not reach the map's end
    (10 cells in 6 bins); Caffe's SPP layer (from memory) has windows of ``ceil(size / bins)`` one after another, with
    padding around the map.

    Args:
        bins: of each grid, their number along both axes, or (rows, columns).
        mode: "max", as in the paper, or "average", as in tensorflow-addons (which first cuts off the last rows and
            columns until the bins divide the size).

    Input shape: `(n, h, w, c)`, of any height and width, also open.
    Output shape: `(n, number of all bins, c)`.

    Raises:
        KerasVisionError: no bins, a number below 1, another mode, or a map without cells: an image too small for the
            network.

    Source: He et al. (2014), section 2.2 and Appendix A.
    """

    def __init__(self, bins: Sequence[Any] = (4, 2, 1), mode: str = "max", **kwargs: Any):
        super().__init__(**kwargs)
        grids = [tuple(b) if isinstance(b, list | tuple) else (b, b) for b in bins]
        if not grids or any(len(g) != 2 or any(not isinstance(n, int) or n < 1 for n in g) for g in grids):
            raise KerasVisionError(f"bins={bins!r}; give whole numbers of bins, at least 1, or pairs of them.")
        if mode not in ("max", "average"):
            raise KerasVisionError(f"mode={mode!r}; accepted: 'max', 'average'.")
        self.bins, self.mode = grids, mode

    def build(self, input_shape: tuple) -> None:
        if len(input_shape) != 4 or any(size is not None and size < 1 for size in input_shape[1:3]):
            raise KerasVisionError(
                f"{self.name} takes maps (n, h, w, c) of at least one cell, not {tuple(input_shape)}; give larger ones."
            )

    def call(self, inputs: Any) -> Any:
        rows_of = {rows: self._pooled(inputs, 1, rows) for rows, _ in self.bins}
        pooled = []
        for rows, columns in self.bins:
            cells = self._pooled(rows_of[rows], 2, columns)
            pooled.append(ops.reshape(cells, (-1, rows * columns, inputs.shape[3])))
        return ops.concatenate(pooled, axis=1)

    def _pooled(self, x: Any, axis: int, bins: int) -> Any:
        """Each bin along one axis: a maximum or a mean is that of the rows', then of the columns'."""
        size = ops.shape(x)[axis]  # a number, or in a graph of open size a tensor
        reduce = ops.max if self.mode == "max" else ops.mean
        windows = []
        for i in range(bins):
            start, stop = i * size // bins, -(-(i + 1) * size // bins)
            window = x[:, start:stop] if axis == 1 else x[:, :, start:stop]
            windows.append(reduce(window, axis=axis))
        return ops.stack(windows, axis=axis)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape[0], sum(rows * columns for rows, columns in self.bins), input_shape[3]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "mode": self.mode}
