"""Many predictions of one object, from several windows, scales and networks, merged into one."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.localisation.boxes import checked_boxes, iou

THRESHOLD = 0.5  # two equal boxes, shifted by 0.19 of their side


def match_scores(boxes: Any, others: Any) -> np.ndarray:
    """How badly boxes `(n, 4)` match others `(m, 4)`: `(n, m)`, 0 for the same box, independent of the unit.

    It is the distance between the centres divided by the mean side of the two boxes, plus 1 - IoU. OverFeat names the
    distance and the intersection area, without units or weights; the division, and 1 - IoU in place of the
    intersection, are this reading of it: both terms shrink as the match gets better, whatever the size of the boxes.

    Source: OverFeat (Sermanet et al., 2014), section 4.3.
    """
    first, second = checked_boxes(boxes)[:, None], checked_boxes(others)[None]
    offset = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    sides = (first[..., 2:] - first[..., :2]).mean(axis=-1) + (second[..., 2:] - second[..., :2]).mean(axis=-1)
    distance = np.hypot(offset[..., 0], offset[..., 1]) / np.maximum(sides / 2, np.finfo(np.float32).tiny)
    return distance + 1 - iou(boxes, others)


def merge_boxes(boxes: Any, scores: Any, threshold: float = THRESHOLD) -> tuple[np.ndarray, np.ndarray]:
    """Greedy merging: the best-matching pair becomes its average, until no pair matches better than the threshold.

    In the average a box counts as often as it has boxes in it, so a merged box is the mean of those given. Scores of
    merged boxes add up. The result does not depend on the order. Memory: some arrays of `(n, n)` float64.

    Args:
        boxes: `(n, 4)`, (left, top, right, bottom), of all windows, scales and networks together.
        scores: `(n,)`, not negative: the posterior of the class in the window that each box comes from.
        threshold: largest `match_scores` that is merged; 0 merges equal boxes only.

    Returns:
        Merged boxes `(m, 4)` and scores `(m,)`, best first: the final prediction is the first.

    Raises:
        KerasVisionError: boxes that are not `(n, 4)` finite corners, scores that are not one finite number of at least
            0 each, or a negative threshold.

    Source: OverFeat (Sermanet et al., 2014), section 4.3; VGG (Simonyan & Zisserman, 2014), appendix A.1.
    """
    boxes, scores = checked_boxes(boxes), np.asarray(scores, np.float64)
    if scores.shape != (len(boxes),) or not (np.isfinite(scores) & (scores >= 0)).all() or not threshold >= 0:
        raise KerasVisionError(
            f"scores of shape {scores.shape} for {len(boxes)} boxes, threshold={threshold}; give one finite score of "
            "at least 0 for each box, and a threshold of at least 0."
        )
    order = np.lexsort((scores, *boxes.T))  # among equal matches the first is taken, whatever order they came in
    if len(boxes):
        boxes, scores = _merge(boxes[order], scores[order], threshold)
    best = np.argsort(-scores, kind="stable")
    return boxes[best], scores[best]


def _merge(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    counts = np.ones(len(boxes))  # 0: merged into another
    matches = match_scores(boxes, boxes)
    np.fill_diagonal(matches, np.inf)
    nearest, best = matches.argmin(axis=1), matches.min(axis=1)
    for _ in range(len(boxes) - 1):
        first = int(best.argmin())
        if best[first] > threshold:
            break
        kept, gone = sorted((first, int(nearest[first])))
        boxes[kept] = np.average(boxes[[kept, gone]], axis=0, weights=counts[[kept, gone]])
        scores[kept] += scores[gone]
        counts[kept] += counts[gone]
        counts[gone] = 0
        row = match_scores(boxes[[kept]], boxes)[0]
        row[(counts == 0) | (np.arange(len(row)) == kept)] = np.inf
        matches[gone] = matches[:, gone] = np.inf
        matches[kept] = matches[:, kept] = row
        stale = np.isin(nearest, (kept, gone)) | (row < best)
        stale[[kept, gone]] = True
        nearest[stale], best[stale] = matches[stale].argmin(axis=1), matches[stale].min(axis=1)
    return boxes[counts > 0], scores[counts > 0]
