"""Pruning while a network trains: zeros that stay, and a share of zeros that grows.

Source: Zhu & Gupta (2017), To prune, or not to prune, Equation 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_vision.compression.pruning import Masks, apply_masks, check_share, magnitude_masks, matched, zero_masks
from keras_vision.errors import KerasVisionError


class KeepPruned(keras.callbacks.Callback):
    """Keeps pruned weights at zero through training: after each step of the optimizer, within the compiled step.

    The masks work as constraints of the kernels. A constraint that a kernel has already is applied before, and is back
    when training ends.

    Args:
        masks: by kernel, True where the weight may train; None for the zeros that the model has when training starts.

    Raises:
        KerasVisionError: at the start of training, if a mask does not fit the model.
    """

    def __init__(self, masks: Masks | None = None):
        super().__init__()
        self.masks = masks
        self._held: list[tuple[Any, Any, Any]] = []  # variable, variable of its mask, constraint it had

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        masks = zero_masks(self.model) if self.masks is None else self.masks
        self._hold(masks)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._release()

    def _hold(self, masks: Masks) -> None:
        self._release()
        for variable, mask in matched(self.model, masks):
            kept = keras.Variable(mask.astype("float32"), trainable=False, name="mask")
            self._held.append((variable, kept, variable.constraint))
            variable.constraint = _masking(kept, variable.constraint)
        apply_masks(self.model, masks)
        _retrace(self.model)

    def _set(self, masks: Masks) -> None:
        by_path = {variable.path: kept for variable, kept, _ in self._held}
        for path, mask in masks.items():
            by_path[path].assign(np.asarray(mask, "float32"))
        apply_masks(self.model, masks)

    def _release(self) -> None:
        for variable, _, before in self._held:
            variable.constraint = before
        if self._held:
            self._held = []
            _retrace(self.model)


class GradualPruning(KeepPruned):
    """Prunes more and more while the network trains: ``s = final + (initial - final) * (1 - t)^3``.

    `t` goes from 0 at step `begin` to 1 at step `end`; new weights are pruned every `every` steps. A pruned
    weight stays zero: each time those that are left compete.

    Args:
        sparsity: share of zeros at the end, from 0 to less than 1.
        end: step, counted from the start of this training, at which it is reached; train on after it.
        begin: first step that prunes.
        every: steps between two prunings.
        initial: share of zeros at `begin`.
        scope: what is compared; see `magnitude_masks`.
        layers: names of layers or kernels; None for all.

    Raises:
        KerasVisionError: a share or a step out of range.

    Source: Zhu & Gupta (2017), Equation 1.
    """

    def __init__(
        self,
        sparsity: float,
        end: int,
        *,
        begin: int = 0,
        every: int = 10,
        initial: float = 0.0,
        scope: str = "lamp",
        layers: Iterable[str] | None = None,
    ):
        super().__init__()
        for share in (sparsity, initial):
            check_share(share)
        if not 0 <= begin < end or every < 1:
            raise KerasVisionError(f"begin={begin}, end={end}, every={every}; give 0 <= begin < end and every >= 1.")
        self.final, self.initial, self.begin, self.end, self.every = sparsity, initial, begin, end, every
        self.scope, self.layers = scope, None if layers is None else list(layers)
        self.step = 0

    def sparsity_at(self, step: int) -> float:
        """Share of zeros at a step, from 0 to 1."""
        t = min(max((step - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return self.final + (self.initial - self.final) * (1 - t) ** 3

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.step = 0
        self._hold(
            magnitude_masks(self.model, self.sparsity_at(0) if self.begin == 0 else 0.0, self.scope, self.layers)
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self.step = self.step, self.step + max(_steps_at_once(self.model), 1)
        if self.step < self.begin or before >= self.end:
            return
        if self.step >= self.end or (self.step - self.begin) // self.every > (before - self.begin) // self.every:
            self._set(magnitude_masks(self.model, self.sparsity_at(self.step), self.scope, self.layers))


def _masking(mask: Any, before: Any) -> Any:
    def constrain(weight: Any) -> Any:
        weight = weight if before is None else before(weight)
        return keras.ops.multiply(weight, keras.ops.cast(mask, weight.dtype))

    return constrain


def _steps_at_once(model: keras.Model) -> int:
    return getattr(model, "steps_per_execution", 1) or 1


def _retrace(model: keras.Model) -> None:
    """Make `fit` build its step anew: one built before would not know of constraints set since."""
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)
