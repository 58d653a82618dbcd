"""Networks exported in stages: images that leave by an exit are given to no further file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.exits import Exited, Following, checked_thresholds, in_batches
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.predictor import open_interpreter
from keras_vision.runtime.preprocessing import Preprocessing

INDEX_FILE = "exits.json"


class StagedPredictor:
    """The files of `keras_vision.export.to_staged_litert`, run one after the other as far as an image goes.

    Args:
        path: folder.
        thresholds: in place of the folder's; entropies in nats, below which images leave.
        threads: CPU threads; by default all cores.

    Attributes:
        thresholds, labels, preprocessing: what it works with.

    Raises:
        KerasVisionError: no such folder, a damaged file, or thresholds of another number or out of range.
    """

    def __init__(self, path: str | os.PathLike, thresholds: Sequence[float] | None = None, threads: int | None = None):
        index = _read_index(Path(path) / INDEX_FILE)
        try:
            self.preprocessing = Preprocessing.from_dict(index["preprocessing"])
            self.labels = None if index["labels"] is None else tuple(index["labels"])
            self.classes, files = int(index["classes"]), [Path(name).name for name in index["stages"]]  # none outside
            given = index["thresholds"] if thresholds is None else thresholds
            if self.classes < 2:
                raise ValueError(f"{self.classes} classes")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KerasVisionError(f"{path}/{INDEX_FILE} is damaged: {error}; export the network again.") from error
        if lost := [name for name in files if not (Path(path) / name).is_file()]:
            raise KerasVisionError(f"{path} lacks {', '.join(lost)}; export the network again.")
        self.thresholds = checked_thresholds(given, len(files), self.classes)
        self._stages = [_Stage(Path(path) / name, threads) for name in files]

    def predict(self, images: Iterable[Source], batch_size: int = 32) -> Exited:
        """Probabilities of images, and the exits they left by.

        Args:
            images: paths, encoded bytes, Pillow images or uint8 arrays.
            batch_size: images that begin together; those that go on are run together.

        Raises:
            ImageError: an image cannot be decoded.
        """
        pixels = [self.preprocessing.pixels(open_image(image)) for image in images]
        shape = (0, *self.preprocessing.size, self.preprocessing.channels)
        prepared = self.preprocessing.normalize(np.stack(pixels)) if pixels else np.zeros(shape, np.float32)
        return self.run(prepared, batch_size)

    def run(self, tensors: np.ndarray, batch_size: int = 32) -> Exited:
        """The same for prepared inputs `(n, h, w, c)` float32."""
        return in_batches(
            lambda number, carried: self._stages[number](carried), tensors, self.thresholds, self.classes, batch_size
        )


class _Stage:
    """One file; a signature's own runner allocates its tensors in every call, which takes longer than a small stage."""

    def __init__(self, path: Path, threads: int | None):
        self._interpreter = open_interpreter(path, threads, allocate=False)
        runner = self._interpreter.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        names = ["probabilities", "entropy", *(f"carried{i}" for i in range(len(outputs) - 2))]
        if lost := [name for name in names if name not in outputs]:
            raise KerasVisionError(f"{path} has no output {lost[0]!r}: no stage of this version; export it again.")
        self._inputs = [inputs[f"carried{i}"]["index"] for i in range(len(inputs))]
        self._given, self._spread, *self._carried = (outputs[name]["index"] for name in names)
        self._images = 0

    def __call__(self, carried: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, Following]:
        """Probabilities `(n, classes)`, their entropies `(n,)`, and what the next stage takes, until the next call."""
        if len(carried[0]) != self._images:
            for index, tensor in zip(self._inputs, carried, strict=True):
                self._interpreter.resize_tensor_input(index, tensor.shape)
            self._interpreter.allocate_tensors()
            self._images = len(carried[0])
        for index, tensor in zip(self._inputs, carried, strict=True):
            self._interpreter.set_tensor(index, tensor)
        self._interpreter.invoke()
        read = self._interpreter.get_tensor
        return read(self._given), read(self._spread), lambda: [read(index) for index in self._carried]


def _read_index(file: Path) -> dict[str, Any]:
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KerasVisionError(
            f"{file}: {(error.strerror or str(error)).lower()}; give a folder of export.to_staged_litert."
        ) from error
    except ValueError as error:
        raise KerasVisionError(f"{file} is damaged: {error}; export the network again.") from error
    if not isinstance(index, dict):
        raise KerasVisionError(f"{file} is damaged: it holds no object; export the network again.")
    return index
