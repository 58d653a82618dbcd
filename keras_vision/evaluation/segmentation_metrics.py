"""FCN's four scores as metrics of training, each from a confusion matrix that is summed over batches and replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.segmentation import SegmentationScores

_CARRY = 2.0**20  # pixels; float32 counts one by one to 2**24


class ConfusionMetric(keras.metrics.Metric):
    """A confusion matrix of pixels; subclasses give one score of it.

    Counts are exact to 2**44 pixels on every backend: in two parts, as float32 stops counting at 2**24. A label that
    is neither class nor void makes the score NaN, as a graph can raise no error. Before any pixel it is 0.

    Args:
        classes: number of classes.
        void: label of pixels that do not count, or several; None if there are none.
        stride: labels are taken at every `stride`-th row and column, from the first on, as for `PixelCrossentropy`;
            1 for outputs of the labels' size.
        name: of the metric; "pixel_accuracy", "mean_accuracy", "mean_iu" or "frequency_weighted_iu" by default.

    Labels are `(n, h, w)` or `(n, h, w, 1)`; predictions scores `(n, h', w', classes)`, of which the highest is the
    class, or class maps `(n, h', w')`. Weights of samples are one for each image `(n,)` or pixel `(n, h, w)`.

    Raises:
        KerasVisionError: labels that, subsampled, are not of the predictions' size.
    """

    default_name: str

    def __init__(
        self,
        classes: int,
        void: int | Sequence[int] | None = 255,
        stride: int = 1,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name or self.default_name, **kwargs)
        if classes < 1 or stride < 1:
            raise KerasVisionError(f"classes={classes}, stride={stride}; give numbers of at least 1.")
        self.classes, self.void, self.stride = classes, numbers(void), stride
        size = (classes + 1, classes + 1)  # the last row: labels that must not occur; the last column: no class
        self.low = self.add_variable(size, "zeros", dtype="float32", name="low")
        self.high = self.add_variable(size, "zeros", dtype="float32", name="high")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        truth, predicted = self._label_maps(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
        weight = ops.ones(ops.shape(truth), "float32")
        for value in self.void:
            weight *= ops.cast(truth != value, "float32")
        if sample_weight is not None:
            weight *= self._pixel_weight(ops.cast(sample_weight, "float32"))
        row, column = (ops.where((x < 0) | (x >= self.classes), self.classes, x) for x in (truth, predicted))
        cells = ops.reshape(row * (self.classes + 1) + column, (-1,))
        counts = ops.segment_sum(ops.reshape(weight, (-1,)), cells, num_segments=(self.classes + 1) ** 2)
        low = self.low + ops.reshape(counts, self.low.shape)
        carry = ops.floor(low / _CARRY)
        self.high.assign(self.high + carry)
        self.low.assign(low - carry * _CARRY)

    def scores(self, class_names: tuple[str, ...] = ()) -> SegmentationScores:
        """All scores of what was counted so far, with those of each class; outside of graphs.

        Raises:
            KerasVisionError: nothing was counted, or labels that are neither class nor void.
        """
        low, high = (np.asarray(ops.convert_to_tensor(part), np.float64) for part in (self.low, self.high))
        counts = high * _CARRY + low
        if wrong := counts[-1].sum():
            raise KerasVisionError(
                f"{wrong:.0f} pixels have labels that are neither 0 to {self.classes - 1} nor void {self.void}."
            )
        return SegmentationScores(counts[:-1], class_names)

    def result(self) -> Any:
        counts = self.high * _CARRY + self.low
        hits, columns = ops.diagonal(counts)[:-1], ops.sum(counts[:-1, :-1], axis=0)
        score = self._score(hits, ops.sum(counts[:-1], axis=1), columns)
        return ops.where(ops.sum(counts[-1]) > 0, float("nan"), score)

    def _score(self, hits: Any, rows: Any, columns: Any) -> Any:
        """The score of each class's right, true and predicted pixels, `(classes,)` each."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "void": list(self.void), "stride": self.stride}

    def _label_maps(self, truth: Any, predicted: Any) -> tuple[Any, Any]:
        if len(predicted.shape) == 4:
            if predicted.shape[-1] != self.classes:
                raise KerasVisionError(
                    f"{self.name} counts {self.classes} classes, the predictions {predicted.shape} have others."
                )
            predicted = ops.argmax(predicted, axis=-1)
        truth, predicted = subsampled(truth, self.stride), ops.cast(predicted, "int32")
        check_same_size(truth, predicted, self.stride)
        return truth, predicted

    def _pixel_weight(self, weight: Any) -> Any:
        return ops.reshape(weight, (-1, 1, 1)) if len(weight.shape) < 3 else weight[:, :: self.stride, :: self.stride]


