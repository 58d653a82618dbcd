"""Training for a given time, with a learning rate that falls to 0 over it."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import keras

from keras_vision.errors import KerasVisionError


class TimeBudget(keras.callbacks.Callback):
    """Ends training after so many minutes of steps, and lets the rate fall as half a cosine over them.

    For comparisons at an equal budget on machines whose pace is not known. Only steps count, the first with its
    compilation too; validation does not. What is used of the time goes on in a snapshot of `train`.

    Args:
        minutes: of steps.
        learning_rate: at the start.

    Raises:
        KerasVisionError: no time.
    """

    counted = ("seconds",)

    def __init__(self, minutes: float, learning_rate: float):
        super().__init__()
        if not minutes > 0:
            raise KerasVisionError(f"minutes={minutes!r}; give a number above 0.")
        self.minutes, self.learning_rate, self.seconds = minutes, learning_rate, 0.0

    @property
    def share(self) -> float:
        """Of the time, used."""
        return min(self.seconds / (60 * self.minutes), 1.0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._began = perf_counter()
        self.model.optimizer.learning_rate = self.learning_rate * max((1 + math.cos(math.pi * self.share)) / 2, 1e-3)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds += perf_counter() - self._began
        if self.share == 1:
            self.model.stop_training = True
