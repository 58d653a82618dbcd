"""Contours that the whole image agrees on: gradients of the eigenvectors of normalised cuts, beside the local ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import block_reduce
from skimage.transform import resize

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.arcs import contour_planes
from keras_vision.proposals.eigenvectors import normalized_cuts

PIXELS = 160_000  # a photograph of BSDS500, 481 x 321, is cut at its own size
_STEPS = 2
_LEAST = 4  # pixels left after the decimations for each vector


def spectral_contours(contours: Any, count: int = 16, *, orientations: int = 8, scale: float = 1.0) -> np.ndarray:
    """Strength of the contours of normalised cuts in each direction: float64 `(orientations, h, w)`, strongest 1.

    The sum over eigenvectors of the size of their derivative across the direction, each divided by the square root of
    its eigenvalue. A vector hardly changes within a region and jumps where it is set apart, so that long contours that
    close something stand out, and texture does not. Maps above 160,000 pixels are reduced by a whole factor for the
    cuts, to the strongest of each square. A map without contours has no spectral ones, nor has one of fewer than 64
    pixels or so, which leaves no room for an eigenvector.

    Args:
        contours: local ones from 0 to 1, `(h, w)` or by orientation.
        count: eigenvectors; fewer are taken where the map is too small for so many.
        orientations: of the result, as of `gradient_contours`.
        scale: standard deviation of the Gaussian derivatives, pixels of the map that is cut.

    Raises:
        KerasVisionError: contours as in `gradient_contours`; settings out of range.

    Source: Arbelaez et al., TPAMI 33(5), 2011, section 3.2, equation 14; vectors of Pont-Tuset et al., 2016,
        section 3.1.
    """
    strength = _strongest(contours, orientations)
    if count < 1 or orientations < 1 or not 0 < scale < float("inf"):
        raise KerasVisionError(f"count={count}, orientations={orientations}, scale={scale}; give numbers above 0.")
    factor = int(np.ceil(np.sqrt(strength.size / PIXELS)))
    small = block_reduce(strength, factor, np.max) if factor > 1 else strength
    kept = [-(-side // 2**_STEPS) for side in small.shape]
    count = min(count, kept[0] * kept[1] // _LEAST)
    planes = np.zeros((orientations, *small.shape))
    if count and strength.max() > 0:
        _add_gradients(planes, small, count, scale)
    if factor > 1:  # the last squares may reach beyond the image
        whole = [side * factor for side in small.shape]
        planes = np.stack([resize(plane, whole)[: strength.shape[0], : strength.shape[1]] for plane in planes])
    return planes / max(planes.max(), np.finfo(float).tiny)


def globalized(contours: Any, weight: float = 0.3, *, count: int = 16, orientations: int = 8) -> np.ndarray:
    """Local and spectral contours together: `(orientations, h, w)`, 0 to 1.

    The mean of both, where the spectral ones are first made as strong, at their strongest, as the local ones. (The
    published weights were learned for other local cues.)

    Args:
        contours: local ones from 0 to 1, `(h, w)` or by orientation, whose number is then kept.
        weight: of the spectral ones, 0 to 1; 0 computes none.
        count: eigenvectors.
        orientations: into which a map `(h, w)` is divided.

    Raises:
        KerasVisionError: contours as in `gradient_contours`; settings out of range.

    Source: Arbelaez et al., TPAMI 33(5), 2011, equation 15.
    """
    if not 0 <= weight <= 1:
        raise KerasVisionError(f"weight={weight}; accepted: 0, local contours alone, to 1, spectral ones alone.")
    planes = contour_planes(contours, orientations)
    if weight == 0 or planes.max() == 0:
        return planes
    spectral = spectral_contours(contours, count, orientations=len(planes))
    return (1 - weight) * planes + weight * planes.max() * spectral


def _strongest(contours: Any, orientations: int) -> np.ndarray:
    """Strength at each pixel whatever the direction, `(h, w)`."""
    planes = contour_planes(contours, max(1, orientations))
    return np.asarray(contours, float) if np.ndim(contours) == 2 else planes.max(0)


def _add_gradients(planes: np.ndarray, strength: np.ndarray, count: int, scale: float) -> None:
    angles = np.arange(len(planes)) * np.pi / len(planes)
    for value, vector in zip(*normalized_cuts(strength, count, steps=_STEPS), strict=True):
        dy, dx = (ndimage.gaussian_filter(vector, scale, order, mode="nearest") for order in ((1, 0), (0, 1)))
        share = 1 / np.sqrt(max(value, np.finfo(float).eps))
        for plane, angle in zip(planes, angles, strict=True):
            plane += share * np.abs(np.cos(angle) * dx + np.sin(angle) * dy)
