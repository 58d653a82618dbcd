"""How well objects' borders are drawn: scores of the pixels in a band around them, by the band's width."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.segmentation import SegmentationScores, confusion_matrix, pairs

AROUND = ("void", "boundaries")
WIDTHS = tuple(range(1, 41))


@dataclasses.dataclass(frozen=True, eq=False)
class TrimapCurve:
    """Scores within bands of growing width.

    Attributes:
        widths: of the bands, in pixels, increasing.
        scores: of each band; a band holds the narrower ones.
        around: "void" or "boundaries".
    """

    widths: tuple[int, ...]
    scores: tuple[SegmentationScores, ...]
    around: str

    @property
    def pixel_accuracy(self) -> np.ndarray:
        """Of each band, `(widths,)`."""
        return np.array([each.pixel_accuracy for each in self.scores])

    @property
    def mean_iu(self) -> np.ndarray:
        """Of each band, `(widths,)`."""
        return np.array([each.mean_iu for each in self.scores])


def trimap_curve(
    images: SegmentedImages, predicted: Iterable[Any], widths: Sequence[int] = WIDTHS, around: str = "void"
) -> TrimapCurve:
    """Pixel accuracy and mean IU near objects' borders (DeepLab's Figure 5).

    Args:
        images: the masks.
        predicted: class of each pixel `(h, w)`, of each image in order.
        widths: of the bands, in pixels, from 1.
        around: what the bands surround, see `border_distance`. In PASCAL VOC void marks the borders; where it marks
            only what nobody labelled, as in CamVid, give "boundaries".

    Raises:
        KerasVisionError: no pixel in a band, widths that do not increase, another `around`, or predictions that do not
            fit.

    Source: DeepLab (Chen et al., 2015), section 4.3; Kohli et al. (2009); Krähenbühl & Koltun (2011).
    """
    edges = np.asarray(widths)
    if not len(edges) or edges[0] < 1 or (np.diff(edges) <= 0).any():
        raise KerasVisionError(f"widths={list(widths)}; give increasing numbers of pixels from 1.")
    classes = len(images.class_names)
    rings = np.zeros((len(edges), classes, classes + 1), np.int64)
    for truth, found in pairs(images, predicted):
        ring = np.searchsorted(edges, border_distance(truth, images.void, around))  # the narrowest band that has it
        for number in np.unique(ring[ring < len(edges)]):
            inside = ring == number
            rings[number] += confusion_matrix(truth[inside], found[inside], classes, images.void)
    bands = rings.cumsum(0)
    if not bands[0].any():
        raise KerasVisionError(
            f"no labelled pixel within {edges[0]} pixels of {around}; around='boundaries' is for masks in which "
            "classes touch, around='void' for those in which void parts them."
        )
    names = tuple(images.class_names)
    return TrimapCurve(tuple(edges.tolist()), tuple(SegmentationScores(band, names) for band in bands), around)


def border_distance(labels: np.ndarray, void: int | None, around: str = "void") -> np.ndarray:
    """Distance of each pixel from the nearest border, in pixels, float64 `(h, w)`; infinite without borders.

    "void": Euclidean distance of the pixel's centre from that of the nearest void pixel: 0 inside void, 1 beside it.
    "boundaries": 1 for pixels beside one of another class (above, below, left or right), and 1 more than the distance
    to the nearest such pixel for the others. A border of a class with void is none.

    Raises:
        KerasVisionError: another `around`.
    """
    if around not in AROUND:
        raise KerasVisionError(f"around={around!r}; accepted: {', '.join(AROUND)}.")
    if around == "void":
        marked = np.zeros(labels.shape, bool) if void is None else labels == void
    else:
        marked = _beside_another(labels, void)
    if not marked.any():
        return np.full(labels.shape, np.inf)
    return ndimage.distance_transform_edt(~marked) + (around == "boundaries")


def _beside_another(labels: np.ndarray, void: int | None) -> np.ndarray:
    labelled = np.ones(labels.shape, bool) if void is None else labels != void
    found = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        near, far = (np.swapaxes(a, 0, axis) for a in (labels, labelled))
        differs = (near[1:] != near[:-1]) & far[1:] & far[:-1]
        view = np.swapaxes(found, 0, axis)
        view[1:] |= differs
        view[:-1] |= differs
    return found
