"""Depth as three channels that a network for photographs can start from: HHA (Gupta et al., ECCV 2014, section 3.1).

Horizontal disparity, height above the ground, and the angle of the surface with gravity. In camera coordinates x is to
the right, y down and z away from the camera, in metres.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import uniform_filter

from keras_vision.errors import KerasVisionError

_ANGLES = (45.0, 15.0)  # degrees within which a surface counts as level or upright, in the two rounds of the search
_ROUNDS = 5  # of each
_HELD = 1e-3  # weight of the direction so far, as a share of all surfaces
_NEAREST = 1.0  # metres; nearer things have no higher code
_FLATTEST = 1e-9  # determinant of the fit, over the number of its pixels to the third, below which it is no plane


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        focal: focal lengths along width and height, in pixels.
        centre: column and row of the optical axis, in pixels.
    """

    focal: tuple[float, float]
    centre: tuple[float, float]


def hha(depth: np.ndarray, camera: Camera, radius: int = 5) -> np.ndarray:
    """Disparity, height and angle as colours, uint8 `(h, w, 3)`.

    The first is 310 / z for z in metres, at least 1: 255 at 1.2 m. The second is centimetres above the lowest point.
    The third is the angle between the surface's normal and the upward direction, in degrees, plus 38: 38 for a floor,
    128 for a wall, 218 for a ceiling. All are clipped; where there is no depth all are 0. These scales are from memory
    of the authors' program.

    Args:
        depth: metres along the optical axis `(h, w)`; 0 or NaN where it is not known.
        camera: that took it.
        radius: of the windows in which planes are fitted, in pixels.

    Raises:
        KerasVisionError: another shape, negative or infinite depth, or none at all.
    """
    z = checked_depth(depth)
    known = z > 0
    disparity = 310 / np.maximum(z, _NEAREST)
    normals = surface_normals(z, camera, radius)
    up = -gravity(normals)
    height = points(z, camera) @ up
    height = 100 * (height - height[known].min())
    angle = np.degrees(np.arccos(np.clip(normals @ up, -1, 1))) + 38
    channels = np.stack([disparity, height, np.where(np.isnan(angle), 128, angle)], -1)
    return np.where(known[..., None], channels.round().clip(0, 255), 0).astype(np.uint8)


def points(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Where the pixels lie in camera coordinates, metres `(h, w, 3)`."""
    rays = _rays(depth.shape, camera)
    return rays * depth[..., None]


def surface_normals(depth: np.ndarray, camera: Camera, radius: int = 5) -> np.ndarray:
    """Unit normals, towards the camera, of the planes that fit the windows around each pixel: `(h, w, 3)`.

    In a plane the inverse of the depth is linear in the pixel's coordinates, so that each fit is one of three unknowns.
    NaN where the window holds no plane: fewer than three pixels with depth, or these in one row.

    Args:
        depth: metres `(h, w)`; 0 where it is not known.
        camera: that took it.
        radius: of the windows, in pixels.
    """
    known = depth > 0
    inverse = np.divide(1, depth, out=np.zeros(depth.shape), where=known)
    rays = _rays(depth.shape, camera)
    size = 2 * radius + 1

    def total(values: np.ndarray) -> np.ndarray:
        return uniform_filter(np.where(known, values, 0.0), size, mode="constant") * size**2

    left = np.stack([np.stack([total(rays[..., i] * rays[..., j]) for i in range(3)], -1) for j in range(3)], -2)
    right = np.stack([total(rays[..., i] * inverse) for i in range(3)], -1)
    count = np.maximum(left[..., 2, 2], 1)
    focal = np.prod(camera.focal) ** 2  # rays of neighbouring pixels differ by 1 / focal
    flat = np.linalg.det(left) * focal / count**3 < _FLATTEST
    left[flat] = np.eye(3)
    normals = np.linalg.solve(left, right[..., None])[..., 0]
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    bad = flat[..., None] | (length == 0) | ~known[..., None]
    return np.where(bad, np.nan, -normals / np.where(length == 0, 1, length))


def gravity(normals: np.ndarray) -> np.ndarray:
    """The direction down, a unit vector `(3,)`: along the normals of level surfaces, across those of upright ones.

    Args:
        normals: unit vectors `(..., 3)`; NaN ones are left out.

    Raises:
        KerasVisionError: there are none.

    Source: Gupta, Arbelaez & Malik, CVPR 2013, section 3 ("gravity direction").
    """
    vectors = normals.reshape(-1, 3)
    vectors = vectors[~np.isnan(vectors).any(1)]
    if not len(vectors):
        raise KerasVisionError("no surface has a normal; give more depth, or a larger radius.")
    down = np.array([0.0, 1.0, 0.0])
    for angle in np.repeat(_ANGLES, _ROUNDS):
        along = np.abs(vectors @ down)
        level = vectors[along > np.cos(np.radians(angle))]
        upright = vectors[along < np.sin(np.radians(angle))]
        held = _HELD * len(vectors) * np.outer(down, down)  # decides where no surface is level, or none upright
        _, directions = np.linalg.eigh(upright.T @ upright - level.T @ level - held)
        down = directions[:, 0] * (np.sign(directions[1, 0]) or 1.0)
    return down


def checked_depth(depth: np.ndarray) -> np.ndarray:
    """Depth as float64 with 0 where it is not known.

    Raises:
        KerasVisionError: another shape, negative or infinite depth, or none at all.
    """
    z = np.asarray(depth, np.float64)
    if z.ndim != 2 or np.isinf(z).any() or (z < 0).any():
        raise KerasVisionError(f"depth of shape {z.shape}; give metres (h, w), 0 or NaN where it is not known.")
    z = np.nan_to_num(z)
    if not (z > 0).any():
        raise KerasVisionError("no pixel has a depth; all are 0 or NaN.")
    return z


def _rays(shape: tuple[int, ...], camera: Camera) -> np.ndarray:
    """Of each pixel the point at a depth of 1, `(h, w, 3)`."""
    rows, columns = np.indices(shape, np.float64)
    x, y = ((v - c) / f for v, c, f in zip((columns, rows), camera.centre, camera.focal, strict=True))
    return np.stack([x, y, np.ones(shape)], -1)
