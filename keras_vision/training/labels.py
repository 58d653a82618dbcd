"""Label smoothing for whole training or for its first stage alone, and labels that are wrong on purpose."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError


def smooth_labels(labels: Any, classes: int, smoothing: Any) -> Any:
    """Distributions that keep a share for all classes alike: class numbers `(n,)` or rows `(n, classes)` to the latter.

    ``(1 - smoothing) * one_hot(label) + smoothing / classes``.

    Source: Szegedy et al. (2015), section 7.
    """
    if len(labels.shape) == 1 or labels.shape[-1] == 1 != classes:
        labels = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes)
    return ops.cast(labels, "float32") * (1 - smoothing) + smoothing / classes


def noisy_labels(labels: np.ndarray, classes: int, noise: float, seed: int = 0) -> np.ndarray:
    """Class numbers `(n,)` of which a share is replaced by another class, each of the others as probable.

    Args:
        labels: the right ones; left unchanged.
        classes: number of them.
        noise: probability that a label is replaced, from 0 to below 1.
        seed: of the draws.

    Raises:
        KerasVisionError: a probability outside [0, 1), or noise where there is one class.

    Source: Wang et al. (2017), section 4.1, "noisy label robustness"; Sukhbaatar et al. (2014).
    """
    if not 0 <= noise < 1 or (noise and classes < 2):
        raise KerasVisionError(f"noise={noise!r} in {classes} classes; give a probability below 1, and two classes.")
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(labels)) < noise
    others = (labels + rng.integers(1, max(classes, 2), len(labels))) % classes
    return np.where(wrong, others, labels).astype(labels.dtype)


@keras.saving.register_keras_serializable("keras_vision")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with smoothed labels, given as class numbers `(n,)` or as rows `(n, classes)`.

    Keras' own `CategoricalCrossentropy(label_smoothing=)` takes only rows, and one smoothing for the whole training.

    Args:
        smoothing: share of the labels that goes to all classes alike, from 0 to 1. A variable, which
            `TwoStageSmoothing` sets to 0.
        from_logits: whether the predictions are logits.

    Raises:
        KerasVisionError: a share outside [0, 1].

    Source: Szegedy et al. (2015), section 7.
    """

    def __init__(self, smoothing: float = 0.1, from_logits: bool = False, name: str = "smoothed_crossentropy"):
        super().__init__(name=name)
        if not 0 <= smoothing <= 1:
            raise KerasVisionError(f"smoothing={smoothing!r}; give a share, from 0 to 1.")
        self.start, self.from_logits = smoothing, from_logits
        self.smoothing = keras.Variable(smoothing, trainable=False, dtype="float32", name="smoothing")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        target = smooth_labels(y_true, y_pred.shape[-1], ops.convert_to_tensor(self.smoothing))
        return ops.categorical_crossentropy(target, ops.cast(y_pred, "float32"), from_logits=self.from_logits)

    def get_config(self) -> dict[str, Any]:
        return {"smoothing": self.start, "from_logits": self.from_logits, "name": self.name}


class TwoStageSmoothing(keras.callbacks.Callback):
    """Label smoothing in the first stage of training, none in the second.

    Args:
        loss: the loss that the model is compiled with.
        first_stage: epochs with smoothing.

    Source: Xu et al. (2020), "TSLA".
    """

    def __init__(self, loss: SmoothedCrossentropy, first_stage: int):
        super().__init__()
        self.loss, self.first_stage = loss, first_stage

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.loss.smoothing.assign(self.loss.start if epoch < self.first_stage else 0.0)
