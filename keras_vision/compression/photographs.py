"""Unlabelled photographs to compress with: prepared once, kept as pixels, gone through again and again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.runtime import Preprocessing, list_images, open_image


class Photographs:
    """Batches `(n, h, w, c)` of preprocessed images, float32, the same ones each time they are gone through.

    Args:
        sources: image files, and folders of them.
        preprocessing: of the model; `model.preprocessing`.
        limit: number of images; of more, so many are drawn.
        batch_size: images in a batch; fewer in the last.
        seed: of the draw.

    Attributes:
        skipped: files that could not be read, with the reason.

    Raises:
        KerasVisionError: no image can be read, or a number below 1.
    """

    def __init__(
        self,
        sources: Iterable[str | os.PathLike],
        preprocessing: Preprocessing,
        *,
        limit: int = 128,
        batch_size: int = 32,
        seed: int = 0,
    ):
        if limit < 1 or batch_size < 1:
            raise KerasVisionError(f"limit={limit}, batch_size={batch_size}; give 1 or more.")
        self.preprocessing, self.batch_size = preprocessing, batch_size
        self.skipped: list[tuple[str, str]] = []
        given = [os.fspath(source) for source in sources]
        pixels: list[np.ndarray] = []
        for file in np.random.default_rng(seed).permutation([os.fspath(path) for path in list_images(given)]):
            if len(pixels) == limit:
                break
            try:
                pixels.append(preprocessing.pixels(open_image(str(file))))
            except ImageError as error:
                self.skipped.append((str(file), error.reason))
        if not pixels:
            raise KerasVisionError(f"{', '.join(given)}: no image can be read; give photographs.")
        self._pixels = np.stack(pixels)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._pixels)

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), self.batch_size):
            yield self.preprocessing.normalize(self._pixels[start : start + self.batch_size])
