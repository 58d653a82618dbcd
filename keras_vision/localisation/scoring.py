"""How often an object was not found, by the criterion of ILSVRC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.localisation.boxes import iou

OVERLAP = 0.5  # a box is right if its intersection over union with a true one is above

Truth = Sequence[tuple[int, Any]]


def localisation_error(predictions: Sequence[Sequence[Any]], truth: Truth, top: int = 5) -> float:
    """Share of images, 0 to 1, for which no prediction has the right class and IoU > 0.5 with a true box.

    Args:
        predictions: of each image (class, probability, box), best first, as `localise` gives them.
        truth: of each image its class and that class's boxes `(m, 4)`: (left, top, right, bottom), in the same pixels.
        top: number of predictions of each image that count.

    Raises:
        KerasVisionError: no images, unequal numbers of them, or boxes that are not `(m, 4)` finite corners.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.2; ILSVRC (Russakovsky et al., 2014).
    """
    _check(predictions, truth)
    found = [
        any(index == true_class and _overlaps(box, boxes) for index, _, box in list(of_image)[:top])
        for of_image, (true_class, boxes) in zip(predictions, truth, strict=True)
    ]
    return 1 - float(np.mean(found))


def ground_truth_class_error(boxes: Sequence[Any], truth: Truth) -> float:
    """The same for boxes `(n, 4)` predicted with the class given, as by `centre_crop_box`: only the boxes can be wrong.

    Source: VGG (Simonyan & Zisserman, 2014), Table 8.
    """
    _check(boxes, truth)
    found = [_overlaps(box, true_boxes) for box, (_, true_boxes) in zip(boxes, truth, strict=True)]
    return 1 - float(np.mean(found))


def _overlaps(box: Any, boxes: Any) -> bool:
    return bool((iou([box], boxes) > OVERLAP).any())


def _check(predictions: Sequence[Any], truth: Truth) -> None:
    if len(predictions) != len(truth) or not len(truth):
        raise KerasVisionError(f"predictions for {len(predictions)} images and the truth of {len(truth)}.")
