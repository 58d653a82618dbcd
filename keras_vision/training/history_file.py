"""The metrics of each epoch as a table that any program reads."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import keras

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file


class HistoryFile(keras.callbacks.Callback):
    """Writes a CSV file with a row per epoch: its number from 1, seconds, learning rate, metrics.

    Unlike `keras.callbacks.CSVLogger` it has each epoch once however often training was interrupted: rows from the
    epoch on that training takes up are written anew. The seconds of an epoch are those since it was last taken up.

    Args:
        path: of the file; rows of an interrupted run in it are kept.
        writes: False where another process of the same training writes it.
    """

    def __init__(self, path: Path, writes: bool = True):
        super().__init__()
        self.path, self.writes = path, writes

    @property
    def rows(self) -> list[dict[str, float]]:
        """What the file holds, by column."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as stream:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
        return [row | {"epoch": int(row["epoch"])} for row in rows]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.writes:
            return
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - self._began, "learning_rate": rate}
        row |= {key: float(value) for key, value in (logs or {}).items()}
        rows = [*(earlier for earlier in self.rows if earlier["epoch"] <= epoch), row]
        try:
            with whole_file(self.path, overwrite=True) as temporary, temporary.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(row))
                writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            raise KerasVisionError(
                f"{self.path}: {error.strerror or error}; training stops. Make room, then give the same command."
            ) from error
