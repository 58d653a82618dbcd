"""Networks that turn prepared pixels into vectors, called from several threads at once."""

from __future__ import annotations

import hashlib
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.predictor import open_interpreter, read_metadata
from keras_vision.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from keras_vision.model import VisionModel

_WEIGHTS_IN_MEMORY = 2 << 30  # bytes: each interpreter packs the weights for itself


class Runner(Protocol):
    """A network: `preprocessing` says what pixels it takes, `size` how long its vectors are."""

    name: str
    hash: str
    size: int
    preprocessing: Preprocessing

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of `Preprocessing.pixels`, uint8 `(n, h, w, c)`, to float32 `(n, size)`."""


class LiteRTRunner:
    """A LiteRT file of features. Interpreters of few threads work side by side: no thread waits for another in a layer.

    Args:
        path: a `.tflite` file of `ImageEmbedder.export`.
        threads: processors to use in all.
        name: of the network; by default the card's.
        hash: of the network; by default the file's own.

    Raises:
        KerasVisionError: missing, damaged, or a file that gives classes or maps.
    """

    def __init__(self, path: Path, threads: int, name: str | None = None, hash: str | None = None):
        card, spec, _ = read_metadata(path)
        if spec is None or card.get("output") != "features":
            gives = card.get("output", "something it does not say")
            raise KerasVisionError(
                f"{path} gives {gives}, not features: give the model itself (its name, or its .keras file), or a file "
                "of ImageEmbedder(...).export(path)."
            )
        self.path, self.preprocessing = path, spec
        self.name = name or str(card.get("name", path.stem))
        self.hash = hash or hashlib.sha256(path.read_bytes()).hexdigest()
        side_by_side = min(threads, max(1, _WEIGHTS_IN_MEMORY // path.stat().st_size))
        self._threads = threads // side_by_side
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        first = open_interpreter(path, self._threads)
        given, outputs = first.get_input_details()[0], first.get_output_details()
        if len(outputs) != 1 or len(outputs[0]["shape"]) != 2 or tuple(given["shape"][1:3]) != spec.size:
            raise KerasVisionError(f"{path} does not give one vector for one image of {spec.size} pixels.")
        self.size = int(outputs[0]["shape"][1])
        self._input, self._dtype, self._output = given["index"], given["dtype"], outputs[0]["index"]
        self._idle.put(first)
        self._closed = side_by_side - 1
        for _ in range(self._closed):
            self._idle.put(None)  # opened when it is needed

    def open_all(self) -> None:
        """Open all interpreters now, for a file that will not stay."""
        for _ in range(self._closed):
            self._idle.put(open_interpreter(self.path, self._threads))
        ready = [self._idle.get() for _ in range(2 * self._closed + 1)]
        for interpreter in filter(None, ready):
            self._idle.put(interpreter)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        interpreter = self._idle.get()
        try:
            if interpreter is None:
                interpreter = open_interpreter(self.path, self._threads)
            rows = [self._run(interpreter, image) for image in pixels]
        finally:
            self._idle.put(interpreter)
        return np.stack(rows)

    def _run(self, interpreter: Any, pixels: np.ndarray) -> np.ndarray:
        tensor = pixels if self._dtype == np.uint8 else self.preprocessing.normalize(pixels)
        interpreter.set_tensor(self._input, tensor[None])
        interpreter.invoke()
        return interpreter.get_tensor(self._output)[0]


class KerasRunner:
    """A Keras network of features; one batch at a time, of one size, so that it is compiled once.

    Args:
        features: of `feature_network`.
        batch_size: images of a call.
        hash: of the network.
    """

    def __init__(self, features: VisionModel, batch_size: int, hash: str):
        self._features, self._batch_size, self._lock = features, batch_size, threading.Lock()
        self.name, self.hash = features.card.name, hash
        self.preprocessing, self.size = features.preprocessing, int(features.outputs[0].shape[1])

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        tensors = self.preprocessing.normalize(pixels)
        rows = []
        for start in range(0, len(tensors), self._batch_size):
            batch = tensors[start : start + self._batch_size]
            filled = np.concatenate([batch, np.zeros((self._batch_size - len(batch), *batch.shape[1:]), np.float32)])
            with self._lock:
                rows.append(np.asarray(self._features.predict_on_batch(filled))[: len(batch)])
        return np.concatenate(rows).astype(np.float32)
