"""Oriented watershed transform: the regions between contours, and how strong each piece of border between two is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import ndimage, spatial
from skimage.segmentation import watershed

from keras_vision.edges.inputs import strength_map
from keras_vision.errors import KerasVisionError

LARGEST = 16 << 20  # pixels
_NEAR = 4.5  # pixels: how far along an arc its direction is measured


@dataclasses.dataclass(frozen=True, eq=False)
class Arcs:
    """Regions, and the borders between neighbours.

    Attributes:
        labels: region of each pixel from 0, int32 `(h, w)`.
        pairs: neighbouring regions, the lower number first, sorted: `(m, 2)`.
        length: pixel sides along which the two touch: `(m,)`.
        strength: contour strength summed over those sides: `(m,)`.
    """

    labels: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    strength: np.ndarray


def watershed_arcs(contours: Any, orientations: int = 8) -> Arcs:
    """Watershed of the strongest contour at each pixel; borders weighed at their own orientation.

    The strength of a pixel side is that of the stronger of its two pixels, for edges in the direction that the arc has
    there. So a weak arc that runs into a strong contour at an angle does not take over its strength.

    Args:
        contours: strengths from 0 to 1, `(h, w)`; or `(orientations, h, w)`, where plane k holds edges whose normal is
            at k pi / orientations from the x axis towards the y axis (down).
        orientations: planes made of a map `(h, w)`, by `orient`.

    Raises:
        KerasVisionError: another shape, values outside [0, 1] or not finite, or more than 16 megapixels.

    Source: Arbelaez et al., TPAMI 33(5), 2011, section 4.1. Deviation: the direction of an arc is the principal axis of
        its pixel sides within 4.5 pixels, where the paper divides arcs into straight pieces.
    """
    planes = contour_planes(contours, orientations)
    flat = np.asarray(contours, float) if np.ndim(contours) == 2 else planes.max(0)
    labels = watershed(flat).astype(np.int32)
    labels -= labels.min()  # a map without a minimum is one region
    where, normal, pairs = _sides(labels)
    pairs, arc = np.unique(pairs, axis=0, return_inverse=True)
    strength = _strength(planes, where, _normals(where, normal, arc.ravel()))
    return Arcs(labels, pairs, np.bincount(arc.ravel()), np.bincount(arc.ravel(), strength))


def contour_planes(contours: Any, orientations: int = 8) -> np.ndarray:
    """Checked contours as float64 `(orientations, h, w)`.

    Raises:
        KerasVisionError: another shape, values outside [0, 1] or not finite, or more than 16 megapixels.
    """
    shape = np.shape(contours)
    if len(shape) not in (2, 3) or not np.size(contours):
        raise KerasVisionError(f"contours of shape {shape}; expected (h, w), or (orientations, h, w).")
    if shape[-2] * shape[-1] > LARGEST:
        raise KerasVisionError(
            f"contours of {shape[-2]} x {shape[-1]} pixels; at most {LARGEST} pixels are taken: make the image "
            "smaller, or cut it into parts."
        )
    if len(shape) == 2:
        return orient(contours, orientations)
    return np.stack([strength_map(plane, f"contours of orientation {k}") for k, plane in enumerate(contours)])


def orient(contours: Any, orientations: int = 8) -> np.ndarray:
    """A map of contours divided by direction: float64 `(orientations, h, w)`.

    The normal of an edge is where the second derivative, smoothed by 2 pixels, is lowest. Planes weigh the strength by
    the squared cosine of the angle between it and their own normal.

    Args:
        contours: strengths from 0 to 1, `(h, w)`.
        orientations: how many, evenly spaced over half a turn.

    Raises:
        KerasVisionError: another shape, values outside [0, 1], or no orientation.
    """
    if orientations < 1:
        raise KerasVisionError(f"orientations={orientations}; give at least 1.")
    strength = strength_map(contours, "contours")
    dyy, dxy, dxx = (ndimage.gaussian_filter(strength, 2, order) for order in ((2, 0), (1, 1), (0, 2)))
    normal = np.arctan2(2 * dxy, dxx - dyy) / 2 + np.pi / 2
    angles = np.arange(orientations) * np.pi / orientations
    return strength * np.cos(normal - angles[:, None, None]) ** 2


def _sides(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel sides between regions: the two pixels (k, 2, 2) as (y, x), the side's normal `(k,)`, the regions (k, 2)."""
    found = []
    for dy, dx, normal in ((0, 1, 0.0), (1, 0, np.pi / 2)):
        first, second = labels[: labels.shape[0] - dy, : labels.shape[1] - dx], labels[dy:, dx:]
        yx = np.argwhere(first != second)
        pairs = np.stack([first[tuple(yx.T)], second[tuple(yx.T)]], 1)
        found.append((np.stack([yx, yx + np.array([dy, dx])], 1), np.full(len(yx), normal), np.sort(pairs, 1)))
    where, normals, pairs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return where, normals, pairs


def _normals(where: np.ndarray, own: np.ndarray, arc: np.ndarray) -> np.ndarray:
    """Direction across the arc at each of its sides, radians; a side that is alone has its own."""
    if not len(where):
        return own
    middle = where.mean(1)
    tree = spatial.cKDTree(np.column_stack([middle, arc * 4 * _NEAR]))  # arcs lie too far apart to be mixed
    a, b = tree.query_pairs(_NEAR, output_type="ndarray").T
    near = np.concatenate([a, b, np.arange(len(arc))]), np.concatenate([b, a, np.arange(len(arc))])

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(near[0], values[near[1]], len(arc))

    y, x = middle.T
    count = total(np.ones(len(arc)))
    yy = total(y * y) - total(y) ** 2 / count
    xy = total(x * y) - total(x) * total(y) / count
    xx = total(x * x) - total(x) ** 2 / count
    axis = np.arctan2(2 * xy, xx - yy) / 2 + np.pi / 2
    return np.where(np.hypot(xx - yy, 2 * xy) > 1e-6, axis, own)


def _strength(planes: np.ndarray, where: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Strength of each side at the angle of its normal, linear between the two nearest planes: `(k,)`."""
    at = np.mod(normal, np.pi) * len(planes) / np.pi
    below = at.astype(int) % len(planes)
    share = (at - np.floor(at))[:, None]
    y, x = where[..., 0], where[..., 1]
    one, other = planes[below[:, None], y, x], planes[(below[:, None] + 1) % len(planes), y, x]
    return np.asarray((one * (1 - share) + other * share).max(1))