def subsampled(labels: Any, stride: int) -> Any:
    """Labels `(n, h, w)` or `(n, h, w, 1)` as int32 `(n, ceil(h / stride), ceil(w / stride))`, the first kept.

    Source: DeepLab (Chen et al., 2015), section 3.1.
    """
    if len(labels.shape) == 4:
        labels = ops.squeeze(labels, axis=-1)
    return ops.cast(labels[:, ::stride, ::stride], "int32")


def check_same_size(labels: Any, predicted: Any, stride: int) -> None:
    """Whether subsampled labels `(n, h, w)` and predictions `(n, h, w, ...)` agree, as far as sizes are known.

    Raises:
        KerasVisionError: they do not.
    """
    sizes = zip(labels.shape[1:3], predicted.shape[1:3], strict=True)
    if any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise KerasVisionError(
            f"labels at stride {stride} are {tuple(labels.shape[1:3])}, predictions {tuple(predicted.shape[1:3])}; "
            "give the stride of the network's output, or upsample it."
        )


def numbers(void: int | Sequence[int] | None) -> tuple[int, ...]:
    """One void label, several or none as a tuple."""
    return () if void is None else (void,) if isinstance(void, int) else tuple(int(value) for value in void)


def _of_present(values: Any, rows: Any) -> Any:
    """The mean over the classes that the truth has."""
    present = ops.cast(rows > 0, "float32")
    return ops.divide_no_nan(ops.sum(values * present), ops.sum(present))


def _class_iu(hits: Any, rows: Any, columns: Any) -> Any:
    return ops.divide_no_nan(hits, rows + columns - hits)


@keras.saving.register_keras_serializable("keras_vision")
class PixelAccuracy(ConfusionMetric):
    """Share of all pixels that is right; `SegmentationScores.pixel_accuracy` in training. See `ConfusionMetric`."""

    default_name = "pixel_accuracy"

    def _score(self, hits: Any, rows: Any, columns: Any) -> Any:
        return ops.divide_no_nan(ops.sum(hits), ops.sum(rows))


@keras.saving.register_keras_serializable("keras_vision")
class MeanAccuracy(ConfusionMetric):
    """Mean over the truth's classes of their accuracy; `SegmentationScores.mean_accuracy` in training."""

    default_name = "mean_accuracy"

    def _score(self, hits: Any, rows: Any, columns: Any) -> Any:
        return _of_present(ops.divide_no_nan(hits, rows), rows)


@keras.saving.register_keras_serializable("keras_vision")
class MeanIU(ConfusionMetric):
    """Mean over the truth's classes of intersection over union; `SegmentationScores.mean_iu` in training.

    Keras' `MeanIoU` also averages over classes that are predicted but not in the truth, which lowers it.
    """

    default_name = "mean_iu"

    def _score(self, hits: Any, rows: Any, columns: Any) -> Any:
        return _of_present(_class_iu(hits, rows, columns), rows)


@keras.saving.register_keras_serializable("keras_vision")
class FrequencyWeightedIU(ConfusionMetric):
    """IU weighted by the classes' pixels; `SegmentationScores.frequency_weighted_iu` in training."""

    default_name = "frequency_weighted_iu"

    def _score(self, hits: Any, rows: Any, columns: Any) -> Any:
        return ops.divide_no_nan(ops.sum(rows * _class_iu(hits, rows, columns)), ops.sum(rows))


def segmentation_metrics(
    classes: int, void: int | Sequence[int] | None = 255, stride: int = 1
) -> list[ConfusionMetric]:
    """FCN's four scores for `compile(metrics=...)`.

    With several outputs Keras puts the output's name before each.
    """
    kinds = (PixelAccuracy, MeanAccuracy, MeanIU, FrequencyWeightedIU)
    return [kind(classes, void, stride) for kind in kinds]
