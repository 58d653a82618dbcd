"""Classifying images with an exported LiteRT model."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.runtime.quantized import to_tensor, to_values

CARD_FILE = "card.json"
LABELS_FILE = "labels.txt"
_ALONE = 8  # images, after which opening more interpreters pays
SHA256, SIZE = "sha256", "bytes"  # in the card's file: of what stands before it


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One class of one image.

    Attributes:
        label: the class's name, or its index as text where the model has no labels.
        index: position in the model's output.
        probability: between 0 and 1.
    """

    label: str
    index: int
    probability: float


def top_predictions(probabilities: np.ndarray, labels: Sequence[str] | None, top: int = 5) -> list[Prediction]:
    """The `top` most probable classes of one image, best first."""
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [Prediction(labels[i] if labels else str(i), int(i), float(probabilities[i])) for i in best]


class Predictor:
    """A LiteRT classifier with its preprocessing and labels, both read from the file's metadata.

    Args:
        path: a `.tflite` file written by `keras_vision.export.to_litert`, or any other one if `preprocessing` is given.
        threads: CPU threads; by default all cores.
        preprocessing: in place of the file's.
        labels: in place of the file's.

    Raises:
        KerasVisionError: the file is missing, damaged, no image classifier, or says nothing of its preprocessing.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        threads: int | None = None,
        preprocessing: Preprocessing | None = None,
        labels: Sequence[str] | None = None,
    ):
        self.path = Path(path)
        self.card, stored, stored_labels = read_metadata(self.path)
        self.labels = tuple(labels) if labels is not None else stored_labels
        self.threads = threads or os.cpu_count() or 1
        self._interpreter = open_interpreter(self.path, self.threads)
        if preprocessing is None and stored is None:
            raise KerasVisionError(f"{path} does not say how to prepare images; pass preprocessing=Preprocessing(...).")
        self.preprocessing: Preprocessing = preprocessing or stored  # type: ignore[assignment]  # checked above
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        shape = (1, *self.preprocessing.size, self.preprocessing.channels)
        if tuple(self._input["shape"]) != shape or len(outputs) != 1 or self.card.get("output") == "features":
            raise KerasVisionError(
                f"{path} takes {tuple(self._input['shape'])} and gives {[tuple(o['shape']) for o in outputs]}; "
                f"a classifier with this preprocessing takes {shape} and gives the scores of its classes."
            )
        self._output = outputs[0]
        self.classes = int(outputs[0]["shape"][1])
        if self.labels is not None and len(self.labels) != self.classes:
            raise KerasVisionError(f"{len(self.labels)} labels for the {self.classes} classes of {path}.")

    def predict(self, images: Iterable[Source]) -> np.ndarray:
        """Probabilities of each image, `(n, classes)` float32.

        Args:
            images: paths, encoded bytes, Pillow images or uint8 arrays `(h, w, 3)`. Of many, each thread decodes and
                runs its own, which is faster than sharing the work of one.

        Raises:
            ImageError: an image cannot be decoded.
        """
        images = iter(images)
        rows = [self._probabilities(open_image(image)) for image in itertools.islice(images, _ALONE)]
        if len(rows) == _ALONE and self.threads > 1:
            rows += self._in_threads(images)
        else:
            rows += [self._probabilities(open_image(image)) for image in images]
        return np.stack(rows) if rows else np.zeros((0, self.classes), np.float32)

    def classify(self, image: Source, top: int = 5) -> list[Prediction]:
        """The `top` most probable classes of one image, best first.

        Raises:
            ImageError: the image cannot be decoded.
        """
        return top_predictions(self._probabilities(open_image(image)), self.labels, top)

    def run(self, tensor: np.ndarray, interpreter: Interpreter | None = None) -> np.ndarray:
        """The model's raw output `(1, classes)` for a prepared input `(1, h, w, c)` of the file's type.

        Args:
            tensor: the input.
            interpreter: another one of the same file, for another thread.
        """
        interpreter = interpreter or self._interpreter
        interpreter.set_tensor(self._input["index"], tensor)
        interpreter.invoke()
        return interpreter.get_tensor(self._output["index"])

    def _in_threads(self, images: Iterator[Source]) -> list[np.ndarray]:
        """Rows of images, on as many interpreters of one thread each as there are threads; few are held at a time."""
        own = threading.local()

        def open_own() -> None:
            own.interpreter = open_interpreter(self.path, 1)

        rows: list[np.ndarray] = []
        with ThreadPoolExecutor(self.threads, initializer=open_own) as pool:
            while chunk := list(itertools.islice(images, 8 * self.threads)):
                rows += pool.map(lambda image: self._probabilities(open_image(image), own.interpreter), chunk)
        return rows

    def _probabilities(self, image: Image.Image, interpreter: Interpreter | None = None) -> np.ndarray:
        pixels = self.preprocessing.pixels(image)
        raw = self._input["dtype"] == np.uint8 and not self._input["quantization"][0]  # takes pixels as they are
        tensor = pixels if raw else to_tensor(self.preprocessing.normalize(pixels), self._input)
        scores = to_values(self.run(tensor[None], interpreter)[0], self._output)
        return softmax(scores) if self.card.get("output") == "logit" else scores


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of one image's logits."""
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def open_interpreter(path: Path, threads: int | None, allocate: bool = True) -> Interpreter:
    """The interpreter of a LiteRT file; not allocated, it can be given another input size first.

    Raises:
        KerasVisionError: damaged, or no LiteRT file.
    """
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads or os.cpu_count())
        if allocate:
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise KerasVisionError(f"{path}: damaged, or not a LiteRT model ({error}).") from error
    return interpreter


def read_metadata(path: Path) -> tuple[dict, Preprocessing | None, tuple[str, ...] | None]:
    """The card, the preprocessing and the labels packed at the end of the file; empty where there are none.

    Raises:
        KerasVisionError: the file cannot be read, or is not as it was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            stored = json.loads(archive.read(CARD_FILE)) if CARD_FILE in names else {}
            labels = tuple(archive.read(LABELS_FILE).decode().split("\n")) if LABELS_FILE in names else None
    except OSError as error:
        raise KerasVisionError(f"{path}: {(error.strerror or str(error)).lower()}.") from error
    except (zipfile.BadZipFile, ValueError):  # a model without metadata
        return {}, None, None
    if not isinstance(stored, dict):
        return {}, None, labels
    if SHA256 in stored:
        with path.open("rb") as stream:
            found = hashlib.sha256(stream.read(int(stored[SIZE]))).hexdigest()
        if found != stored[SHA256]:
            raise KerasVisionError(f"{path}: damaged, or changed since it was exported; its hash is another one.")
    spec = stored.get("preprocessing")
    return stored.get("card", {}), Preprocessing.from_dict(spec) if spec else None, labels
