"""HHA on planes whose place is known: a tilted camera above a floor, before a wall and a slope."""

import numpy as np
import pytest

from keras_vision.data import Camera, hha
from keras_vision.data.depth_encoding import gravity, points, surface_normals
from keras_vision.errors import KerasVisionError

CAMERA = Camera((260.0, 255.0), (80.0, 61.0))
SHAPE = (120, 160)
TILT = np.radians(20)  # the camera looks down by this
DOWN = np.array([0.0, np.cos(TILT), np.sin(TILT)])
ALONG = np.array([0.0, -np.sin(TILT), np.cos(TILT)])  # level, away from the camera
STAND = 1.4  # metres from the camera to the floor


def scene(*planes):
    """The nearest of the planes `normal . p = distance` along each pixel's ray, by intersection, and which it is."""
    depths = np.full((len(planes), *SHAPE), np.inf)
    for row in range(SHAPE[0]):
        for column in range(SHAPE[1]):
            ray = np.array([(column - 80.0) / 260.0, (row - 61.0) / 255.0, 1.0])
            for number, (normal, distance) in enumerate(planes):
                if (slope := normal @ ray) > 1e-6:
                    depths[number, row, column] = distance / slope
    return depths.min(0), depths.argmin(0)


FLOOR, WALL = (DOWN, STAND), (ALONG, 4.0)
SLOPE_ANGLE = np.radians(30)
SLOPE = (DOWN * np.cos(SLOPE_ANGLE) + ALONG * np.sin(SLOPE_ANGLE), 3.0)


@pytest.fixture(scope="module")
def room():
    return scene(FLOOR, WALL)


def inner(mask, margin=8):
    """Pixels whose window lies within the mask."""
    out = mask.copy()
    for axis in (0, 1):
        for shift in (-margin, margin):
            out &= np.roll(mask, shift, axis)
    out[:margin], out[-margin:], out[:, :margin], out[:, -margin:] = False, False, False, False
    return out


def test_normals_of_known_planes(room):
    depth, plane = room
    normals = surface_normals(depth, CAMERA)
    for number, (direction, _) in enumerate((FLOOR, WALL)):
        found = normals[inner(plane == number)]
        assert len(found) > 500
        np.testing.assert_allclose(found, np.broadcast_to(-direction, found.shape), atol=1e-6)


def test_gravity_is_found_under_a_tilted_camera_in_spite_of_a_slope():
    depth, _ = scene(FLOOR, WALL, SLOPE)
    found = gravity(surface_normals(depth, CAMERA))
    assert np.degrees(np.arccos(found @ DOWN)) < 1.0


def test_a_wall_alone_leaves_gravity_in_its_plane():
    depth, _ = scene(WALL)
    found = gravity(surface_normals(depth, CAMERA))
    assert abs(found @ ALONG) < 1e-3
    assert found[1] > 0.9


def test_height_and_angle_of_floor_wall_and_slope(room):
    depth, plane = room
    code = hha(depth, CAMERA).astype(float)
    floor, wall = inner(plane == 0), inner(plane == 1)
    assert abs(code[floor][:, 1]).max() <= 2  # centimetres
    assert abs(code[floor][:, 2] - 38).max() <= 1
    assert abs(code[wall][:, 2] - 128).max() <= 1
    above = 100 * (STAND - points(depth, CAMERA) @ DOWN)
    shown = wall & (above < 250)
    np.testing.assert_allclose(code[shown][:, 1], above[shown], atol=2.5)
    np.testing.assert_allclose(code[..., 0], (310 / np.maximum(depth, 1)).round().clip(0, 255), atol=1)
    sloped, number = scene(FLOOR, WALL, SLOPE)
    angles = hha(sloped, CAMERA)[inner(number == 2)][:, 2].astype(float)
    assert len(angles) > 300
    assert abs(angles - (38 + 30)).max() <= 2


def test_missing_depth_is_black_and_hurts_nothing_else(room):
    depth, plane = room
    holes = depth.copy()
    holes[30:34, 40:60], holes[90, 100] = 0, np.nan
    code, whole = hha(holes, CAMERA), hha(depth, CAMERA)
    assert not code[30:34, 40:60].any()
    assert not code[90, 100].any()
    kept = inner(plane == 1) & (np.nan_to_num(holes) > 0)
    assert abs(code[kept].astype(int) - whole[kept]).max() <= 1


@pytest.mark.parametrize(("depth", "message"), [
    (np.zeros((4, 4)), "no pixel has a depth"),
    (np.ones((4, 4, 1)), "give metres"),
    (-np.ones((4, 4)), "give metres"),
    (np.full((4, 4), np.inf), "give metres"),
])  # fmt: skip
def test_depth_that_makes_no_sense(depth, message):
    with pytest.raises(KerasVisionError, match=message):
        hha(depth, CAMERA)


def test_one_pixel_has_no_surface():
    with pytest.raises(KerasVisionError, match="no surface has a normal"):
        hha(np.ones((1, 1)), CAMERA)
