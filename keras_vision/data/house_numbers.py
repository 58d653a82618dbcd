"""House numbers for generative models: SVHN's whole numbers, cropped and resized as in Goodfellow et al. (2013)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from keras_vision.data.annotated_images import BoxedImages
from keras_vision.data.listings import PathLike
from keras_vision.data.readers.svhn import svhn_numbers
from keras_vision.errors import KerasVisionError

SIZE, CROP = 64, 54  # pixels
_WIDER = 0.3  # that the box is expanded by
_HELD_OUT = 1 / 50  # about: the paper has 4,701 validation images beside 231,053

Batch = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def whole_number(images: BoxedImages, position: int, size: int = SIZE) -> np.ndarray:
    """A house number, `(size, size, 3)` uint8: what is within the box around all digits, 30 % wider and higher.

    Raises:
        KerasVisionError: the photograph or its boxes are damaged, or there is no digit.
    """
    boxes, _ = images.boxes(position)
    if not len(boxes):
        raise KerasVisionError(f"{images.sources[position]}: no digits.")
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    room = _WIDER / 2 * (high - low)
    photograph = Image.fromarray(images.image(position)).convert("RGB")
    left, top = np.maximum(low - room, 0)
    right, bottom = np.minimum(high + room, photograph.size)
    if right - left < 1 or bottom - top < 1:
        raise KerasVisionError(f"{images.sources[position]}: its boxes lie outside the photograph.")
    return np.asarray(photograph.resize((size, size), Image.Resampling.BILINEAR, (left, top, right, bottom)))


def house_numbers(folder: PathLike, crop: int = CROP) -> tuple[tuple[int, Batch], ...]:
    """Counts and batches of the training, validation and test part, `(n, crop, crop, 3)` uint8.

    Training images are cropped at random places, others at the centre. Training and validation are taken from
    `train/` and, where it is there, `extra/`: every 50th is a validation image, which are 4,715 and 231,040 of all
    published ones (the paper: 4,701 and 231,053).

    Args:
        folder: of `svhn_numbers`.
        crop: side in pixels, at most 64.

    Raises:
        KerasVisionError: files are missing or damaged.
    """
    parts = [svhn_numbers(folder, part) for part in ("train", "extra") if part == "train" or _has(folder, part)]
    known = [(images, position) for images in parts for position in range(len(images))]
    every = round(1 / _HELD_OUT)
    held_out, test = known[every - 1 :: every] or known[-1:], svhn_numbers(folder, "test")
    training = [place for number, place in enumerate(known) if (number + 1) % every] or known
    return (
        (len(training), _batch(training, crop, True)),
        (len(held_out), _batch(held_out, crop, False)),
        (len(test), _batch([(test, position) for position in range(len(test))], crop, False)),
    )


def _has(folder: PathLike, part: str) -> bool:
    return (Path(folder) / part / "digitStruct.mat").is_file()


def _batch(places: list[tuple[BoxedImages, int]], crop: int, anywhere: bool) -> Batch:
    def batch(indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        found = np.empty((len(indices), crop, crop, 3), np.uint8)
        for row, index in zip(found, indices, strict=True):
            pixels = whole_number(*places[index])
            room = SIZE - crop
            top, left = rng.integers(room + 1, size=2) if anywhere else (room // 2, room // 2)
            row[:] = pixels[top : top + crop, left : left + crop]
        return found

    return batch
