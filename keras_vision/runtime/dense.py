"""Maps of images of any size with an exported LiteRT model: a class, or an edge's probability, at each pixel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.predictor import open_interpreter, read_metadata
from keras_vision.runtime.preprocessing import Preprocessing, resized_size
from keras_vision.runtime.quantized import to_tensor, to_values
from keras_vision.runtime.tiles import Predict, predict_tiles


class DensePredictor:
    """A LiteRT network of maps with its preprocessing, labels and task, all read from the file's metadata.

    Args:
        path: a `.tflite` file written by `keras_vision.export.to_litert` from a network that gives `(n, h, w, k)`; any
            other one if `preprocessing` is given.
        threads: CPU threads; by default all cores.
        preprocessing: in place of the file's; its size does not matter.
        labels: in place of the file's.
        output: "logit" or "probability", in place of the file's; "probability" if it does not say.

    Attributes:
        task: "segmentation" or "edges"; "" where the file does not say.
        size: height and width of the input, or None for any.
        output: "logit" or "probability", of the network itself.

    Raises:
        KerasVisionError: the file is missing, damaged, gives no maps, or says nothing of its preprocessing.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        threads: int | None = None,
        preprocessing: Preprocessing | None = None,
        labels: Sequence[str] | None = None,
        output: str | None = None,
    ):
        self.path = Path(path)
        self.card, stored, stored_labels = read_metadata(self.path)
        self.labels = tuple(labels) if labels is not None else stored_labels
        if preprocessing is None and stored is None:
            raise KerasVisionError(f"{path} does not say how to prepare images; pass preprocessing=Preprocessing(...).")
        self.preprocessing: Preprocessing = preprocessing or stored  # type: ignore[assignment]  # checked above
        self.task: str = self.card.get("task", "")
        self.output: str = output or self.card.get("output", "probability")
        self._interpreter = open_interpreter(self.path, threads, allocate=False)
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        takes, *gives = (tuple(each["shape_signature"].tolist()) for each in (self._input, *outputs))
        if len(takes) != 4 or takes[3] != self.preprocessing.channels or len(gives) != 1 or len(gives[0]) != 4:
            raise KerasVisionError(
                f"{path} takes {takes} and gives {gives}; a network of maps with this preprocessing takes "
                f"(1, h, w, {self.preprocessing.channels}) and gives (1, h, w, k)."
            )
        self.size: tuple[int, int] | None = None if -1 in takes[1:3] else (takes[1], takes[2])
        self.maps: int = gives[0][3]
        self._shape: tuple[int, ...] = ()  # the input's that is allocated
        self._output = outputs[0]
        if self.labels is not None and len(self.labels) != self.maps:
            raise KerasVisionError(f"{len(self.labels)} labels for the {self.maps} maps of {path}.")

    def predict(self, image: Source, shorter: int | None = None, tile: int | None = None) -> np.ndarray:
        """Probabilities at each pixel of an image, `(h, w, k)` float32: of the classes, or with k = 1 of an edge.

        Args:
            image: a path, encoded bytes, a Pillow image or uint8 pixels.
            shorter: length the shorter side is resized to for the network, in pixels; None for the image's own.
            tile: side of the tiles in which large images are predicted, which overlap by half; None for the whole
                image at once. A network of fixed size takes tiles of that size.

        Raises:
            ImageError: the image cannot be decoded.
            KerasVisionError: the network cannot take its size, or gives maps of another one.
        """
        return dense_probabilities(
            self.run, open_image(image), self.preprocessing, self.output, shorter=shorter, tile=tile, size=self.size
        )

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """The network's scores `(n, h, w, k)` for a prepared input `(n, h, w, c)`, real values on both sides.

        Raises:
            KerasVisionError: the network cannot take this size.
        """
        try:
            if tensor.shape != self._shape:
                self._interpreter.resize_tensor_input(self._input["index"], tensor.shape, strict=self.size is None)
                self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(self._input["index"], to_tensor(tensor, self._input))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            self._shape = ()
            raise KerasVisionError(f"{self.path} cannot take an input {tensor.shape} ({error}).") from error
        self._shape = tensor.shape
        return to_values(self._interpreter.get_tensor(self._output["index"]), self._output)


def dense_probabilities(
    predict: Predict,
    image: Image.Image,
    preprocessing: Preprocessing,
    output: str,
    *,
    shorter: int | None = None,
    tile: int | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Probabilities at each pixel of an image, `(h, w, k)` float32, by any network of maps.

    Args:
        predict: prepared images `(n, h, w, c)` to scores `(n, h, w, k)`.
        image: of any size.
        preprocessing: of which colours and normalisation are used, not the size.
        output: "logit" or "probability": what the scores are.
        shorter, tile: as of `DensePredictor.predict`.
        size: the network's fixed height and width, or None.

    Raises:
        KerasVisionError: the network takes channels that no image file has, or gives maps of another size.
    """
    if preprocessing.color == "raw":
        raise KerasVisionError(f"the network takes {preprocessing.channels} channels, which no image file has.")
    original = image.size
    if shorter is not None:
        height, width = resized_size(image.height, image.width, shorter)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image.convert("L" if preprocessing.color == "L" else "RGB"))
    prepared = preprocessing.normalize(pixels.reshape(*pixels.shape[:2], preprocessing.channels))
    side = size or tile or prepared.shape[:2]
    align = 32 if np.min(side) >= 64 else 1
    # Half a tile: over a shorter ramp, a network that needs more context than a tile has changes its mind visibly.
    overlap = int(np.min(side)) // 2
    scores = predict_tiles(predict, prepared, tile=side, overlap=overlap, align=align, whole_tiles=size is not None)
    return _resized(probabilities(scores, output), original)


def probabilities(scores: np.ndarray, output: str) -> np.ndarray:
    """Scores `(h, w, k)` as probabilities: of logits the softmax, or with k = 1 the logistic function."""
    if output != "logit":
        return scores
    if scores.shape[-1] == 1:
        return (0.5 + 0.5 * np.tanh(0.5 * scores)).astype(np.float32)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


def _resized(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps `(h, w, k)` resized bilinearly to (width, height)."""
    if maps.shape[1::-1] == size:
        return maps
    parts = [Image.fromarray(maps[..., k]).resize(size, Image.Resampling.BILINEAR) for k in range(maps.shape[-1])]
    return np.stack([np.asarray(part) for part in parts], -1)
