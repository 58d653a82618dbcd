"""Evaluation with the average of the weights over the last steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


class MovingAverage(keras.callbacks.Callback):
    """Keeps ``average = decay * average + (1 - decay) * weight`` over the steps of training, for trained weights.

    The averages begin as the weights before the first step. Evaluation, also that during training, runs with them, and
    they are what the model has after training. Other weights, such as batch norm's statistics, are left alone.

    An optimizer's own `use_ema=True` with `keras.callbacks.SwapEMAWeights` does the same from the weights after the
    first step on: that is `start_step=1` here.

    Args:
        decay: share of the old average that is kept, from 0 to 1.
        start_step: number of the first step that is averaged; before, the average is the weight itself.
        dynamic_decay: begin with a decay of 0.1 and raise it: ``min(decay, (1 + t) / (10 + t))``, t steps after the
            first.

    Raises:
        KerasVisionError: a decay outside [0, 1], or several steps per execution, which hide the steps.

    Source: `MovingAverage` of tensorflow-addons; Polyak & Juditsky (1992).
    """

    counted = ("step",)  # what a snapshot of `train` holds, beside `variables`

    def __init__(self, decay: float = 0.99, start_step: int = 0, dynamic_decay: bool = False):
        super().__init__()
        if not 0 <= decay <= 1:
            raise KerasVisionError(f"decay={decay!r}; give a share, from 0 to 1.")
        self.decay, self.start_step, self.dynamic_decay = decay, start_step, dynamic_decay
        self.averages: list[keras.Variable] = []
        self.step = 0
        self._averaged: keras.Model | None = None
        self._training = self._in_model = False

    @property
    def variables(self) -> list[keras.Variable]:
        """The averages."""
        return self.averages

    def decay_at(self, step: int) -> float:
        """The share of the old average that a step keeps."""
        if step < self.start_step:
            return 0.0
        since = step - self.start_step
        return min(self.decay, (1 + since) / (10 + since)) if self.dynamic_decay else self.decay

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.steps_per_execution > 1:
            raise KerasVisionError("an average over steps needs steps_per_execution=1: compile the model with it.")
        if self._averaged is not self.model:
            self.averages = [keras.Variable(v, trainable=False) for v in self.model.trainable_variables]
            self._averaged, self._in_model, self.step = self.model, False, 0
        self._show(averages=False)
        self._training = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        decay = self.decay_at(self.step)
        self.step += 1
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=True):
            average.assign(decay * average + (1 - decay) * weight)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._training:
            self._show(averages=True)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._training:
            self._show(averages=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._training = False
        self._show(averages=True)

    def _show(self, averages: bool) -> None:
        """Have the averages in the model, or the weights; the other stay in `averages`."""
        if self._in_model == averages:
            return
        self._in_model = averages
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=True):
            kept = ops.copy(average.value)
            average.assign(weight)
            weight.assign(kept)
