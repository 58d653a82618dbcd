"""Cross-entropy of several labels per image, some of which exclude each other."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vision.layers.label_probabilities import Groups, alone_columns, check_columns, checked_groups


@keras.saving.register_keras_serializable("keras_vision")
class MultiLabelCrossentropy(keras.losses.Loss):
    """Mean over the decisions of an image: a binary cross-entropy of each label, a categorical one of each group.

    Labels in no group are one decision each, an exclusive group is one. Without groups it is Keras'
    `BinaryCrossentropy`, with one group of all labels `CategoricalCrossentropy`. An image that has none of a group's
    labels adds nothing for it. Labels are 0 and 1, or shares between them, `(n, labels)`.

    Args:
        groups: columns of each group of labels of which an image has exactly one (`LabelGroups.positions`).
        from_logits: whether the predictions are logits, as `logits_model` gives them: exact for logits of any size,
            where probabilities are cut off at 1e-7 and have no gradient beyond.
        reduction: as of `keras.losses.Loss`.

    Raises:
        KerasVisionError: columns beyond the labels, or in two groups.

    Source: sigmoid and softmax cross-entropy of the Amazon's labels (arXiv 2201.01971).
    """

    def __init__(
        self,
        groups: Groups = (),
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "multi_label_crossentropy",
    ):
        super().__init__(name=name, reduction=reduction)
        self.groups, self.from_logits = checked_groups(groups), from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = y_pred.shape[-1]
        check_columns(self.groups, labels)
        y_pred = ops.cast(y_pred, "float32")
        y_true = ops.cast(y_true, "float32")
        rest = alone_columns(self.groups, labels)
        total = ops.zeros_like(y_pred[:, 0])
        if rest:
            own, predicted = (ops.take(y, rest, axis=-1) for y in (y_true, y_pred))
            total += ops.sum(ops.binary_crossentropy(own, predicted, from_logits=self.from_logits), axis=-1)
        for group in self.groups:
            own, predicted = (ops.take(y, group, axis=-1) for y in (y_true, y_pred))
            total += ops.categorical_crossentropy(own, predicted, from_logits=self.from_logits)
        return total / (len(rest) + len(self.groups))

    def get_config(self) -> dict[str, Any]:
        groups = [list(group) for group in self.groups]
        return {"groups": groups, "from_logits": self.from_logits, "reduction": self.reduction, "name": self.name}
