"""Contours of a trained network, such as HED, run by LiteRT."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.dense import DensePredictor


def network_contours(path: str | os.PathLike, threads: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from an image to the contours that a network of edges finds, for any `contours=` of this part.

    It takes floats from 0 to 1 `(h, w, 3)` and gives strengths from 0 to 1, `(h, w)`.

    Args:
        path: a `.tflite` file of one map, such as an exported `edges.HED`, or a folder with `model.tflite`.
        threads: CPU threads; by default all cores.

    Raises:
        KerasVisionError: no such file, or a network of several maps.
    """
    file = Path(path) / "model.tflite" if Path(path).is_dir() else Path(path)
    network = DensePredictor(file, threads=threads)
    if network.maps != 1:
        raise KerasVisionError(f"{path} gives {network.maps} maps; contours are one: give a network of edges.")

    def contours(image: np.ndarray) -> np.ndarray:
        return network.predict(np.rint(255 * image).astype(np.uint8))[..., 0].clip(0, 1)

    return contours
