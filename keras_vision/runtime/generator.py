"""Drawing new images with an exported LiteRT model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.predictor import open_interpreter, read_metadata

_LARGEST = 1 << 28  # values of all canvases at a time: a gigabyte


class Drawing(NamedTuple):
    """How images came about.

    Attributes:
        canvases: probabilities after each step, `(n, T, B, A, c)`.
        windows: of the writing attention in each step, `(n, T, 4)`: y, x, distance of neighbouring filters and their
            standard deviation, in pixels, with the first pixel's centre at 1; None without attention.
    """

    canvases: np.ndarray
    windows: np.ndarray | None


def standard_codes(steps: int, n: int, codes: int, seed: int | None = None) -> np.ndarray:
    """Codes from the standard normal distribution, `(n, T, z)`, the same for a seed on every system.

    Args:
        steps: T.
        n: images.
        codes: z's dimensions.
        seed: None draws others each time.

    Raises:
        KerasVisionError: no images, or a seed below 0.
    """
    if n < 1:
        raise KerasVisionError(f"n={n} images; give at least one.")
    if seed is not None and seed < 0:
        raise KerasVisionError(f"seed={seed}; give 0 or above.")
    return np.random.default_rng(seed).standard_normal((steps, n, codes), np.float32).swapaxes(0, 1)


class Generator:
    """A LiteRT file that draws: codes z `(T, n, z)` to canvases.

    Args:
        path: a `.tflite` file that `keras_vision.export.to_litert` wrote of a `generative.DRAW`.
        threads: CPU threads; by default all cores.

    Raises:
        KerasVisionError: the file is missing, damaged, or no such generator.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None):
        self.path = Path(path)
        self.card, _, _ = read_metadata(self.path)
        self._interpreter = open_interpreter(self.path, threads, allocate=False)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shape = tuple(inputs[0]["shape_signature"])
        if len(shape) != 3 or shape[1] != -1 or self.card.get("task") != "generation":
            raise KerasVisionError(
                f"{path} takes {shape}, and its card names no generator; a file that draws takes codes (T, n, z)."
            )
        self.steps, self.codes = int(shape[0]), int(shape[2])
        self._input, self._outputs = inputs[0]["index"], outputs

    @property
    def patch(self) -> int:
        """N, filters along a side of the windows; 0 without attention."""
        return int(self.card.get("patch") or 0)

    def generate(self, n: int, seed: int | None = None) -> Drawing:
        """New images, for a seed the same as `DRAWModel.generate` gives.

        Raises:
            KerasVisionError: no images.
        """
        return self.draw(standard_codes(self.steps, n, self.codes, seed))

    def draw(self, codes: np.ndarray) -> Drawing:
        """The drawing of codes `(n, T, z)`.

        Raises:
            KerasVisionError: another shape, or more images than fit into a gigabyte.
        """
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 3 or codes.shape[1:] != (self.steps, self.codes) or not len(codes):
            raise KerasVisionError(f"codes {codes.shape}; give (n, {self.steps}, {self.codes}), with n from 1.")
        pixels = int(np.prod(self.card["input_shape"]))
        if codes.shape[0] * self.steps * pixels > _LARGEST:
            most = _LARGEST // (self.steps * pixels)
            raise KerasVisionError(f"{len(codes)} drawings of {self.steps} steps; give at most {most} at a time.")
        interpreter = self._interpreter
        interpreter.resize_tensor_input(self._input, (self.steps, len(codes), self.codes))
        interpreter.allocate_tensors()
        interpreter.set_tensor(self._input, np.ascontiguousarray(codes.swapaxes(0, 1)))
        interpreter.invoke()
        found = {interpreter.get_tensor(o["index"]).ndim: interpreter.get_tensor(o["index"]) for o in self._outputs}
        return Drawing(found[5], found.get(3))
