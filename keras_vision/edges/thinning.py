"""Edges of one pixel's width: thinning of a binary map, and the maxima across the edges of a strength map."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from keras_vision.edges.inputs import binary_map, strength_map
from keras_vision.errors import KerasVisionError

_RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # x1 (east) to x8, counter-clockwise


def _deletions() -> tuple[np.ndarray, np.ndarray]:
    """Whether the first and the second pass delete a pixel, by the eight bits of its neighbourhood: two `(256,)`."""
    x1, x2, x3, x4, x5, x6, x7, x8 = x = (np.arange(256) >> np.arange(8)[:, None] & 1).astype(bool)
    crossings = sum((~x[k] & (x[k + 1] | x[(k + 2) % 8])).astype(int) for k in (0, 2, 4, 6))
    pairs = [sum((x[(k + s) % 8] | x[(k + s + 1) % 8]).astype(int) for k in (0, 2, 4, 6)) for s in (0, 1)]
    fewest = np.minimum(*pairs)
    border = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    return border & ~((x2 | x3 | ~x8) & x1), border & ~((x6 | x7 | ~x4) & x5)


_PASSES = _deletions()


def thin(edges: Any) -> np.ndarray:
    """A binary map thinned until nothing changes, bool `(h, w)`: parts stay connected, ends stay, holes stay.

    Two passes alternate; each deletes at once all pixels whose eight neighbours satisfy G1, G2 and G3 (G3' in the
    second). This is what MATLAB's `bwmorph(edges, "thin", inf)` does, by which the Berkeley benchmark prepares
    detections. What lies outside the map is no edge.

    Args:
        edges: bool, or 0 and 1, `(h, w)`.

    Raises:
        KerasVisionError: another shape or other values.

    Source: Lam, Lee and Suen, Thinning Methodologies, TPAMI 14(9), 1992, p. 879, after Guo and Hall, 1989.
    """
    padded = np.pad(binary_map(edges, "edges"), 1).view(np.uint8)
    width, flat = padded.shape[1], padded.ravel()
    around = [dy * width + dx for dy, dx in _RING]
    left = np.flatnonzero(flat)
    changed = True
    while changed:
        changed = False
        for deletes in _PASSES:
            code = np.zeros(len(left), np.uint8)
            for bit, step in enumerate(around):
                code |= flat[left + step] << np.uint8(bit)
            gone = deletes[code]
            flat[left[gone]] = 0
            left = left[~gone]
            changed |= bool(gone.any())
    return padded[1:-1, 1:-1].astype(bool)


def suppress_non_maxima(
    edges: Any, radius: int = 1, border: int = 5, multiplier: float = 1.01, smoothing: int = 0
) -> np.ndarray:
    """Strength where an edge is strongest across its direction, else 0: float32 `(h, w)`.

    The normal of an edge is taken from second derivatives of the map after a triangle filter of radius 4. A pixel
    stays if `multiplier` times its strength is no less than the strengths at distances 1 to `radius` on both sides
    along the normal, interpolated bilinearly. Rows and columns nearer than `border` to the rim are weakened linearly,
    the outermost to 0. This is the step between a detector and the benchmark in structured edges and its successors.

    Args:
        edges: strengths from 0 to 1, `(h, w)`.
        radius: pixels to look at on each side.
        border: pixels; 0 leaves the rim as it is.
        multiplier: above 1 keeps pixels that are nearly maxima.
        smoothing: radius of a triangle filter on the map before anything else; HED's evaluation smooths by 1 and looks
            at a radius of 2.

    Raises:
        KerasVisionError: another shape, values outside [0, 1], or settings out of range.

    Source: Dollar and Zitnick, Fast Edge Detection Using Structured Forests, TPAMI 37(8), 2015, with the settings of
        their toolbox.
    """
    if radius < 1 or border < 0 or smoothing < 0 or not 0 < multiplier < float("inf"):
        raise KerasVisionError(
            f"radius={radius}, border={border}, multiplier={multiplier}, smoothing={smoothing}; accepted: a radius of "
            "at least 1, a border and smoothing of at least 0, and a multiplier above 0."
        )
    strength = _triangle(strength_map(edges, "edges"), smoothing)
    y, x = np.nonzero(strength)
    angle = _normals(strength)[y, x]
    strongest = np.zeros(len(y))
    for distance in (d for d in range(-radius, radius + 1) if d):
        where = np.stack([y + distance * np.sin(angle), x + distance * np.cos(angle)])
        strongest = np.maximum(strongest, ndimage.map_coordinates(strength, where, order=1, mode="nearest"))
    kept = np.zeros_like(strength)
    stays = strength[y, x] * multiplier >= strongest
    kept[y[stays], x[stays]] = strength[y[stays], x[stays]]
    return (kept * _rim(kept.shape, border)).astype(np.float32)


def _normals(strength: np.ndarray) -> np.ndarray:
    """Direction across the edge at each pixel, radians from 0 to pi, from the x axis to the y axis (down)."""
    if min(strength.shape) < 2:
        raise KerasVisionError(f"a map of {strength.shape} pixels has no directions; at least 2 x 2 are needed.")
    dy, dx = np.gradient(_triangle(strength, 4))
    dxx = np.gradient(dx, axis=1)
    dxy, dyy = np.gradient(dy, axis=1), np.gradient(dy, axis=0)
    side = np.where(dxy > 0, -1, 1)  # the toolbox has 0 for a dxy of 0, and misses lines that are exactly level
    return np.mod(np.arctan(dyy * side / (dxx + 1e-5)), np.pi)


def _triangle(values: np.ndarray, radius: int) -> np.ndarray:
    """Rows and columns weighted by a triangle that is 0 at distance `radius` + 1; (1, 2, 1) / 4 for a radius of 1."""
    if radius == 0:
        return values
    weights = (radius + 1.0 - np.abs(np.arange(-radius, radius + 1))) / (radius + 1) ** 2
    for axis in (0, 1):
        values = ndimage.correlate1d(values, weights, axis, mode="reflect")
    return values


def _rim(shape: tuple[int, ...], border: int) -> np.ndarray:
    """Factor of each pixel: 0 on the rim, 1 from `border` pixels inwards on."""
    border = min(border, *(size // 2 for size in shape))
    if border == 0:
        return np.ones(shape)
    sides = [np.minimum(np.arange(size), np.arange(size)[::-1]) for size in shape]
    return np.outer(*(np.minimum(side / border, 1) for side in sides))
