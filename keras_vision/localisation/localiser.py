"""The whole localisation system: the likeliest classes of an image, each with one box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.localisation.merging import THRESHOLD, merge_boxes
from keras_vision.localisation.sliding import SlidingNetwork, check_together, slide
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image

Networks = VisionModel | SlidingNetwork | Sequence[VisionModel | SlidingNetwork]
Scales = Sequence[int] | Sequence[Sequence[int]]


class Localisation(NamedTuple):
    """One class of an image, and where it is.

    Attributes:
        class_index: of the class in the classifier's output.
        probability: of the class.
        box: (left, top, right, bottom) in pixels of the image.
    """

    class_index: int
    probability: float
    box: tuple[float, float, float, float]


class Localiser:
    """Box regressors and classifiers applied densely, their predictions merged; prepared once for many images.

    Calling it with an image gives a list of `Localisation`, the likeliest class first.

    - Classes: the posteriors of all windows, averaged over windows, scales and classifiers.
    - Boxes: of all windows, scales and regressors together; a per-class regressor gives those of the class, a
      single-class one the same for all. They are merged (`merge_boxes`), and the merged box whose windows have the
      largest sum of the class's posterior is taken.

    Args:
        regressors: one or several of what `box_regressor` returns.
        classifiers: one or several, of the same input size and stride as the regressors.
        scales: lengths that the shorter side is resized to, in pixels (Q in the paper); for regressors trained at
            different scales a sequence of these for each, as ``[(256,), (352, 384)]`` in Table 9.
        threshold: of `merge_boxes`.

    Raises:
        KerasVisionError: networks that do not go together, no scales, or one below the native size.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1 and Table 9.
    """

    def __init__(self, regressors: Networks, classifiers: Networks, scales: Scales, threshold: float = THRESHOLD):
        self.regressors, self.classifiers = ([slide(model) for model in _listed(m)] for m in (regressors, classifiers))
        check_together(self.regressors, self.classifiers)
        self.scales = _scales(scales, len(self.regressors))
        least = max(self.classifiers[0].size)
        if any(not own or min(own) < least for own in self.scales):
            raise KerasVisionError(f"scales={scales}; give lengths of the shorter side of at least {least} pixels.")
        self.threshold = threshold

    def __call__(self, image: Any, top: int = 5) -> list[Localisation]:
        """The `top` likeliest classes of an image, or all if there are fewer, each with its box.

        Args:
            image: a path, the encoded bytes, a Pillow image, or uint8 pixels `(h, w, 3)`.
            top: number of classes.
        """
        if top < 1:
            raise KerasVisionError(f"top={top}; give at least 1.")
        image = open_image(image)
        posteriors = {scale: self._posteriors(image, scale) for scale in sorted(set().union(*self.scales))}
        boxes, scores = [], []
        for regressor, own in zip(self.regressors, self.scales, strict=True):
            boxes += [regressor.boxes(image, scale) for scale in own]
            scores += [posteriors[scale] for scale in own]
        probabilities = np.mean([found.mean(axis=0) for found in posteriors.values()], axis=0)
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [
            Localisation(int(index), float(probabilities[index]), self._merged(boxes, np.concatenate(scores), index))
            for index in best
        ]

    def _posteriors(self, image: Any, scale: int) -> np.ndarray:
        return np.mean([classifier.posteriors(image, scale) for classifier in self.classifiers], axis=0)

    def _merged(self, boxes: list[np.ndarray], scores: np.ndarray, index: int) -> tuple[float, float, float, float]:
        of_class = np.concatenate([found[:, index if found.shape[1] > 1 else 0] for found in boxes])
        left, top, right, bottom = merge_boxes(of_class, scores[:, index], self.threshold)[0][0].tolist()
        return left, top, right, bottom


def localise(
    regressors: Networks, classifiers: Networks, image: Any, scales: Scales, top: int = 5
) -> list[Localisation]:
    """The likeliest classes of one image, each with its box; `Localiser` says how, and saves work for many images."""
    return Localiser(regressors, classifiers, scales)(image, top)


def _listed(models: Networks) -> list[VisionModel | SlidingNetwork]:
    return list(models) if isinstance(models, Sequence) else [models]


def _scales(scales: Any, regressors: int) -> list[tuple[int, ...]]:
    """The scales of each regressor."""
    given = tuple(scales)
    if all(isinstance(scale, int | np.integer) for scale in given):
        return [given] * regressors
    if len(given) != regressors or not all(isinstance(own, Sequence) for own in given):
        raise KerasVisionError(
            f"scales={scales}; give numbers, or a sequence of them for each of {regressors} regressors."
        )
    return [tuple(own) for own in given]
