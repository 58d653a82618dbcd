"""Probabilities of several labels per image, some of which exclude each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError

Groups = Sequence[Sequence[int]]  # columns of each group of labels that exclude each other


@keras.saving.register_keras_serializable("keras_vision")
class LabelProbabilities(keras.layers.Layer):
    """Logits to probabilities, both `(..., labels)` in the same order: softmax in each group, sigmoid of the others.

    Computed in float32 under every policy.

    Args:
        groups: columns of each group of labels of which an image has exactly one; none for a sigmoid of all labels.

    Raises:
        KerasVisionError: a column that is negative, beyond the labels, or in the groups twice; or a group of fewer
            than two.

    Source: softmax for the weather and sigmoid for the rest of the Amazon's labels (arXiv 2201.01971).
    """

    def __init__(self, groups: Groups = (), **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.groups = checked_groups(groups)

    def build(self, input_shape: Any) -> None:
        check_columns(self.groups, input_shape[-1])
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return label_probabilities(inputs, self.groups)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": [list(group) for group in self.groups]}


def label_probabilities(logits: Any, groups: Groups = ()) -> Any:
    """What `LabelProbabilities` computes."""
    return by_group(logits, groups, ops.sigmoid, lambda x: ops.softmax(x, axis=-1))


def by_group(x: Any, groups: Groups, alone: Callable[[Any], Any], group: Callable[[Any], Any]) -> Any:
    """`group` of the columns of each group, `alone` of those in none, put back in order: `(..., labels)`."""
    rest = alone_columns(groups, x.shape[-1])
    parts = [alone(_columns(x, rest))] if rest else []
    parts += [group(_columns(x, columns)) for columns in groups]
    order = np.argsort([*rest, *(column for columns in groups for column in columns)])
    together = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
    return together if (order == np.arange(len(order))).all() else _columns(together, order.tolist())


def alone_columns(groups: Groups, labels: int) -> list[int]:
    """The columns that are in no group."""
    grouped = {column for columns in groups for column in columns}
    return [column for column in range(labels) if column not in grouped]


def checked_groups(groups: Groups) -> tuple[tuple[int, ...], ...]:
    """The groups as whole numbers.

    Raises:
        KerasVisionError: negative columns, columns that are in the groups twice, or groups of fewer than two.
    """
    try:
        found = tuple(tuple(int(column) for column in columns) for columns in groups)
    except (TypeError, ValueError) as error:
        raise KerasVisionError(f"groups={groups!r}; give lists of columns, as LabelGroups.positions.") from error
    flat = [column for columns in found for column in columns]
    if len(set(flat)) != len(flat) or min(flat, default=0) < 0 or any(len(columns) < 2 for columns in found):
        raise KerasVisionError(
            f"groups={found}; give groups of at least two columns, from 0, none of which is there twice."
        )
    return found


def check_columns(groups: Groups, labels: int) -> None:
    """Raises:
    KerasVisionError: a group has a column beyond the labels.
    """
    last = max((column for columns in groups for column in columns), default=0)
    if last >= labels:
        raise KerasVisionError(f"column {last} of an exclusive group, where there are {labels} labels.")


def _columns(x: Any, columns: Sequence[int]) -> Any:
    whole = list(columns) == list(range(x.shape[-1]))
    return x if whole else ops.take(x, np.array(columns, np.int32), axis=-1)
