"""What a proposal looks like, without its colours: size, place, shape and contours."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.edges.inputs import strength_map
from keras_vision.errors import KerasVisionError
from keras_vision.proposals.proposal_set import Proposals

FEATURES = (
    "area",  # share of the image
    "centre_x", "centre_y", "left", "top", "right", "bottom",  # shares of the image's sides
    "rim",  # share of the perimeter that is the image's rim
    "perimeter",  # over the root of the area
    "aspect",  # width over height of the box
    "extent",  # area over that of the box
    "elongation",  # minor over major axis of the pixels' moments
    "contour_sum",  # strength along the perimeter, over the root of the area
    "contour_mean", "contour_least",  # along the perimeter; least over the neighbours
    "inner_mean", "inner_most",  # strength of the borders between its own regions
    "regions",  # how many
)  # fmt: skip
_CHUNK = 1 << 24  # borders times proposals


def proposal_features(proposals: Proposals, contours: Any) -> np.ndarray:
    """Size, location, shape and contours of each proposal: float32 `(proposals, 18)`, named by `FEATURES`.

    Args:
        proposals: of one image.
        contours: strength of the border of each pixel with its right and lower neighbours, 0 to 1, `(h, w)`: the
            `contours()` of a hierarchy whose regions the proposals are made of.

    Raises:
        KerasVisionError: contours of another size, or out of range.

    Source: Pont-Tuset et al., 2016, section 5.3, names the four groups; the features themselves are these.
    """
    strength = strength_map(contours, "contours")
    labels, members = proposals.labels, proposals.members
    if strength.shape != labels.shape:
        raise KerasVisionError(f"contours of {strength.shape} pixels, proposals of {labels.shape}; they must agree.")
    height, width = labels.shape
    areas, boxes = proposals.areas.astype(float), proposals.boxes
    root = np.sqrt(np.maximum(areas, 1))
    x, y, elongation = _moments(proposals)
    rim, outer, inner = _borders(proposals, strength)
    length = rim + outer[0]
    sides = boxes[:, 2:] - boxes[:, :2]
    columns = [
        areas / labels.size,
        *(x / width, y / height),
        *(boxes / (width, height, width, height)).T,
        rim / np.maximum(length, 1),
        length / root,
        sides[:, 0] / sides[:, 1],
        areas / sides.prod(1),
        elongation,
        *(outer[1] / root, outer[1] / np.maximum(outer[0], 1), outer[2]),
        *(inner[1] / np.maximum(inner[0], 1), inner[3]),
        members.sum(1),
    ]
    return np.column_stack(columns).astype(np.float32)


def _moments(proposals: Proposals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre x and y in pixels, and the ratio of the axes of each proposal."""
    labels = proposals.labels.ravel()
    y, x = (axis.ravel() + 0.5 for axis in np.indices(proposals.labels.shape))
    regions = proposals.members.shape[1]
    sums = [np.bincount(labels, weights, regions) for weights in (np.ones(len(x)), x, y, x * x, x * y, y * y)]
    count, x, y, xx, xy, yy = (proposals.members.astype(float) @ np.column_stack(sums)).T
    x, y = x / count, y / count
    xx, xy, yy = xx / count - x * x + 1 / 12, xy / count - x * y, yy / count - y * y + 1 / 12
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return x, y, np.sqrt(np.maximum(middle - spread, 0) / (middle + spread))


def _borders(proposals: Proposals, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides on the rim `(n,)`; of the borders outside and inside: length, strength, least and greatest mean."""
    labels, members = proposals.labels, proposals.members
    corners = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    rim = members.astype(float) @ np.bincount(corners, minlength=members.shape[1])
    (a, b), length, total = _arcs(labels, strength)
    mean = total / length
    outer, inner = np.zeros((4, len(members))), np.zeros((4, len(members)))
    step = max(1, _CHUNK // max(1, len(a)))
    for start in range(0, len(members), step):
        rows = members[start : start + step]
        for found, chosen in ((outer, rows[:, a] != rows[:, b]), (inner, rows[:, a] & rows[:, b])):
            part = found[:, start : start + step]
            part[:2] = (chosen.astype(float) @ np.column_stack([length, total])).T
            part[2] = np.where(chosen, mean, 1.0).min(1, initial=1.0)
            part[3] = np.where(chosen, mean, 0.0).max(1, initial=0.0)
    return rim, outer, inner


def _arcs(labels: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regions that touch (2, m), the pixel sides between them, and the strength summed over those."""
    keys, values = [], []
    regions = int(labels.max()) + 1
    for dy, dx in ((0, 1), (1, 0)):
        here = np.s_[: labels.shape[0] - dy, : labels.shape[1] - dx]
        one, other = labels[here], labels[dy:, dx:]
        apart = one != other
        low, high = np.sort([one[apart], other[apart]], 0).astype(np.int64)
        keys.append(low * regions + high)
        values.append(strength[here][apart])
    found, arc = np.unique(np.concatenate(keys), return_inverse=True)
    return np.stack(divmod(found, regions)), np.bincount(arc), np.bincount(arc, np.concatenate(values), len(found))
