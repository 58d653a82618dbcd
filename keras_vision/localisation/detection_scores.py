"""Mean average precision of detections, by the rules of PASCAL VOC 2007 and of 2010 to 2012."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.localisation.boxes import checked_boxes, iou

RULES = ("voc2007", "voc2012")


@dataclasses.dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The curve of one class, a point for each detection that counts, the surest first.

    Attributes:
        precision, recall: `(k,)`; recall is NaN where the class has no objects.
        objects: that count, of all images.
    """

    precision: np.ndarray
    recall: np.ndarray
    objects: int

    def average_precision(self, rule: str = "voc2012") -> float:
        """Area under the curve, with precision made the greatest at that recall or a higher one; NaN without objects.

        Args:
            rule: "voc2012", the whole area; or "voc2007", the mean at recalls of 0, 0.1 to 1.

        Raises:
            KerasVisionError: another rule.

        Source: Everingham et al., IJCV 88(2), 2010, section 4.2; the development kit of 2012, section 3.4.1.
        """
        if rule not in RULES:
            raise KerasVisionError(f"rule={rule!r}; accepted: {', '.join(RULES)}.")
        if not self.objects:
            return float("nan")
        if rule == "voc2007":
            levels = np.arange(11) / 10
            best = [self.precision[self.recall >= level - 1e-9].max(initial=0.0) for level in levels]
            return float(np.mean(best))
        falling = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((np.diff(self.recall, prepend=0.0) * falling).sum())


def precision_recall(
    detections: Sequence[tuple[Any, Any]],
    objects: Sequence[Any],
    difficult: Sequence[Any] | None = None,
    *,
    overlap: float = 0.5,
) -> PrecisionRecall:
    """Precision against recall of the detections of one class over images.

    The surest detection comes first, whatever its image. It belongs to the object of its image that it overlaps most;
    it is right if that overlap is at least `overlap` and no surer one has taken that object, and else wrong. Detections
    of a difficult object count neither way. Unlike the development kit, boxes have no further pixel on the right and
    below: corners are edges of pixels.

    Args:
        detections: of each image, boxes `(n, 4)` as left, top, right, bottom, and scores `(n,)`.
        objects: of each image, boxes `(m, 4)`.
        difficult: of each image, which objects are difficult, `(m,)`; None: none.
        overlap: least intersection over union, above 0 and at most 1.

    Raises:
        KerasVisionError: numbers that differ, boxes that are no finite corners, scores that are not finite.

    Source: Everingham et al., IJCV 88(2), 2010, section 4.2.
    """
    truth = [checked_boxes(boxes) for boxes in objects]
    hard = [np.zeros(len(b), bool) for b in truth] if difficult is None else [np.asarray(d, bool) for d in difficult]
    if len(detections) != len(truth) or list(map(len, hard)) != list(map(len, truth)) or not 0 < overlap <= 1:
        raise KerasVisionError(
            f"detections of {len(detections)} images, objects of {len(truth)}, overlap={overlap}; give both for each "
            "image, a mark for each object, and an overlap above 0 and at most 1."
        )
    all_scores, matched = [], []
    for (boxes, scores), own in zip(detections, truth, strict=True):
        found, sure = checked_boxes(boxes), np.asarray(scores, float)
        if sure.shape != (len(found),) or not np.isfinite(sure).all():
            raise KerasVisionError(f"scores of shape {sure.shape} for {len(found)} boxes; give a finite one for each.")
        overlaps = np.concatenate([iou(found, own), np.zeros((len(found), 1))], 1)  # the last: no object
        matched.append(np.where(overlaps.max(1) >= overlap, overlaps.argmax(1), -1))
        all_scores.append(sure)
    return _curve(all_scores, matched, hard)


def mean_average_precision(curves: Sequence[PrecisionRecall], rule: str = "voc2012") -> float:
    """Mean over the classes that have objects.

    Raises:
        KerasVisionError: another rule, or no class with objects.
    """
    found = [curve.average_precision(rule) for curve in curves if curve.objects]
    if not found:
        raise KerasVisionError("no class has objects; there is nothing to average.")
    return float(np.mean(found))


def _curve(scores: list[np.ndarray], matched: list[np.ndarray], hard: list[np.ndarray]) -> PrecisionRecall:
    image = np.repeat(np.arange(len(scores)), [len(each) for each in scores])
    flat = np.concatenate([np.zeros(0), *scores])
    which = np.concatenate([np.zeros(0, int), *matched])
    taken: set[tuple[int, int]] = set()
    right = []
    for position in np.argsort(-flat, kind="stable").tolist():
        place = int(image[position]), int(which[position])
        if place[1] >= 0 and hard[place[0]][place[1]]:
            continue
        right.append(place[1] >= 0 and place not in taken)
        taken.add(place)
    objects = int(sum((~marks).sum() for marks in hard))
    hits = np.cumsum(np.array(right, int))
    recall = hits / objects if objects else np.full(len(right), np.nan)
    return PrecisionRecall(hits / np.arange(1, len(right) + 1), recall, objects)
