"""Of boxes that overlap, the surest alone: non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.localisation.boxes import checked_boxes, iou


def suppress_overlaps(boxes: Any, scores: Any, overlap: float = 0.3) -> np.ndarray:
    """Positions of the boxes that no surer one that stays overlaps by more than `overlap`, the surest first: `(k,)`.

    Args:
        boxes: `(n, 4)`, left, top, right, bottom.
        scores: `(n,)`; of equal ones the first stays.
        overlap: intersection over union, 0 to 1.

    Raises:
        KerasVisionError: boxes that are no finite corners, not one finite score for each, or an overlap out of range.

    Source: Girshick et al., R-CNN, CVPR 2014, section 2.2; 0.3 is theirs and SPP-net's.
    """
    corners, sure = checked_boxes(boxes), np.asarray(scores, float)
    if sure.shape != (len(corners),) or not np.isfinite(sure).all() or not 0 <= overlap <= 1:
        raise KerasVisionError(
            f"scores of shape {sure.shape} for {len(corners)} boxes, overlap={overlap}; give a finite score for each "
            "box, and an overlap from 0 to 1."
        )
    kept: list[int] = []
    left = np.argsort(-sure, kind="stable")
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        left = left[iou(corners[[first]], corners[left])[0] <= overlap]
    return np.array(kept, int)
