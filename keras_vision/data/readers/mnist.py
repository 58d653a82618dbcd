"""MNIST's digits from the four IDX files in which they are published."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.listings import PathLike, first_existing, one_of
from keras_vision.errors import KerasVisionError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
LIMIT = 1 << 30  # bytes of pixels
_UINT8 = 8  # type of the values, in the third byte of the file


def mnist(folder: PathLike, part: str = "train") -> LabelledImages:
    """Handwritten digits, 28 x 28 pixels with ink 255 on 0: 60,000 for training or 10,000 for the test.

    Args:
        folder: holds the files of http://yann.lecun.com/exdb/mnist, compressed (`.gz`) or not.
        part: "train" or "test".

    Raises:
        KerasVisionError: a file is missing or damaged, images and labels differ in number, or a label is not a digit.
    """
    names = FILES[one_of("part", part, FILES)]
    paths = [first_existing(folder, (f"{name}.gz", name), "the folder of MNIST's four files") for name in names]
    images, labels = map(read_idx, paths)
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max(initial=0) > 9:
        raise KerasVisionError(
            f"{folder}: images {images.shape} and labels {labels.shape} up to {labels.max(initial=0)}; MNIST has "
            "(n, rows, columns), (n,) and digits."
        )
    return LabelledImages(list(images), labels.astype(np.int64), tuple(map(str, range(10))))


def read_idx(path: Path) -> np.ndarray:
    """A uint8 array of any shape from an IDX file, compressed with gzip or not.

    Raises:
        KerasVisionError: not such a file, truncated, longer than its shape, or of more than 1 GiB.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            zeros, kind, axes = struct.unpack(">HBB", stream.read(4))
            shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
            if zeros or kind != _UINT8 or not axes or math.prod(shape) > LIMIT:
                raise KerasVisionError(f"{path}: no IDX file of bytes, or one of more than {LIMIT >> 30} GiB.")
            values = stream.read(math.prod(shape) + 1)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise KerasVisionError(f"{path}: damaged, or no IDX file ({error}).") from error
    if len(values) != math.prod(shape):
        raise KerasVisionError(f"{path}: truncated, or longer than its shape {shape}.")
    return np.frombuffer(values, np.uint8).reshape(shape)
