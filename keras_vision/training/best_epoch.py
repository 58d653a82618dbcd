"""The weights of the best epoch, kept while training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch of highest validation accuracy, of lowest validation loss among equals.

    What it has seen goes on in the snapshots of `kv.training.train`; a file that a snapshot may still need is there.

    Args:
        folder: of the files, which exists.
        writes: False where another process of the same training writes them; variables are read all the same, which
            under some strategies takes all processes.

    Attributes:
        epoch: number of the best one, from 1; 0 before the first has ended.
    """

    counted = ("epoch", "accuracy", "loss")

    def __init__(self, folder: Path, writes: bool = True):
        super().__init__()
        self.folder, self.writes = folder, writes
        self.epoch, self.accuracy, self.loss = 0, -1.0, 0.0

    @property
    def file(self) -> Path:
        """Weights after the best epoch."""
        return self.folder / f"best-{self.epoch:04d}.npz"

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for other in self.folder.glob("best-*.npz") if self.writes else ():
            if other != self.file:  # the last snapshot knows this one
                other.unlink()
        accuracy, loss = float((logs or {})["val_accuracy"]), float((logs or {})["val_loss"])
        if (accuracy, -loss) <= (self.accuracy, -self.loss):
            return
        self.epoch, self.accuracy, self.loss = epoch + 1, accuracy, loss
        arrays = self.model.get_weights()
        if self.writes:
            self._write(arrays)

    def load(self, model: keras.Model) -> None:
        """Give a model of the same layers the weights of the best epoch."""
        with np.load(self.file, allow_pickle=False) as arrays:
            model.set_weights([arrays[name] for name in arrays.files])

    def _write(self, arrays: list[np.ndarray]) -> None:
        try:
            with whole_file(self.file, overwrite=True) as temporary, temporary.open("wb") as stream:
                np.savez(stream, *arrays)
        except OSError as error:
            raise KerasVisionError(
                f"{self.file}: {error.strerror or error}; training stops. Make room, then give the same command."
            ) from error
