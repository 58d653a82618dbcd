"""F-beta averaged over images, the measure of "Understanding the Amazon from Space" (beta 2)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.data.label_groups import binary_labels
from keras_vision.errors import KerasVisionError
from keras_vision.layers.label_probabilities import Groups, by_group, checked_groups, label_probabilities


def f_beta(truth: Any, predicted: Any, beta: float = 2.0, empty: float = 1.0) -> float:
    """Mean over images of ``(1 + beta^2) P R / (beta^2 P + R)``, with P and R of the labels of one image.

    In counts ``(1 + b) tp / ((1 + b) tp + b fn + fp)``, b = beta^2: with beta 2 ``5 tp / (5 tp + 4 fn + fp)``. It is 0
    for an image with no label predicted right, and `empty` for one that has no labels and for which none are predicted.
    The same as scikit-learn's `fbeta_score(average="samples", zero_division=empty)`.

    Args:
        truth: 0 and 1, `(n, labels)`.
        predicted: the same of the prediction.
        beta: above 0; above 1 a missing label costs more than a wrong one.
        empty: what an image counts that neither has labels nor gets any.

    Raises:
        KerasVisionError: unequal shapes, other values, no images, or a beta that is not above 0.
    """
    truth = binary_labels(truth)
    predicted = binary_labels(predicted, truth.shape[1])
    if len(truth) != len(predicted) or not len(truth):
        raise KerasVisionError(f"truth {truth.shape} and predicted {predicted.shape}; give both of the same images.")
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    hits, missed, wrong = (part.sum(1) for part in (truth & predicted, truth & ~predicted, ~truth & predicted))
    return float(f_beta_of_counts(hits, missed, wrong, beta, empty).mean())


def f_beta_of_counts(hits: Any, missed: Any, wrong: Any, beta: float = 2.0, empty: float = 1.0) -> np.ndarray:
    """F-beta of each image from its numbers of labels predicted right, missed and predicted wrongly, `(n,)` each.

    Raises:
        KerasVisionError: a beta that is not above 0.
    """
    if not 0 < beta < float("inf"):
        raise KerasVisionError(f"beta={beta!r}; give a number above 0.")
    gain = (1 + beta**2) * np.asarray(hits, np.float64)
    whole = gain + beta**2 * np.asarray(missed) + np.asarray(wrong)
    return np.where(whole > 0, gain / np.maximum(whole, np.finfo(np.float64).tiny), empty)


@keras.saving.register_keras_serializable("keras_vision")
class SampleFBeta(keras.metrics.Metric):
    """`f_beta` as a metric of training; Keras' own `FBetaScore` averages over labels, not over images.

    Args:
        beta: above 0.
        threshold: probability from which on a label is predicted.
        groups: columns of exclusive groups, of which the most probable label is predicted, whatever its probability.
        from_logits: whether the predictions are logits (`logits_model`), of which probabilities are taken first.
        empty: what an image counts that neither has labels nor gets any.
    """

    def __init__(
        self,
        beta: float = 2.0,
        threshold: float = 0.5,
        groups: Groups = (),
        from_logits: bool = False,
        empty: float = 1.0,
        name: str = "sample_f_beta",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if not 0 < beta < float("inf"):
            raise KerasVisionError(f"beta={beta!r}; give a number above 0.")
        self.beta, self.threshold, self.empty = beta, threshold, empty
        self.groups, self.from_logits = checked_groups(groups), from_logits
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        truth, scores = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        if self.from_logits:
            scores = label_probabilities(scores, self.groups)
        predicted = by_group(scores, self.groups, self._above, _most_probable)
        hits = ops.sum(truth * predicted, axis=-1)
        missed, wrong = ops.sum(truth, axis=-1) - hits, ops.sum(predicted, axis=-1) - hits
        gain = (1 + self.beta**2) * hits
        whole = gain + self.beta**2 * missed + wrong
        score = ops.where(whole > 0, gain / ops.maximum(whole, 1e-7), self.empty)
        weight = ops.ones_like(score)
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, "float32"), (-1,)) * weight
        self.total.assign_add(ops.sum(weight * score))
        self.count.assign_add(ops.sum(weight))

    def result(self) -> Any:
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self) -> dict[str, Any]:
        own = dict(beta=self.beta, threshold=self.threshold, from_logits=self.from_logits, empty=self.empty)
        return {**super().get_config(), **own, "groups": [list(group) for group in self.groups]}

    def _above(self, scores: Any) -> Any:
        return ops.cast(scores >= self.threshold, "float32")


def _most_probable(scores: Any) -> Any:
    return ops.one_hot(ops.argmax(scores, axis=-1), scores.shape[-1], dtype="float32")
