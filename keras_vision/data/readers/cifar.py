"""CIFAR-10 and CIFAR-100 in their binary version (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.listings import PathLike, existing_folder, one_of, read_lines
from keras_vision.errors import KerasVisionError

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LIMIT = 1 << 30  # bytes of one file; the largest published one has 154 MB
_SIDE = 32
_FILES_10 = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_SUBFOLDERS = ("cifar-10-batches-bin", "cifar-100-binary")
_LABELS = {"coarse": (0, 20), "fine": (1, 100)}  # byte of a record, number of classes


def cifar10(folder: PathLike, part: str = "train") -> LabelledImages:
    """Photographs of 32 x 32 pixels in 10 classes: 50,000 for training or 10,000 for the test.

    Args:
        folder: holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or the folder of the archive.
        part: "train" or "test".

    Raises:
        KerasVisionError: a file is missing or truncated, a label is out of range, or the files are Python pickles.
    """
    files = [_find(folder, name) for name in _FILES_10[one_of("part", part, _FILES_10)]]
    records = np.concatenate([_records(file, 1) for file in files])
    return _labelled(files[0].parent, records, 1, 0, CIFAR10_CLASSES)


def cifar100(folder: PathLike, part: str = "train", labels: str = "fine") -> LabelledImages:
    """Photographs of 32 x 32 pixels in 100 classes, or the 20 groups of them: 50,000 for training, 10,000 for the test.

    Args:
        folder: holds `train.bin`, `test.bin` and the files of names, or the folder of the archive.
        part: "train" or "test".
        labels: "fine" (100 classes) or "coarse" (20).

    Raises:
        KerasVisionError: a file is missing or truncated, a label is out of range, or the files are Python pickles.
    """
    file = _find(folder, f"{one_of('part', part, ('train', 'test'))}.bin")
    byte, count = _LABELS[one_of("labels", labels, _LABELS)]
    names = tuple(line.strip() for line in read_lines(file.parent / f"{labels}_label_names.txt"))
    if len(names) != count:
        raise KerasVisionError(f"{file.parent}/{labels}_label_names.txt: {len(names)} names; CIFAR-100 has {count}.")
    return _labelled(file, _records(file, 2), 2, byte, names)


def _find(folder: PathLike, name: str) -> Path:
    folder = existing_folder(folder, "the folder of CIFAR's binary version")
    for candidate in (folder, *(folder / sub for sub in _SUBFOLDERS)):
        if (candidate / name).is_file():
            return candidate / name
    pickles = ("data_batch_1", "test_batch", "train", "test", "cifar-10-batches-py", "cifar-100-python")
    if any((folder / pickle).exists() for pickle in pickles):
        raise KerasVisionError(
            f"{folder}: holds CIFAR's Python version, which are pickles: reading them would run what they say. Give "
            f"the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz), which has {name}."
        )
    raise KerasVisionError(f"{folder}: no {name}; give the unpacked folder of CIFAR's binary version.")


def _records(file: Path, label_bytes: int) -> np.ndarray:
    """One row for each image: its labels, then its red, green and blue plane."""
    size, record = file.stat().st_size, label_bytes + 3 * _SIDE**2
    if not size or size % record or size > LIMIT:
        raise KerasVisionError(
            f"{file}: {size} bytes, no multiple of {record}; truncated, or not of CIFAR's binary version."
        )
    return np.fromfile(file, np.uint8).reshape(-1, record)


def _labelled(
    where: Path, records: np.ndarray, label_bytes: int, byte: int, class_names: tuple[str, ...]
) -> LabelledImages:
    labels = records[:, byte].astype(np.int64)
    if labels.max() >= len(class_names):
        raise KerasVisionError(f"{where}: label {labels.max()}; expected 0 to {len(class_names) - 1}.")
    planes = records[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE)
    return LabelledImages(list(np.ascontiguousarray(planes.transpose(0, 2, 3, 1))), labels, class_names)
