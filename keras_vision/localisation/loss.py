"""The loss of box regression."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class EuclideanLoss(keras.losses.Loss):
    """Half the squared distance between predicted and true box, mean over images.

    Single-class regression: `y_true` and `y_pred` are `(n, 4)`. Per-class regression: `y_true` is `(n, 5)`, the index
    of the class and the box; `y_pred` is `(n, 4 * classes)`, and only the four outputs of that class count. The loss
    is NaN where an index is not one of the classes.

    Args:
        classes: number of classes of a per-class regressor; None for a single-class one.

    Raises:
        KerasVisionError: on a call, other shapes.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1; the factor of one half is Caffe's.
    """

    def __init__(self, classes: int | None = None, name: str = "euclidean_loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if classes is not None and classes < 1:
            raise KerasVisionError(f"classes={classes}; give the number of classes, or None for one box for all.")
        self.classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`(n, 4 or 5), (n, 4 or 4 * classes) -> (n,)`."""
        expected = (4, 4) if self.classes is None else (5, 4 * self.classes)
        if (y_true.shape[-1], y_pred.shape[-1]) != expected or len(y_true.shape) != 2 or len(y_pred.shape) != 2:
            raise KerasVisionError(
                f"y_true of {y_true.shape} and y_pred of {y_pred.shape}; classes={self.classes} needs "
                f"(n, {expected[0]}) and (n, {expected[1]})."
            )
        if self.classes is None:
            return ops.sum(ops.square(y_pred - y_true), axis=1) / 2
        chosen = ops.one_hot(ops.cast(y_true[:, 0], "int32"), self.classes, dtype=y_pred.dtype)
        boxes = ops.reshape(y_pred, (-1, self.classes, 4))
        box = ops.sum(boxes * ops.expand_dims(chosen, -1), axis=1)
        loss = ops.sum(ops.square(box - y_true[:, 1:]), axis=1) / 2
        return ops.where(ops.sum(chosen, axis=1) > 0, loss, float("nan"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}
