"""Weights of classes that make rare ones count in a loss of pixels."""

from __future__ import annotations

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.errors import KerasVisionError


def median_frequency_weights(images: SegmentedImages) -> np.ndarray:
    """Median frequency over the class's own, float32 `(classes,)`, for `PixelCrossentropy(class_weights=...)`.

    A class's frequency is its pixels over all labelled pixels of the images in which it occurs. A class of median
    frequency has weight 1, a rarer one more; so has a class that no image shows, which is left out of the median.
    Void pixels are not counted, and void is no class of the median.

    Raises:
        KerasVisionError: no labelled pixel, or a mask that cannot be read.

    Source: Eigen & Fergus (2015), section 6.3.2; SegNet (Badrinarayanan et al., 2015) uses it on CamVid.
    """
    classes = len(images.class_names)
    own, around = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for position in range(len(images)):
        mask = images.mask(position)
        labelled = mask if images.void is None else mask[mask != images.void]
        counts = np.bincount(labelled.ravel(), minlength=classes)
        own += counts
        around += np.where(counts > 0, counts.sum(), 0)
    present = own > 0
    if not present.any():
        raise KerasVisionError(f"no labelled pixel in {len(images)} images; class weights need at least one.")
    frequency = own[present] / around[present]
    weights = np.ones(classes, np.float32)
    weights[present] = np.median(frequency) / frequency
    return weights
