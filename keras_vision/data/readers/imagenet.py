"""Training folders of ImageNet (https://image-net.org) and Tiny ImageNet (CS231n); `validation` has the other parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.listings import PathLike, existing_folder, images_in, read_lines
from keras_vision.errors import KerasVisionError


def imagenet_train(folder: PathLike, synsets: PathLike | None = None) -> LabelledImages:
    """ImageNet's training images: a subfolder per wnid. Class names are the wnids.

    Args:
        folder: holds the subfolders.
        synsets: text with one line per class in the order of the network's output, its wnid first, such as Caffe's
            `synset_words.txt`. None: the sorted names of the subfolders, which is ILSVRC's order.

    Raises:
        KerasVisionError: no such folder, a subfolder without images, or subfolders other than the synsets.
    """
    folder = existing_folder(folder, "ImageNet's folder `train`")
    found = _subfolders(folder)
    order = found if synsets is None else [line.split()[0] for line in read_lines(synsets)]
    return _by_class(folder, found, order, "")


def tiny_imagenet_train(folder: PathLike) -> LabelledImages:
    """Tiny ImageNet's training images, 64 x 64 pixels, 500 of each of 200 classes, in the order of `wnids.txt`.

    Args:
        folder: holds `wnids.txt` and `train/<wnid>/images`.

    Raises:
        KerasVisionError: a missing file or folder, a class without images, or classes other than in `wnids.txt`.
    """
    folder = existing_folder(folder, "Tiny ImageNet's folder, with wnids.txt and train")
    order = [line.strip() for line in read_lines(folder / "wnids.txt")]
    train = existing_folder(folder / "train")
    return _by_class(train, _subfolders(train), order, "images")


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _by_class(folder: PathLike, found: list[str], order: list[str], below: str) -> LabelledImages:
    root = existing_folder(folder)
    if len(order) < 2 or set(found) != set(order) or len(set(order)) != len(order):
        lacking, unknown = sorted(set(order) - set(found)), sorted(set(found) - set(order))
        raise KerasVisionError(
            f"{root}: {len(found)} subfolders for {len(order)} classes; without a subfolder: {lacking[:3]}, without a "
            f"class: {unknown[:3]}. Each class needs one subfolder, and there must be two."
        )
    files = [images_in(root / name / below) for name in order]
    labels = np.repeat(np.arange(len(order)), [len(paths) for paths in files])
    return LabelledImages([path for paths in files for path in paths], labels.astype(np.int64), tuple(order))
