"""Held-out images on which the CRF's parameters are chosen, and the mean IU that a choice reaches on them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.dense_crf import dense_crf
from keras_vision.ops.crf.energy import Kernel


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Images with their unary logits and true labels.

    Args:
        logits: of each image, (h, w, classes).
        images: (h, w, channels).
        labels: (h, w), whole numbers.
        chosen: indices of those that count.
        void: the label of pixels that do not count.
        options: keywords of every call of `dense_crf`.

    Raises:
        KerasVisionError: shapes or labels do not fit.
    """

    logits: Sequence[Any]
    images: Sequence[Any]
    labels: Sequence[Any]
    chosen: Sequence[int]
    void: int | None
    options: dict[str, Any]
    classes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", np.shape(self.logits[self.chosen[0]])[-1])
        seen = [self._check(index) for index in self.chosen]
        if not any(seen):
            raise KerasVisionError(f"every pixel is void ({self.void}): there is nothing to score.")

    def score(self, kernels: tuple[Kernel, ...] | None, stop: threading.Event | None = None) -> float:
        """Mean IU of the CRF with these kernels, or of the logits alone; CancelledError once `stop` is set."""
        confusion = np.zeros((self.classes, self.classes), np.int64)
        for index in self.chosen:
            if stop is not None and stop.is_set():
                raise CancelledError
            scores = np.asarray(self.logits[index])
            if kernels is not None:
                image = np.asarray(self.images[index])
                scores = np.asarray(dense_crf(scores[None], image[None], kernels=kernels, **self.options))[0]
            confusion += self._confusion(scores.argmax(axis=-1), np.asarray(self.labels[index]))
        return mean_iu(confusion)

    def fingerprint(self) -> str:
        """A hash of everything a score depends on, beside the kernels."""
        # 3 and 3.0, and NumPy's, are the same.
        options = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in self.options.items()
        }
        void = None if self.void is None else float(self.void)
        digest = hashlib.sha256(repr((void, sorted(options.items()))).encode())
        for index in self.chosen:
            for array in (self.logits[index], self.images[index], self.labels[index]):
                array = np.asarray(array)
                digest.update(f"{array.shape}{array.dtype}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def values(self) -> tuple[int, int]:
        """Pixels of the largest image, and its numbers of logits."""
        most = max(int(np.prod(np.shape(self.images[index])[:2])) for index in self.chosen)
        return most, most * self.classes

    def _confusion(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Pixels by true (rows) and predicted class (columns)."""
        counts = truth != self.void if self.void is not None else np.ones(truth.shape, bool)
        pairs = truth[counts].astype(np.int64) * self.classes + predicted[counts]
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def _check(self, index: int) -> bool:
        """Whether an image has a pixel that counts."""
        logits, image, labels = (np.asarray(many[index]) for many in (self.logits, self.images, self.labels))
        fits = logits.ndim == image.ndim == 3 and logits.shape[:2] == image.shape[:2] == labels.shape
        if not fits or logits.shape[2] != self.classes:
            raise KerasVisionError(
                f"each image needs logits (h, w, {self.classes}), an image (h, w, channels) and labels (h, w); number "
                f"{index} has {logits.shape}, {image.shape} and {labels.shape}."
            )
        if labels.dtype.kind not in "iu":
            raise KerasVisionError(f"labels must be whole numbers, not {labels.dtype} (image number {index}).")
        found = np.setdiff1d(labels, [] if self.void is None else [self.void])
        if len(found) and not 0 <= found[0] <= found[-1] < self.classes:
            raise KerasVisionError(
                f"labels must be 0 to {self.classes - 1}, or void; image number {index} has "
                f"{found[0]} to {found[-1]}, void={self.void}."
            )
        return bool(len(found))


def mean_iu(confusion: np.ndarray) -> float:
    """Intersection over union of true (rows) and predicted (columns) pixels, averaged over the classes in the truth."""
    both, truth = np.diag(confusion), confusion.sum(axis=1)
    union = truth + confusion.sum(axis=0) - both
    return float(np.mean(both[truth > 0] / union[truth > 0]))
