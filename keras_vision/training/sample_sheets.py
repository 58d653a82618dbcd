"""Sheets of what a DRAW draws while it is trained, as animated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from keras_vision.errors import KerasVisionError
from keras_vision.visualization import drawing_frames, write_animation


class SampleSheets(keras.callbacks.Callback):
    """Writes `epoch_0005.gif` with the drawing of the same codes after each of some epochs, and after the last.

    Args:
        folder: to write into.
        samples: images of a sheet.
        every: epochs from sheet to sheet.
        seed: of the codes.

    Raises:
        KerasVisionError: no images, or no epochs.
    """

    def __init__(self, folder: Path, samples: int = 64, every: int = 1, seed: int = 0):
        super().__init__()
        if samples < 1 or every < 1:
            raise KerasVisionError(f"samples={samples}, every={every}; give at least 1 of each.")
        self.folder, self.samples, self.every, self.seed = folder, samples, every, seed

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every and epoch + 1 != self.params.get("epochs") and not self.model.stop_training:
            return
        drawing = self.model.draw(self.model.codes_of(self.samples, self.seed))
        patch = self.model.cell.patches[1] or 0
        frames = drawing_frames(drawing.canvases, drawing.windows, patch, enlarge=2)
        write_animation(frames, self.folder / f"epoch_{epoch + 1:04d}.gif", overwrite=True)
