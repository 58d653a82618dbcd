"""What pydensecrf's functions accept, said in one sentence when it is something else."""

from __future__ import annotations

import enum
from typing import Any, TypeVar

import numpy as np

from keras_vision.errors import KerasVisionError

Choice = TypeVar("Choice", bound=enum.IntEnum)


def count(what: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise KerasVisionError(f"{what} must be a whole number from {least} on, not {value!r}.")
    return int(value)


def one_of(what: str, choices: type[Choice], value: Any) -> Choice:
    """A member of an enumeration, or its number."""
    try:
        return choices(value)
    except ValueError:
        names = ", ".join(f"{choice.name} ({choice.value})" for choice in choices)
        raise KerasVisionError(f"{what} must be one of {names}, not {value!r}.") from None


def array(what: str, value: Any, axes: str, shape: tuple[int | None, ...], dtype: type) -> np.ndarray:
    """An array of one dtype and shape (None: any size), in any memory order."""
    accepted = f"{what} must be a {np.dtype(dtype)} array {axes} = {_written(shape)}"
    if not isinstance(value, np.ndarray):
        raise KerasVisionError(f"{accepted}; given: {type(value).__name__}. Convert it with np.asarray.")
    given = f"{accepted}; given: {value.dtype} {value.shape}."
    if not _fits(value.shape, shape):
        raise KerasVisionError(given + _shape_hint(value, shape))
    if value.dtype != dtype:
        raise KerasVisionError(f"{given} Convert it: .astype(np.{np.dtype(dtype)}).")
    return value


def unary(what: str, value: Any, labels: int, pixels: int) -> np.ndarray:
    """Energies (labels, pixels): float32, no NaN, no -inf, and a finite one in each pixel."""
    energy = array(what, value, "(labels, pixels)", (labels, pixels), np.float32)
    least = energy.min(axis=0)  # NaN if one of them is
    if not np.isfinite(least).all():
        pixel = int(np.flatnonzero(~np.isfinite(least))[0])
        raise KerasVisionError(
            f"{what} is {energy[:, pixel]} at pixel {pixel}; it must hold no NaN and no -inf, and a finite energy in "
            "each pixel. Clip probabilities before the logarithm."
        )
    return energy


def compatibility(value: Any, labels: int) -> np.ndarray:
    """A number, a vector (labels,) or a matrix (labels, labels) as a finite float32 array of 0 to 2 dimensions."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    shapes = ((labels,), (labels, labels))
    fits = isinstance(value, np.ndarray) and value.dtype == np.float32 and value.shape in shapes
    if not number and not fits:
        given = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
        raise KerasVisionError(
            f"compat must be a number (Potts), or a float32 array ({labels},) (diagonal) or ({labels}, {labels}); "
            f"given: {given}."
        )
    result = np.array(value, np.float32)
    if not np.isfinite(result).all():
        raise KerasVisionError(f"compat must be finite, not {value!r}.")
    return result


def deviations(what: str, value: Any, names: str) -> tuple[float, ...]:
    """One positive number for all of `names`, or one for each of them."""
    numbers = np.ravel(value).tolist() if isinstance(value, np.ndarray | tuple | list) else [value] * len(names)
    real = all(isinstance(n, int | float | np.number) and not isinstance(n, bool) and 0 < n < np.inf for n in numbers)
    if len(numbers) != len(names) or not real:
        raise KerasVisionError(
            f"{what} must be a positive number, or {len(names)} of them for {', '.join(names)}; given: {value!r}."
        )
    return tuple(map(float, numbers))


def _written(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _fits(given: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    if len(given) != len(shape):
        return False
    return all(want in (None, have) for have, want in zip(given, shape, strict=True)) and 0 not in given


def _shape_hint(value: np.ndarray, shape: tuple[int | None, ...]) -> str:
    swapped = value.swapaxes(0, 1).shape if value.ndim > 1 else ()
    if _fits(swapped, shape):
        return " The first two axes are exchanged: .swapaxes(0, 1)."
    flat = (*value.shape[:1], int(np.prod(value.shape[1:])))
    if value.ndim > len(shape) and _fits(flat, shape):
        return f" Flatten the pixels: .reshape({flat[0]}, -1)."
    return ""
