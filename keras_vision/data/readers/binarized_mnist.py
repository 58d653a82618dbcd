"""MNIST's digits as zeros and ones, drawn once with the grey levels as probabilities: the data of generative models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.listings import PathLike, existing_folder, one_of
from keras_vision.data.mat_files import mat_variable
from keras_vision.errors import KerasVisionError

PARTS = ("train", "valid", "test")
FILE = "binarized_mnist_{}.amat"
_SIDE = 28


def binarized_mnist(folder: PathLike, part: str = "train") -> np.ndarray:
    """Digits of 0 and 1, `(n, 28, 28, 1)` uint8: 50,000 for training, 10,000 for validation, 10,000 for the test.

    The split and the fixed binarisation of Salakhutdinov & Murray (2008), without labels.

    Args:
        folder: holds `binarized_mnist_train.amat`, `..._valid.amat` and `..._test.amat`: MATLAB 5 files with a variable
            X of rows of pixels; or lines of text with the pixels, as they were first published.
        part: "train", "valid" or "test".

    Raises:
        KerasVisionError: the file is missing or damaged, or holds anything but rows of 784 zeros and ones.
    """
    path = existing_folder(folder) / FILE.format(one_of("part", part, PARTS))
    if not path.is_file():
        raise KerasVisionError(f"{path}: no such file; give the folder of binarised MNIST's three files.")
    rows = _text(path) if _is_text(path) else np.asarray(mat_variable(path, "X"))
    if rows.ndim != 2 or rows.shape[1] != _SIDE * _SIDE or not len(rows) or not np.isin(rows, (0, 1)).all():
        raise KerasVisionError(f"{path}: {rows.dtype} {rows.shape}; binarised MNIST has rows of 784 zeros and ones.")
    return rows.astype(np.uint8).reshape(-1, _SIDE, _SIDE, 1)


def _is_text(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in (b"0 0 ", b"0 1 ", b"1 0 ", b"1 1 ")


def _text(path: Path) -> np.ndarray:
    """Lines such as "0 0 1 ... 0"."""
    values = np.frombuffer(path.read_bytes().translate(None, b" \r\n"), np.uint8) - ord("0")
    if len(values) % (_SIDE * _SIDE):
        raise KerasVisionError(f"{path}: {len(values):,} pixels are no rows of 784; the file is truncated or damaged.")
    return values.reshape(-1, _SIDE * _SIDE)
