"""Contours without learning: gradients of colour, gathered over a neighbourhood and several scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.arcs import LARGEST

_HALF = 12.0  # difference in Lab over one scale at which a contour's strength is 1 - 1 / e


def gradient_contours(image: Any, *, orientations: int = 8, scales: Sequence[float] = (1.0, 2.0, 4.0)) -> np.ndarray:
    """Strength of the contours of each direction, 0 to 1: float64 `(orientations, h, w)`.

    The structure tensor: products of the gradients of lightness and the two colours (CIE Lab), summed over the three
    and smoothed by half the scale, so that both sides of a line count together. In direction t it holds the square of
    the contrast across t; its root, times the scale, is the difference that an edge makes. Strength is
    1 - exp(-difference / 12), the mean over the scales. What is drawn does not depend on the rest of the image, and an
    image of one colour has no contours.

    A fallback: contours of a trained `keras_vision.edges.HED` are better, since texture is contrast too.

    Args:
        image: uint8, or 0 to 1, of `(h, w)`, `(h, w, 1)` or `(h, w, 3)`.
        orientations: planes; plane k holds edges whose normal is at k pi / orientations from the x axis towards the y
            axis (down).
        scales: standard deviations of the Gaussian derivatives, pixels.

    Raises:
        KerasVisionError: another shape or type (alpha too), values out of range or not finite, or more than 16
            megapixels; no orientation, or a scale that is not above 0.

    Source: Di Zenzo, A Note on the Gradient of a Multi-Image, CVGIP 33, 1986, for the tensor.
    """
    lab = rgb2lab(colours(image))
    if orientations < 1 or not len(scales) or not all(0 < scale < float("inf") for scale in scales):
        raise KerasVisionError(f"orientations={orientations}, scales={scales}; give at least 1, and scales above 0.")
    angles = np.arange(orientations) * np.pi / orientations
    strength = np.zeros((orientations, *lab.shape[:2]))
    for scale in scales:
        yy, xy, xx = _tensor(lab, scale)
        for plane, angle in zip(strength, angles, strict=True):
            c, s = np.cos(angle), np.sin(angle)
            contrast = np.sqrt(np.maximum(c * c * xx + 2 * c * s * xy + s * s * yy, 0)) * scale
            plane += (1 - np.exp(-contrast / _HALF)) / len(scales)
    return strength


def colours(image: Any) -> np.ndarray:
    """An image as float64 `(h, w, 3)`, 0 to 1.

    Raises:
        KerasVisionError: another shape or type (alpha too), values out of range or not finite, or too many pixels.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not pixels.size or pixels.shape[2] not in (1, 3):
        hint = "; lay it on a background to be rid of alpha" if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else ""
        raise KerasVisionError(f"image of shape {np.shape(image)}; expected (h, w), (h, w, 1) or (h, w, 3){hint}.")
    if pixels.shape[0] * pixels.shape[1] > LARGEST:
        megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
        raise KerasVisionError(f"an image of {megapixels:.1f} megapixels; at most 16: make it smaller, or cut it.")
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise KerasVisionError(f"image of type {pixels.dtype}; expected uint8, or floats from 0 to 1.")
    pixels = pixels / 255.0 if pixels.dtype == np.uint8 else pixels.astype(float)
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise KerasVisionError(
            "an image of floats has values outside 0 to 1, or not finite; divide 8-bit values by 255."
        )
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _tensor(lab: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products of the gradients, yy, xy and xx, summed over channels: `(h, w)` each."""
    channels = np.moveaxis(lab, 2, 0)
    dy, dx = (
        np.stack([ndimage.gaussian_filter(channel, scale, order, mode="nearest") for channel in channels])
        for order in ((1, 0), (0, 1))
    )
    yy, xy, xx = (
        ndimage.gaussian_filter(product.sum(0), scale / 2, mode="nearest") for product in (dy * dy, dy * dx, dx * dx)
    )
    return yy, xy, xx
