"""The terms of the fully-connected CRF's energy: Gaussian kernels and label compatibility (DeepLab, Eq. 1 and 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_vision.errors import KerasVisionError

Theta = float | tuple[float, ...]


@dataclass(frozen=True)
class Gaussian:
    """The smoothness kernel ``weight * exp(-|p_i - p_j|² / (2 theta_gamma²))`` over pixel positions p.

    Args:
        weight: strength of the kernel (w2 of the paper, `compat` of pydensecrf).
        theta_gamma: standard deviation in pixels; one number, or a pair (x, y) (`sxy` of pydensecrf).

    Raises:
        KerasVisionError: a theta is not positive, or a number is not finite.
    """

    weight: float = 3.0
    theta_gamma: Theta = 3.0

    def __post_init__(self) -> None:
        _check(self, "theta_gamma")
        _number(self, "weight")

    def thetas(self, channels: int) -> tuple[tuple[float, float], None]:
        """Deviations of (x, y) in pixels, and None: the image is not looked at."""
        return _spread(self, "theta_gamma", 2, "x and y"), None  # type: ignore[return-value]


@dataclass(frozen=True)
class Bilateral:
    """The appearance kernel ``weight * exp(-|p_i - p_j|² / (2 theta_alpha²) - |I_i - I_j|² / (2 theta_beta²))``.

    p is the position and I the image, in the units it is given in (0–255 for photographs).

    Args:
        weight: strength of the kernel (w1 of the paper, `compat` of pydensecrf).
        theta_alpha: standard deviation in pixels; one number, or a pair (x, y) (`sxy` of pydensecrf).
        theta_beta: standard deviation in the units of the image; one number, or one for each channel (`srgb`).

    Raises:
        KerasVisionError: a theta is not positive, or a number is not finite.
    """

    weight: float = 10.0
    theta_alpha: Theta = 80.0
    theta_beta: Theta = 13.0

    def __post_init__(self) -> None:
        _check(self, "theta_alpha")
        _check(self, "theta_beta")
        _number(self, "weight")

    def thetas(self, channels: int) -> tuple[tuple[float, float], tuple[float, ...]]:
        """Deviations of (x, y) in pixels, and of each of the image's channels."""
        return (
            _spread(self, "theta_alpha", 2, "x and y"),  # type: ignore[return-value]
            _spread(self, "theta_beta", channels, "each channel of the image"),
        )


Kernel = Gaussian | Bilateral


@dataclass(frozen=True)
class Potts:
    """The compatibility of the paper: a penalty of 1 between any two different labels, 0 between equal ones."""

    def matrix(self, labels: int) -> np.ndarray:
        """The penalties, (labels, labels)."""
        return np.ones((labels, labels), np.float32) - np.eye(labels, dtype=np.float32)


def penalties(compatibility: Potts | Sequence | np.ndarray, labels: int) -> np.ndarray | None:
    """The compatibility as a float32 matrix (labels, labels), or None for Potts.

    Raises:
        KerasVisionError: it is neither Potts nor a finite square matrix with a row for each label.
    """
    if isinstance(compatibility, Potts):
        return None
    try:
        matrix = np.asarray(compatibility, np.float32)
    except (TypeError, ValueError) as error:
        raise KerasVisionError(
            f"compatibility must be Potts() or a matrix of numbers, not {compatibility!r}."
        ) from error
    if matrix.shape != (labels, labels) or not np.isfinite(matrix).all():
        raise KerasVisionError(
            f"compatibility must be Potts() or a finite matrix of shape ({labels}, {labels}), one row for each label "
            f"of the logits; given: shape {matrix.shape}."
        )
    return matrix


def _number(kernel: Kernel, name: str) -> None:
    value = getattr(kernel, name)
    if not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise KerasVisionError(f"{type(kernel).__name__}: {name} must be a finite number, not {value!r}.")


def _check(kernel: Kernel, name: str) -> None:
    value = getattr(kernel, name)
    numbers = value if isinstance(value, tuple | list) else (value,)
    for number in numbers:
        if not isinstance(number, int | float | np.number) or not 0 < number < math.inf:
            raise KerasVisionError(f"{type(kernel).__name__}: {name} must be positive and finite, not {value!r}.")
    if isinstance(value, list):
        object.__setattr__(kernel, name, tuple(value))


def _spread(kernel: Kernel, name: str, count: int, what: str) -> tuple[float, ...]:
    value = getattr(kernel, name)
    if not isinstance(value, tuple):
        return (float(value),) * count
    if len(value) != count:
        raise KerasVisionError(
            f"{type(kernel).__name__}: {name} must be one number, or {count} numbers for {what}; given: {value}."
        )
    return tuple(map(float, value))
