"""Coarse feature maps brought onto a finer grid, at the place in the image that the graph says they have.

A map's cells lie `stride` pixels apart, the first with its centre at `start`. A transposed convolution makes the stride
smaller, and a crop lets two maps begin and end together. Where a released network prints crop offsets (FCN: 19, 5, 9;
HED), they come out of this arithmetic.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import BilinearLike2D, EdgePadding2D

Point = tuple[float, float]  # along height and width


@dataclasses.dataclass(frozen=True)
class Placed:
    """A symbolic feature map `(n, h, w, c)` and where it lies in the image.

    Attributes:
        map: the symbolic tensor.
        stride: distance between neighbouring cells, in pixels.
        start: row and column of the centre of the first cell's receptive field; pixel 0 has its centre at 0.
    """

    map: Any
    stride: int
    start: Point


def image_grid(image: Any) -> Placed:
    """The grid of the image itself, on which all others lie."""
    return Placed(image, 1, (0.0, 0.0))


def placed(x: Any) -> Placed:
    """Where a symbolic feature map lies in the model's input.

    Raises:
        KerasVisionError: cells that are not equally far apart along height and width.
    """
    model = keras.Model(graph.sources(x), x)
    height, width = next(axes for layer, axes in graph.feature_maps(model) if graph.call_of(layer)[1] is x)
    if height.stride != width.stride:
        raise KerasVisionError(f"cells {height.stride} x {width.stride} pixels apart; accepted: equally far apart.")
    return Placed(x, height.stride, ((height.first + height.last) / 2, (width.first + width.last) / 2))


def upsampled(x: Placed, like: Placed, *, name: str, learned: bool = True) -> Placed:
    """A map on the grid of a finer one: a transposed convolution that starts as bilinear interpolation.

    `(n, h, w, c) -> (n, factor * (h - 1) + kernel, ..., c)`, where the factor is that of the strides, and the kernel
    `2 * factor`, or one less where that lets the cells of both grids coincide. There is no bias.

    Args:
        x: the coarse map.
        like: on the finer grid.
        name: of the layer.
        learned: whether its kernel is trained.

    Raises:
        KerasVisionError: strides of which one is no multiple of the other.

    Source: FCN (Long et al., 2015), section 3.3.
    """
    factor, rest = divmod(x.stride, like.stride)
    if rest or factor < 2:
        raise KerasVisionError(f"{name}: a map of stride {x.stride} cannot be brought to stride {like.stride}.")
    between = [round(2 * (a - b) / like.stride) % 2 for a, b in zip(x.start, like.start, strict=True)]
    kernel = [2 * factor - 1 + half for half in between]
    deconvolution = layers.Conv2DTranspose(
        x.map.shape[-1], kernel, factor, "valid", use_bias=False, kernel_initializer=Bilinear(), name=name
    )
    deconvolution.trainable = learned
    start = [s - (k - 1) / 2 * like.stride for s, k in zip(x.start, kernel, strict=True)]
    return Placed(deconvolution(x.map), like.stride, (start[0], start[1]))


def cropped(x: Placed, like: Placed, *, name: str) -> Placed:
    """The part of a map that lies where `like` does, `(n, h, w, c) -> (n, h of like, w of like, c)`.

    The cells of both grids coincide, or lie less than one cell apart.

    Raises:
        KerasVisionError: the map begins after `like`; pad the image.
    """
    offset = [int(np.floor((b - a) / x.stride + 0.5)) for a, b in zip(x.start, like.start, strict=True)]
    if x.stride != like.stride or min(offset) < 0:
        raise KerasVisionError(
            f"{name}: a map that begins at pixel {x.start} (stride {x.stride}) holds no cells for one that begins at "
            f"{like.start} (stride {like.stride}); pad the image by {-min(offset) * x.stride} pixels more."
        )
    return Placed(CropLike2D((offset[0], offset[1]), name=name)([x.map, like.map]), like.stride, like.start)


def edged(x: Placed, *, name: str) -> Placed:
    """The map with one more cell on every side, each like its neighbour, `(n, h, w, c) -> (n, h + 2, w + 2, c)`."""
    start = (x.start[0] - x.stride, x.start[1] - x.stride)
    return Placed(EdgePadding2D(name=name)(x.map), x.stride, start)


def interpolated(x: Placed, like: Placed, *, name: str) -> Placed:
    """The map at the cells of a finer one, by bilinear interpolation without weights, whatever the sizes of both.

    `(n, h, w, c) -> (n, h of like, w of like, c)`, float32. Outside the centres of the first and last cells the value
    stays that of the edge.
    """
    start = [(a - b) / like.stride for a, b in zip(x.start, like.start, strict=True)]
    layer = BilinearLike2D(x.stride / like.stride, (start[0], start[1]), name=name)
    return Placed(layer([x.map, like.map]), like.stride, like.start)


def aligned(a: Placed, b: Placed, *, name: str) -> tuple[Placed, Placed]:
    """Both maps, of which the one that begins earlier, and ends later, is cropped to the other."""
    if max(a.start) < max(b.start):
        return cropped(a, b, name=name), b
    return a, cropped(b, a, name=name)


def bilinear_kernel(size: int) -> np.ndarray:
    """Weights of bilinear interpolation for a transposed convolution: float32 `(size, size)`.

    ``w[i, j] = (1 - |i - c| / f) * (1 - |j - c| / f)`` with ``f = ceil(size / 2)`` and the centre ``c`` in the middle.
    """
    return np.outer(_hat(size), _hat(size)).astype(np.float32)


def _hat(size: int) -> np.ndarray:
    factor = (size + 1) // 2
    return 1 - np.abs(np.arange(size) - (size - 1) / 2) / factor


@keras.saving.register_keras_serializable("keras_vision")
class Bilinear(keras.initializers.Initializer):
    """Bilinear interpolation of each channel for itself: kernels `(h, w, c, c)` of transposed convolutions."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        height, width, outputs, inputs = shape
        if outputs != inputs:
            raise KerasVisionError(
                f"a kernel of shape {shape} interpolates nothing: it needs as many outputs as inputs."
            )
        weights = np.outer(*(_hat(size) for size in (height, width)))
        kernel = weights[:, :, None, None] * np.eye(outputs)
        return ops.convert_to_tensor(kernel, dtype or keras.config.floatx())


@keras.saving.register_keras_serializable("keras_vision")
class CropLike2D(layers.Layer):
    """The part of a map, from an offset on, as large as another: `[(n, H, W, c), (n, h, w, d)] -> (n, h, w, c)`.

    Args:
        offset: rows and columns of the first that are left out before.
    """

    def __init__(self, offset: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.offset = tuple(offset)

    def call(self, inputs: Any) -> Any:
        x, like = inputs
        (top, left), size = self.offset, ops.shape(like)
        return x[:, top : top + size[1], left : left + size[2]]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        (n, _, _, channels), (_, height, width, _) = input_shape
        return n, height, width, channels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "offset": self.offset}
