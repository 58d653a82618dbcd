"""Checks of what the augmentations are given; each returns the checked value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

from keras_vision.errors import KerasVisionError


def probability(name: str, value: float) -> float:
    """A number in [0, 1].

    Raises:
        KerasVisionError: it is not.
    """
    if not 0 <= value <= 1:
        raise KerasVisionError(f"{name}={value!r} is a probability; give a number from 0 to 1.")
    return value


def at_least(name: str, value: float, lowest: float) -> float:
    """A finite number that is not below `lowest`.

    Raises:
        KerasVisionError: it is not.
    """
    if not lowest <= value < math.inf:
        raise KerasVisionError(f"{name}={value!r}; give a finite number, at least {lowest}.")
    return value


def count(name: str, value: float, lowest: int) -> float:
    """A whole number that is not below `lowest`.

    Raises:
        KerasVisionError: it is not.
    """
    if not isinstance(value, Integral) or value < lowest:
        raise KerasVisionError(f"{name}={value!r}; give a whole number, at least {lowest}.")
    return value


def span(name: str, values: Sequence[float], highest: float = math.inf, *, zero: bool = False) -> tuple[float, float]:
    """A range (low, high): 0 < low <= high <= `highest`, finite; `zero` allows low = 0.

    Raises:
        KerasVisionError: it is not.
    """
    low, high = values if isinstance(values, Sequence) and len(values) == 2 else (math.nan, math.nan)
    if not (low > 0 or (zero and low == 0)) or not low <= high <= highest or math.isinf(high):
        lowest = "0 or more" if zero else "above 0"
        limit = "" if math.isinf(highest) else f", at most {highest}"
        raise KerasVisionError(f"{name}={values!r}; give (low, high) with low <= high, both {lowest}{limit}.")
    return low, high
