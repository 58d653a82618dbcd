"""Cross-entropy of each pixel's class: void left out, labels at the network's stride, classes and cells weighted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.segmentation_metrics import check_same_size, numbers, subsampled

NORMALIZE = ("pixels", "sum")


@keras.saving.register_keras_serializable("keras_vision")
class PixelCrossentropy(keras.losses.Loss):
    """Softmax cross-entropy of logits `(n, h', w', classes)` with class maps `(n, h, w)` or `(n, h, w, 1)`.

    The logits are taken as float32 under every policy. Where no pixel counts the loss is 0, as is its gradient. A
    label that is neither class nor void makes the loss NaN, as a graph can raise no error. Sample weights are one for
    each image `(n,)`. It does not know training from validation: `keep` samples both.

    Args:
        void: label of pixels that do not count, or several, such as 255, 11 or -1; None if there are none.
        stride: labels are taken at every `stride`-th row and column, from the first on; 8 in DeepLab, whose output is
            not upsampled in training (Chen et al., 2015, section 3.1).
        class_weights: factor of each class's pixels; None for 1. See `median_frequency_weights`.
        keep: share of the cells that counts, drawn anew each time; FCN's sampling of patches (Long et al., 2015,
            section 4.3), which takes 1 / `keep` times the images to keep the size of the batch.
        normalize: "pixels" divides by the number of pixels that count in the batch, whatever their weights; on several
            replicas each divides by its own and their mean is taken. "sum" does not divide, as FCN's released
            networks ("heavy learning": batch 1, momentum 0.99, learning rate 1e-10 for FCN-32s).
        seed: of `keep`.
        name: of the loss.

    Raises:
        KerasVisionError: settings out of range, weights that are not one per class, or labels that, subsampled, are
            not of the logits' size.
    """

    def __init__(
        self,
        void: int | Sequence[int] | None = 255,
        stride: int = 1,
        class_weights: Sequence[float] | None = None,
        keep: float = 1.0,
        normalize: str = "pixels",
        seed: int | None = None,
        name: str = "pixel_crossentropy",
    ):
        if stride < 1 or not 0 < keep <= 1 or normalize not in NORMALIZE:
            raise KerasVisionError(
                f"stride={stride}, keep={keep}, normalize={normalize!r}; give a stride of at least 1, a share above 0 "
                f"and at most 1, and one of {', '.join(NORMALIZE)}."
            )
        reduction = "sum" if normalize == "sum" else "sum_over_batch_size"
        super().__init__(name=name, reduction=reduction, dtype="float32")
        self.void = numbers(void)
        self.class_weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)
        if self.class_weights is not None and not all(0 <= w < float("inf") for w in self.class_weights):
            raise KerasVisionError(f"class_weights={self.class_weights}; give finite numbers, 0 or above.")
        self.stride, self.keep, self.normalize, self.seed = stride, keep, normalize, seed
        self._generator = keras.random.SeedGenerator(seed) if keep < 1 else None

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image `(n,)`, scaled so that `reduction` gives the batch's."""
        logits = ops.cast(y_pred, "float32")
        labels = subsampled(y_true, self.stride)
        check_same_size(labels, logits, self.stride)
        if self.class_weights is not None and len(self.class_weights) != logits.shape[-1]:
            raise KerasVisionError(f"{len(self.class_weights)} class weights for {logits.shape[-1]} classes.")
        counted = self._counted(labels)
        weight = ops.where(counted, self._weights(labels, logits.shape[-1]), 0.0)
        known = ops.clip(labels, 0, logits.shape[-1] - 1)
        losses = ops.sparse_categorical_crossentropy(known, logits, from_logits=True)
        total = ops.sum(ops.where(counted, weight * losses, 0.0), axis=(1, 2))
        if self.normalize == "sum":
            return total
        images = ops.cast(ops.shape(total)[0], "float32")
        return total * images / ops.maximum(ops.sum(ops.cast(counted, "float32")), 1.0)

    def get_config(self) -> dict[str, Any]:
        names = ("stride", "class_weights", "keep", "normalize", "seed", "name")
        return {"void": list(self.void), **{name: getattr(self, name) for name in names}}

    def _counted(self, labels: Any) -> Any:
        """Which cells are neither void nor dropped."""
        counted = ops.ones_like(labels, "bool")
        for value in self.void:
            counted &= labels != value
        if self._generator is not None:
            counted &= keras.random.uniform(ops.shape(labels), dtype="float32", seed=self._generator) < self.keep
        return counted

    def _weights(self, labels: Any, classes: int) -> Any:
        """Of each cell by its class; NaN where its label is none."""
        table = np.ones(classes, np.float32) if self.class_weights is None else np.array(self.class_weights, np.float32)
        weight = ops.take(table, ops.clip(labels, 0, classes - 1), axis=0)
        return ops.where((labels < 0) | (labels >= classes), float("nan"), weight)
