"""Images to calibrate quantisation on and to compare files with: a tf.data set, arrays, or photographs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision.errors import ExportError
from keras_vision.model import VisionModel
from keras_vision.runtime.images import list_images, open_image
from keras_vision.runtime.preprocessing import Preprocessing


def calibration_images(data: Any, model: VisionModel, most: int) -> list[np.ndarray]:
    """Inputs of a model, normalised, `(1, h, w, c)` float32 each.

    Args:
        data: a folder of photographs, of which `most` are taken evenly; or an iterable, such as a `tf.data.Dataset`, of
            images `(h, w, c)` or batches `(n, h, w, c)`, alone, first in a tuple, or as "image" in a dict, of which
            the first `most` are taken. uint8 means RGB pixels, which are normalised here; floats are taken as they are.
        model: says which shape, and how pixels are normalised.
        most: images.

    Raises:
        ExportError: no images, images of another shape than the model takes, or values that are not finite.
        ImageError: a photograph cannot be decoded.
    """
    if most < 1:
        raise ExportError(f"images={most}; give how many images to calibrate on, at least 1.")
    spec = model.preprocessing
    found: list[np.ndarray] = []
    shape = keras.tree.flatten(model.inputs)[0].shape[1:]
    for image in _photographs(Path(data), spec, most) if isinstance(data, str | os.PathLike) else _arrays(data):
        if len(found) == most:
            break
        prepared = spec.normalize(image) if image.dtype == np.uint8 else image.astype(np.float32)
        if prepared.ndim != 3 or any(s is not None and s != n for s, n in zip(shape, prepared.shape, strict=True)):
            raise ExportError(f"a calibration image is {image.shape}; {model.name} takes {tuple(shape)}.")
        if found and prepared.shape != found[0].shape[1:]:
            raise ExportError(f"calibration images are {found[0].shape[1:]} and {prepared.shape}; resize them to one.")
        if not np.isfinite(prepared).all():
            raise ExportError("a calibration image holds values that are not finite.")
        found.append(prepared[None])
    if not found:
        raise ExportError("there are no calibration images; give at least one, better a hundred, of what it will see.")
    return found


def _photographs(folder: Path, spec: Preprocessing, most: int) -> Iterator[np.ndarray]:
    files = list(list_images([folder]))
    for place in np.unique(np.linspace(0, len(files) - 1, most).round().astype(int)) if files else ():
        yield spec.pixels(open_image(files[place]))


def _arrays(data: Iterable[Any]) -> Iterator[np.ndarray]:
    for element in data:
        if isinstance(element, tuple | list):
            element = element[0]
        elif isinstance(element, dict):
            if "image" not in element:
                raise ExportError(f"calibration data gives dicts of {sorted(element)}; name the images 'image'.")
            element = element["image"]
        array = np.asarray(element)
        yield from array if array.ndim == 4 else [array]


def as_pixels(images: Iterable[np.ndarray], spec: Preprocessing, corner: bool) -> Iterator[np.ndarray]:
    """Normalised images as the RGB or grey pixels they came from, float32 in 0–255.

    Args:
        images: `(1, h, w, c)` each.
        spec: how they were normalised.
        corner: put 0 and 255 into a corner of the first, so that calibration finds a scale of exactly 1.
    """
    for number, image in enumerate(images):
        pixels = image * np.array(spec.std, np.float32) + np.array(spec.mean, np.float32)
        pixels = np.clip(pixels[..., ::-1] if spec.color == "BGR" else pixels, 0, 255).astype(np.float32)
        if corner and number == 0:
            pixels.reshape(-1)[:2] = 0, 255
        yield pixels
