"""Street View House Numbers (http://ufldl.stanford.edu/housenumbers): cropped digits, and whole numbers with boxes."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_vision.data.annotated_images import BoxedImages
from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.listings import PathLike, check_present, existing_folder, one_of
from keras_vision.data.mat_files import check_stored, hdf5_file, mat_variable
from keras_vision.errors import KerasVisionError

DIGITS = tuple("0123456789")
LIMIT = 1 << 31  # bytes of pixels; `extra` has 1.6 GB
_PARTS = ("train", "test", "extra")
_MOST_BOXES = 1000  # in one photograph; the largest number published has six digits
_LONGEST_NAME = 255  # letters


def svhn_digits(folder: PathLike, part: str = "train") -> LabelledImages:
    """Digits cropped to 32 x 32 pixels: 73,257 for training, 26,032 for the test, 531,131 extra.

    Args:
        folder: holds `train_32x32.mat`, `test_32x32.mat` or `extra_32x32.mat`; there, 10 stands for the digit 0.
        part: "train", "test" or "extra".

    Raises:
        KerasVisionError: the file is missing or damaged, or a label is no digit.
    """
    file = existing_folder(folder) / f"{one_of('part', part, _PARTS)}_32x32.mat"
    pixels, labels = mat_variable(file, "X", LIMIT), mat_variable(file, "y", LIMIT).reshape(-1).astype(np.int64)
    if pixels.ndim != 4 or pixels.shape[2:] != (3, len(labels)) or pixels.dtype != np.uint8:
        raise KerasVisionError(
            f"{file}: X {pixels.dtype} {pixels.shape} and y ({len(labels)},); SVHN has (h, w, 3, n)."
        )
    if not len(labels) or labels.min() < 1 or labels.max() > 10:
        raise KerasVisionError(
            f"{file}: labels from {labels.min(initial=1)} to {labels.max(initial=0)}; expected 1 to 10."
        )
    return LabelledImages(list(np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))), labels % 10, DIGITS)


def svhn_numbers(folder: PathLike, part: str = "train") -> BoxedImages:
    """Photographs of house numbers with a box for each digit: 33,402 for training, 13,068 for the test, 202,353 extra.

    Args:
        folder: holds `train/`, `test/` or `extra/`, each with `digitStruct.mat` and its photographs.
        part: "train", "test" or "extra".

    Raises:
        KerasVisionError: the file is missing or damaged, or names photographs that are not there.
    """
    root = existing_folder(Path(folder) / one_of("part", part, _PARTS), "the folder with SVHN's train, test and extra")
    listing = root / "digitStruct.mat"
    with hdf5_file(listing, "digitStruct/name", "digitStruct/bbox") as file:
        cells, boxes = file["digitStruct/name"], file["digitStruct/bbox"]
        if len(cells.shape) != 2 or cells.shape[1] != 1 or cells.shape != boxes.shape:
            raise KerasVisionError(f"{listing}: names {cells.shape} and sets of boxes {boxes.shape}; SVHN has (n, 1).")
        check_stored(cells)
        names = [_text(file, reference) for reference in cells[:, 0]]
    paths = [root / name for name in names]
    check_present(paths, listing)
    return BoxedImages(paths, range(len(paths)), DIGITS, partial(_boxes, listing))


def _boxes(listing: Path, position: int) -> tuple[np.ndarray, np.ndarray]:
    with hdf5_file(listing) as file:
        group = file[file["digitStruct/bbox"][position, 0]]
        left, top, width, height, label = (
            _numbers(file, group[k]) for k in ("left", "top", "width", "height", "label")
        )
        boxes = np.stack([left, top, left + width, top + height], axis=1)
    if label.size and (label.min() < 1 or label.max() > 10):
        raise KerasVisionError(f"{listing}: digits {label.tolist()} of photograph {position}; expected 1 to 10.")
    return boxes, label.astype(np.int64) % 10


def _numbers(file: h5py.File, values: Any) -> np.ndarray:
    """One number for each box: stored as such for a single box, as references to numbers for several."""
    if values.size > _MOST_BOXES:
        raise ValueError(f"{values.size} boxes in one photograph")
    cells = values[:].ravel()
    return np.array([file[cell][0, 0] for cell in cells] if values.dtype.kind == "O" else cells, np.float64)


def _text(file: h5py.File, reference: h5py.Reference) -> str:
    """The letters in a cell, by h5py's low-level calls: `file[reference]` takes twice as long."""
    cell = h5py.h5r.dereference(reference, file.id)
    if math.prod(cell.shape) > _LONGEST_NAME or cell.dtype.kind != "u":
        raise ValueError(f"a name of {cell.shape} {cell.dtype}")
    letters = np.empty(cell.shape, cell.dtype)
    cell.read(h5py.h5s.ALL, h5py.h5s.ALL, letters)
    name = "".join(map(chr, letters.ravel()))
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no file name")
    return name
