"""Training and validation images of a folder, whose layout is found out."""

from __future__ import annotations

import os
from pathlib import Path

from keras_vision.data import (
    LabelledImages,
    check_same_classes,
    cifar10,
    class_folders,
    imagenet_validation,
    mnist,
    validation_images,
)
from keras_vision.data.listings import existing_folder
from keras_vision.errors import KerasVisionError

LAYOUTS = (
    "train/ and val/ (or validation/, test/) with a subfolder of images per class, ImageNet's val/ also flat with "
    "LOC_val_solution.csv beside it; the binary version of CIFAR-10; the four files of MNIST; or a subfolder per "
    "class, of which a tenth is held out"
)
_SECOND = ("val", "validation", "test")
_CIFAR = ("data_batch_1.bin", "cifar-10-batches-bin")
_MNIST = ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz")
_HELD_OUT = 0.1


def training_and_validation(folder: str | os.PathLike, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
    """The two parts of a data set, with the same classes.

    Args:
        folder: in one of the layouts that `LAYOUTS` lists.
        seed: of the split, where the folder has one part only.

    Raises:
        KerasVisionError: no such folder, an empty one, none of the layouts, or parts with other classes.
    """
    folder = existing_folder(folder, LAYOUTS)
    if any((folder / name).exists() for name in _MNIST):
        return mnist(folder, "train"), mnist(folder, "test")
    if any((folder / name).exists() for name in _CIFAR):
        return cifar10(folder, "train"), cifar10(folder, "test")
    if (folder / "train").is_dir():
        parts = class_folders(folder / "train"), _second(folder)
        check_same_classes(parts[0], parts[1])
        return parts
    if not any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        raise KerasVisionError(f"{folder}: no data set. Give {LAYOUTS}.")
    return class_folders(folder).split(_HELD_OUT, seed)


def _second(folder: Path) -> LabelledImages:
    found = next((folder / name for name in _SECOND if (folder / name).is_dir()), None)
    if found is None:
        raise KerasVisionError(f"{folder}: train/ without {', '.join(_SECOND)}. Give {LAYOUTS}.")
    labels = folder / "LOC_val_solution.csv"
    return imagenet_validation(found, labels) if labels.is_file() else validation_images(found)
