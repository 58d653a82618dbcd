"""FCN's four scores of segmentations, from a confusion matrix that is summed over the pixels of all images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.errors import KerasVisionError


def confusion_matrix(truth: Any, predicted: Any, classes: int, void: int | None = 255) -> np.ndarray:
    """Pixels of each true class (row) by predicted class (column), int64 `(classes, classes + 1)`.

    The last column counts predictions that are no class, such as void: each is a miss of the true class. Pixels whose
    truth is void do not count, whatever is predicted there.

    Args:
        truth: class of each pixel, integers of any shape.
        predicted: the same of the prediction.
        classes: number of classes.
        void: label of pixels that do not count; None if there are none.

    Raises:
        KerasVisionError: unequal shapes, numbers that are not integers, or a truth that is neither class nor void.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or not all(np.issubdtype(a.dtype, np.integer) for a in (truth, predicted)):
        raise KerasVisionError(
            f"truth {truth.dtype} {truth.shape} and predicted {predicted.dtype} {predicted.shape}; give integer class "
            "maps of one shape (of logits, the argmax)."
        )
    counted = np.ones(truth.shape, bool) if void is None else truth != void
    truth, predicted = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    wrong = (truth < 0) | (truth >= classes)
    if wrong.any():
        found = ", ".join(map(str, np.unique(truth[wrong])[:5]))
        raise KerasVisionError(f"truth {found} at {wrong.sum()} pixels; accepted: 0 to {classes - 1}, and void {void}.")
    predicted = np.where((predicted < 0) | (predicted >= classes), classes, predicted)
    pairs = np.bincount(truth * (classes + 1) + predicted, minlength=classes * (classes + 1))
    return pairs.reshape(classes, classes + 1)


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentationScores:
    """Pixel accuracy, mean accuracy, mean IU and frequency-weighted IU, each from 0 to 1.

    A class that no pixel of the truth has is left out of both means. Pixels predicted to be of it still count against
    the classes they took them from. So counts FCN (Long et al., 2015), footnote 10; an earlier version of the paper
    counted predicted classes with IU 0, as its released program does, and got a lower mean.

    Attributes:
        confusion: pixels by true and predicted class `(classes, classes + 1)`, as `confusion_matrix` gives them.
        class_names: name of each class; its number by default.

    Raises:
        KerasVisionError: another shape, a number of names that is not that of classes, or no pixel that counts.

    Source: FCN (Long et al., 2015), section 5.
    """

    confusion: np.ndarray
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = np.shape(self.confusion)
        if len(shape) != 2 or shape[1] != shape[0] + 1 or not np.sum(self.confusion):
            raise KerasVisionError(
                f"a confusion matrix {shape} of {np.sum(self.confusion)} pixels; give (classes, classes + 1) with at "
                "least one pixel that is not void."
            )
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(map(str, range(shape[0]))))
        if len(self.class_names) != shape[0]:
            raise KerasVisionError(f"{len(self.class_names)} names for {shape[0]} classes.")

    @property
    def pixels(self) -> np.ndarray:
        """Pixels of the truth of each class, `(classes,)`; t_i in the paper."""
        return self.confusion.sum(1)

    @property
    def class_accuracy(self) -> np.ndarray:
        """Share of each class's pixels that is found, `(classes,)`; NaN for a class that the truth lacks."""
        return self._share(self.pixels)

    @property
    def class_iu(self) -> np.ndarray:
        """Intersection over union of each class, `(classes,)`; NaN for a class that the truth lacks."""
        return self._share(self.pixels + self.confusion[:, :-1].sum(0) - np.diag(self.confusion))

    @property
    def pixel_accuracy(self) -> float:
        """Share of all pixels that is right."""
        return float(np.diag(self.confusion).sum() / self.pixels.sum())

    @property
    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over the classes of the truth."""
        return float(np.nanmean(self.class_accuracy))

    @property
    def mean_iu(self) -> float:
        """Mean of `class_iu` over the classes of the truth."""
        return float(np.nanmean(self.class_iu))

    @property
    def frequency_weighted_iu(self) -> float:
        """Mean of `class_iu`, weighted by the classes' shares of the truth's pixels."""
        return float(np.nansum(self.pixels * self.class_iu) / self.pixels.sum())

    def table(self) -> str:
        """The four scores and those of each class, in percent, as a Markdown table."""
        share = self.pixels / self.pixels.sum()
        lines = ["| class | IU | accuracy | pixels |", "| --- | --- | --- | --- |"]
        for name, iu, accuracy, part in zip(self.class_names, self.class_iu, self.class_accuracy, share, strict=True):
            lines.append(f"| {name} | {_percent(iu)} | {_percent(accuracy)} | {_percent(part)} |")
        lines.append(f"| mean | {_percent(self.mean_iu)} | {_percent(self.mean_accuracy)} | |")
        lines.append(f"| over pixels | {_percent(self.frequency_weighted_iu)} | {_percent(self.pixel_accuracy)} | |")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; None for a class that the truth lacks."""
        names = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
        per_class = {n: None if np.isnan(v) else float(v) for n, v in zip(self.class_names, self.class_iu, strict=True)}
        return {**{name: getattr(self, name) for name in names}, "class_iu": per_class}

    def _share(self, whole: np.ndarray) -> np.ndarray:
        present = self.pixels > 0
        return np.where(present, np.diag(self.confusion) / np.where(present, whole, 1), np.nan)


def segmentation_scores(images: SegmentedImages, predicted: Iterable[Any]) -> SegmentationScores:
    """Scores of predicted class maps against the masks of a data set, one image at a time.

    Args:
        images: the masks, their classes and their void label.
        predicted: class of each pixel `(h, w)`, of each image in order.

    Raises:
        KerasVisionError: more or fewer predictions than images, another size than the mask's, no labelled pixel.
    """
    classes = len(images.class_names)
    total = np.zeros((classes, classes + 1), np.int64)
    for truth, found in pairs(images, predicted):
        total += confusion_matrix(truth, found, classes, images.void)
    return SegmentationScores(total, tuple(images.class_names))


def pairs(images: SegmentedImages, predicted: Iterable[Any]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Mask and predicted class map of each image.

    Raises:
        KerasVisionError: more or fewer predictions than images, or one of another size than its mask.
    """
    count = -1
    for count, found in enumerate(predicted):
        if count == len(images):
            raise KerasVisionError(f"more predictions than the {len(images)} images; give one map (h, w) each.")
        truth, found = images.mask(count), np.asarray(found)
        if truth.shape != found.shape:
            raise KerasVisionError(
                f"the prediction of image {count} is {found.shape}, its mask {truth.shape}; give one class map (h, w) "
                "of the mask's size each."
            )
        yield truth, found
    if count + 1 != len(images):
        raise KerasVisionError(f"{count + 1} predictions for {len(images)} images; give one map (h, w) each.")


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"
