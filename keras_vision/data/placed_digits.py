"""Handwritten digits at random places: two on a canvas, to draw; one among clutter, to find and read."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError


def two_digits(digits: Any, n: int, rng: np.random.Generator, size: int = 60) -> np.ndarray:
    """Images with two digits, chosen and placed at random, `(n, size, size)` uint8.

    Where they overlap, intensities are added up to 255.

    Args:
        digits: `(m, h, w)` uint8, ink 255 on 0, such as `mnist(folder).sources`.
        n: how many.
        rng: chooses digits and places.
        size: side, in pixels.

    Raises:
        KerasVisionError: no digits, or larger ones than the image.

    Source: DRAW (Gregor et al., 2015), section 4.3.
    """
    ink = _checked(digits, size)
    scenes = np.zeros((n, size, size), np.uint8)
    for scene in scenes:
        for _ in range(2):
            _add(scene, ink[rng.integers(len(ink))], rng)
    return scenes


def cluttered_digits(
    digits: Any, chosen: Any, rng: np.random.Generator, size: int = 100, pieces: int = 8, side: int = 9
) -> np.ndarray:
    """Cluttered translated digits: each at a random place among pieces of others, `(n, size, size)` uint8.

    Args:
        digits: `(m, h, w)` uint8, ink 255 on 0; the pieces are cut from any of them.
        chosen: indices `(n,)` of the digits to show.
        rng: chooses places and pieces.
        size: side of the images, in pixels.
        pieces: in each image; `side` is theirs, in pixels. Where ink overlaps, intensities are added up to 255.

    Raises:
        KerasVisionError: no digits, larger ones than the image, or pieces larger than a digit.

    Source: RAM (Mnih et al., 2014), section 4.1; DRAW (Gregor et al., 2015), section 4.1.
    """
    ink = _checked(digits, size)
    if pieces < 0 or not 1 <= side <= min(ink[0].shape):
        raise KerasVisionError(
            f"{pieces} pieces of {side} x {side} pixels; give none or more, of 1 to {min(ink[0].shape)}."
        )
    scenes = np.zeros((len(chosen), size, size), np.uint8)
    for scene, number in zip(scenes, chosen, strict=True):
        _add(scene, ink[number], rng)
        for _ in range(pieces):
            other = ink[rng.integers(len(ink))]
            top, left = (int(rng.integers(length - side + 1)) for length in other.shape)
            _add(scene, other[top : top + side, left : left + side], rng)
    return scenes


def _checked(digits: Any, size: int) -> Any:
    shape = np.shape(digits[0]) if len(digits) else ()
    if len(shape) != 2 or max(shape) > size:
        raise KerasVisionError(f"{len(digits)} digits of shape {shape} for images of {size} x {size}; give (m, h, w).")
    return digits


def _add(scene: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> None:
    """Adds ink to a scene at a random place, in place."""
    top, left = (int(rng.integers(room - length + 1)) for room, length in zip(scene.shape, ink.shape, strict=True))
    there = scene[top : top + ink.shape[0], left : left + ink.shape[1]]
    there += np.minimum(ink, 255 - there)
