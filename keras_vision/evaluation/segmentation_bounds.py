"""What a coarse prediction could reach at best: mean IU of a truth that was downsampled and upsampled again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.segmentation import SegmentationScores, confusion_matrix

FACTORS = (128, 64, 32, 16, 8, 4)


def upper_bounds(images: SegmentedImages, factors: Sequence[int] = FACTORS) -> dict[int, SegmentationScores]:
    """Scores of the masks themselves, downsampled by a factor and upsampled to their size, by factor.

    The paper does not state its resampling. Here a cell is a square of `factor` pixels, the first at the upper left
    corner and those at the right and lower edge cut off; its class is that of the pixel at its centre (`coarse`), and
    all its pixels get it. Void pixels take the nearest class first, since a network predicts classes everywhere.

    Args:
        images: the masks; images are not decoded.
        factors: lengths of a cell, in pixels.

    Raises:
        KerasVisionError: no images, no labelled pixel, or a factor below 1.

    Source: FCN (Long et al., 2015), appendix A.
    """
    if not len(images) or not factors or min(factors) < 1:
        raise KerasVisionError(f"factors={tuple(factors)} of {len(images)} images; give at least one, of 1 or above.")
    classes = len(images.class_names)
    totals = {factor: np.zeros((classes, classes + 1), np.int64) for factor in factors}
    for position in range(len(images)):
        truth = images.mask(position)
        filled = without_void(truth, images.void)
        for factor, total in totals.items():
            total += confusion_matrix(truth, coarse(filled, factor), classes, images.void)
    return {factor: SegmentationScores(total, tuple(images.class_names)) for factor, total in totals.items()}


def coarse(labels: np.ndarray, factor: int) -> np.ndarray:
    """Labels with one value for each cell of `factor` x `factor` pixels: that of its centre, `(h, w) -> (h, w)`.

    The centre of an even number of pixels is the one right of and below the middle; a cell that the edge cuts off has
    the centre of what is left.
    """
    rows, columns = (_centres(length, factor) for length in labels.shape)
    return labels[rows[:, None], columns]


def without_void(labels: np.ndarray, void: int | None) -> np.ndarray:
    """Labels in which void pixels have the class of the nearest pixel that has one; as they are if none has."""
    if void is None or not (missing := labels == void).any() or missing.all():
        return labels
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


def _centres(length: int, factor: int) -> np.ndarray:
    """For each position the centre of its cell."""
    first = np.arange(length) // factor * factor
    return (first + np.minimum(first + factor, length)) // 2
