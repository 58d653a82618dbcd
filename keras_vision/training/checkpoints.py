"""Epoch checkpoints that survive an interruption at any moment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras

from keras_vision.files import whole_file

HISTORY = "history.json"


class EpochCheckpoint(keras.callbacks.Callback):
    """Keeps the last epoch (with the optimizer's state), the best one, and the metrics of all.

    Files are written whole or not at all, and an epoch counts once the history names it; files of other epochs go only
    after that. The best epoch is the one of highest validation accuracy, of lowest validation loss among equals.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.history: list[dict[str, float]] = []
        if (folder / HISTORY).exists():
            self.history = json.loads((folder / HISTORY).read_text())

    @property
    def epochs_done(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def last(self) -> Path:
        """Weights and optimizer state after the last finished epoch."""
        return self._file(self.epochs_done)

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch, from 1."""
        return 1 + max(range(self.epochs_done), key=lambda i: _rank(self.history[i]))

    @property
    def best(self) -> Path:
        """Weights after the best epoch."""
        return self._file(self.best_epoch)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {key: float(value) for key, value in (logs or {}).items()}
        logs["seconds"] = time.perf_counter() - self._started
        with whole_file(self._file(epoch + 1), overwrite=True) as temporary:
            self.model.save_weights(temporary)
        self.history = [*self.history, logs]
        with whole_file(self.folder / HISTORY, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self.history))
        for file in self.folder.glob("epoch-*.weights.h5"):
            if file not in (self.last, self.best):
                file.unlink()

    def _file(self, epochs: int) -> Path:
        return self.folder / f"epoch-{epochs:04d}.weights.h5"


def _rank(logs: dict[str, float]) -> tuple[float, float]:
    return logs["val_accuracy"], -logs["val_loss"]
