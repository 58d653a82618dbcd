"""DRAW's attention: Gaussian filter banks, and reading and writing through them as two batched products each.

Of images `(n, B, A, c)`, B high and A wide, and patches `(n, N, N, c)`. Places are in pixels, with the first pixel's
centre at 1, as in the paper. All in `keras.ops`: differentiable on every backend, and compiled by XLA.

Source: Gregor et al. (2015), "DRAW: A Recurrent Neural Network For Image Generation", section 3; the numbers of its
equations are from memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras_vision.errors import KerasVisionError

PARAMETERS = 5  # that a window is made of
_LEAST_VARIANCE = 1e-6  # square pixels; below it, float32 divides by nothing, and a filter is one pixel long before


class Window(NamedTuple):
    """Where and how the attention looks, each `(n,)`.

    Attributes:
        y, x: centre of the grid of filters, in pixels from 1.
        stride: distance between neighbouring filters, in pixels.
        variance: of each filter, in square pixels.
        intensity: factor of what is read, and one over that of what is written.
    """

    y: Any
    x: Any
    stride: Any
    variance: Any
    intensity: Any


def check_patch(patch: int, size: tuple[int, int]) -> None:
    """Refuse a grid of filters that has no stride, or that is larger than the image.

    Args:
        patch: N, its side.
        size: height and width of the image, in pixels.

    Raises:
        KerasVisionError: a patch of one filter or less, or a larger one than the image.
    """
    if not isinstance(patch, int) or patch < 2:
        raise KerasVisionError(
            f"a patch of {patch!r} x {patch!r} filters has no stride between them; give at least 2, or None to read "
            "and write whole images."
        )
    if patch > min(size):
        raise KerasVisionError(
            f"a patch of {patch} x {patch} filters on an image of {size[0]} x {size[1]} pixels; give at most "
            f"{min(size)}."
        )


def window(parameters: Any, size: tuple[int, int], patch: int) -> Window:
    """The window that five numbers of a network stand for.

    Args:
        parameters: `(n, 5)`: centre x and y, which are from -1 to 1 within the image, then the logarithms of variance,
            stride and intensity. With all zero, the grid covers the image.
        size: B and A, height and width of the image in pixels.
        patch: N, filters along a side, at least 2.

    Source: Equations 21 to 24.
    """
    x, y, variance, stride, intensity = ops.unstack(ops.cast(parameters, "float32"), PARAMETERS, axis=-1)
    height, width = size
    return Window(
        (height + 1) / 2 * (y + 1),
        (width + 1) / 2 * (x + 1),
        (max(size) - 1) / (patch - 1) * ops.exp(stride),
        ops.exp(variance),
        ops.exp(intensity),
    )


def filter_bank(centre: Any, stride: Any, variance: Any, patch: int, size: int) -> Any:
    """The Gaussian filters along one axis: `(n, N, size)` float32, of which each row sums to 1.

    A row is a softmax of the exponents, so that it sums to 1 wherever the centre is: the exponentials themselves are
    all 0 in float32 for a centre far outside the image.

    Args:
        centre, stride, variance: of a `Window`, `(n,)`.
        patch: N.
        size: pixels along the axis.

    Source: Equations 19, 20, 25 and 26.
    """
    centre, stride, variance = (ops.cast(value, "float32")[:, None, None] for value in (centre, stride, variance))
    places = ops.arange(patch, dtype="float32")[:, None] - (patch - 1) / 2  # i - N/2 - 0.5 for i from 1
    pixels = ops.arange(1, size + 1, dtype="float32")
    away = (pixels - centre) - places * stride  # exact where it is small
    return ops.exp(ops.log_softmax(-(away**2) / (2 * ops.maximum(variance, _LEAST_VARIANCE)), axis=-1))


def banks(seen: Window, patch: int, size: tuple[int, int]) -> tuple[Any, Any]:
    """The filter banks of a window along both axes: `(n, N, B)` and `(n, N, A)`."""
    return (
        filter_bank(seen.y, seen.stride, seen.variance, patch, size[0]),
        filter_bank(seen.x, seen.stride, seen.variance, patch, size[1]),
    )


def read(images: Any, along_y: Any, along_x: Any, intensity: Any) -> Any:
    """What the window shows of images: ``intensity * F_y image F_x^T`` of each channel, `(n, N, N, c)`.

    Args:
        images: `(n, B, A, c)`; several images of the same window as further channels.
        along_y: F_y, `(n, N, B)`; along_x: F_x, `(n, N, A)`.
        intensity: `(n,)`.

    Source: Equation 27.
    """
    height, width, channels = images.shape[1:]
    patch, dtype = along_y.shape[1], images.dtype
    rows = ops.matmul(ops.cast(along_y, dtype), ops.reshape(images, (-1, height, width * channels)))
    rows = ops.transpose(ops.reshape(rows, (-1, patch, width, channels)), (0, 1, 3, 2))
    seen = ops.matmul(
        ops.reshape(rows, (-1, patch * channels, width)), ops.transpose(ops.cast(along_x, dtype), (0, 2, 1))
    )
    seen = ops.transpose(ops.reshape(seen, (-1, patch, channels, patch)), (0, 1, 3, 2))
    return ops.cast(intensity, dtype)[:, None, None, None] * seen


def write(patches: Any, along_y: Any, along_x: Any, intensity: Any) -> Any:
    """Patches laid onto empty images through the window: ``F_y^T patch F_x / intensity``, `(n, B, A, c)`.

    Args:
        patches: `(n, N, N, c)`.
        along_y, along_x, intensity: as of `read`, of the writing window.

    Source: Equation 29.
    """
    patch, channels = patches.shape[2:]
    height, width, dtype = along_y.shape[2], along_x.shape[2], patches.dtype
    columns = ops.reshape(ops.transpose(patches, (0, 1, 3, 2)), (-1, patch * channels, patch))
    columns = ops.reshape(ops.matmul(columns, ops.cast(along_x, dtype)), (-1, patch, channels * width))
    drawn = ops.matmul(ops.transpose(ops.cast(along_y, dtype), (0, 2, 1)), columns)
    drawn = ops.transpose(ops.reshape(drawn, (-1, height, channels, width)), (0, 1, 3, 2))
    return drawn / ops.cast(intensity, dtype)[:, None, None, None]
