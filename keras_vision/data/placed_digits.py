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
    chosen, room = rng.integers(len(ink), size=(n, 2)), _room(ink[0].shape, size)
    for scene, pair, places in zip(scenes, chosen, rng.integers(room, size=(n, 2, 2)), strict=True):
        for number, place in zip(pair, places, strict=True):
            _add(scene, ink[number], place)
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
    if pieces < 1 or not 1 <= side <= min(ink[0].shape):
        raise KerasVisionError(
            f"{pieces} pieces of {side} x {side} pixels; give at least one, of 1 to {min(ink[0].shape)}."
        )
    shape, n = ink[0].shape, len(chosen)
    scenes = np.zeros((n, size, size), np.uint8)
    others = rng.integers(len(ink), size=(n, pieces))
    corners = rng.integers(_room((side, side), shape), size=(n, pieces, 2))
    places = rng.integers(_room((side, side), size), size=(n, pieces, 2))
    for scene, number, place in zip(scenes, chosen, rng.integers(_room(shape, size), size=(n, 2)), strict=True):
        _add(scene, ink[number], place)
    for scene, *of in zip(scenes, others, corners, places, strict=True):
        for other, (top, left), place in zip(*of, strict=True):
            _add(scene, ink[other][top : top + side, left : left + side], place)
    return scenes


def _checked(digits: Any, size: int) -> Any:
    shape = np.shape(digits[0]) if len(digits) else ()
    if len(shape) != 2 or max(shape) > size:
        raise KerasVisionError(f"{len(digits)} digits of shape {shape} for images of {size} x {size}; give (m, h, w).")
    return digits


def _room(shape: tuple[int, ...], within: Any) -> np.ndarray:
    """Places, along each axis, that something of a shape has."""
    return np.asarray(within) - np.asarray(shape) + 1


def _add(scene: np.ndarray, ink: np.ndarray, place: np.ndarray) -> None:
    """Adds ink to a scene, up to 255, in place."""
    there = scene[place[0] : place[0] + ink.shape[0], place[1] : place[1] + ink.shape[1]]
    there += np.minimum(ink, 255 - there)
