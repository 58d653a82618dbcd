"""Published validation sets in the layouts they come in. Files are only named here; nothing is decoded."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.data.labelled_images import LabelledImages, without_listed
from keras_vision.data.listings import PathLike, existing_folder, read_lines
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import list_images

IMAGENET_CLASSES = 1000
_WNID = re.compile(r"n\d{8}")
_TINY = "val/val_annotations.txt"


def validation_images(
    folder: PathLike, labels: PathLike | None = None, synsets: PathLike | None = None
) -> LabelledImages:
    """Images of a folder whose layout is found out: Tiny ImageNet's, one of ImageNet's, or a subfolder per class.

    Args:
        folder: see `tiny_imagenet_validation`, `imagenet_validation` and `class_folders`.
        labels: ImageNet's classes by file name, for `imagenet_validation`.
        synsets: ImageNet's classes in the order of the network's output, for `imagenet_validation`.

    Raises:
        KerasVisionError: see the three readers.
    """
    folder = existing_folder(folder)
    if (folder / _TINY).is_file():
        return tiny_imagenet_validation(folder)
    files = any(_WNID.match(path.name) for path in folder.iterdir() if path.is_file())
    if files or labels is not None or synsets is not None or len(_wnid_folders(folder)) == IMAGENET_CLASSES:
        return imagenet_validation(folder, labels, synsets)
    return class_folders(folder)


def class_folders(folder: PathLike, skip: PathLike | None = None) -> LabelledImages:
    """One subfolder of images per class; class names are those of the subfolders, sorted.

    Other than `image_folder`, which is for training, it decodes nothing and asks for no number of images.

    Args:
        folder: holds the subfolders.
        skip: list of files to leave out, as `keras-vision data scan` writes it; warns if it names no file here.

    Raises:
        KerasVisionError: no such folder, fewer than two subfolders, no images in them, or a skip list that cannot be
            read.
    """
    folders = sorted(p for p in existing_folder(folder).iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(folders) < 2:
        raise KerasVisionError(
            f"{folder}: {len(folders)} subfolders. Give a subfolder of images for each of at least two classes, or an "
            "ImageNet or Tiny ImageNet validation folder."
        )
    found = [(path, f.name) for f in folders for path in list_images([f])]
    found, skipped = without_listed(Path(folder), found, skip)
    return dataclasses.replace(_labelled(folder, found, [f.name for f in folders]), skipped=skipped)


def imagenet_validation(
    folder: PathLike, labels: PathLike | None = None, synsets: PathLike | None = None
) -> LabelledImages:
    """ImageNet's validation images: flat with a file of labels, a subfolder per wnid, or files named `<wnid>_*.JPEG`.

    Args:
        folder: holds the images.
        labels: for a flat folder: text with one line per image, its file name and then its wnid or its class index
            from 0; or Kaggle's `LOC_val_solution.csv`. Images that it does not name are left out, which is how to
            evaluate on a part.
        synsets: text with one line per class in the order of the network's output, its wnid first, such as Caffe's
            `synset_words.txt`. None: the sorted wnids, which is ILSVRC's order, if the images have all 1000; class
            indices need none.

    Raises:
        KerasVisionError: a missing or unreadable file, an unknown wnid or index, no images, or no order of classes.
    """
    folder = existing_folder(folder)
    order = None if synsets is None else [line.split()[0] for line in read_lines(synsets)]
    if labels is not None:
        found = _by_list(folder, Path(labels), order)
    elif folders := _wnid_folders(folder):
        found = [(path, f.name) for f in folders for path in list_images([f])]
    else:
        found = [(path, path.name.partition("_")[0]) for path in list_images([folder])]
        if odd := [path.name for path, name in found if not _WNID.fullmatch(name)]:
            raise KerasVisionError(
                f"{folder}: {odd[0]} and {len(odd) - 1} more images do not say their class; name them <wnid>_*.JPEG, "
                "put them into a subfolder per wnid, or give a file of labels."
            )
    return _labelled(folder, found, _ilsvrc_order(folder, found) if order is None else order)


def tiny_imagenet_validation(folder: PathLike) -> LabelledImages:
    """Tiny ImageNet's validation images; class names are the wnids, in the order of `wnids.txt`.

    A model whose labels are the wnids may have them in any order.

    Args:
        folder: holds `wnids.txt`, `val/val_annotations.txt` and `val/images`.

    Raises:
        KerasVisionError: a missing file or image, or an unknown wnid.
    """
    folder = existing_folder(folder)
    order = [line.strip() for line in read_lines(folder / "wnids.txt")]
    rows = [line.split("\t") for line in read_lines(folder / _TINY)]
    if short := next((row for row in rows if len(row) < 2), None):
        raise KerasVisionError(f"{folder / _TINY}: expected a file and a wnid, with a tab between, not {short[0]!r}.")
    found = [(folder / "val/images" / row[0], row[1].strip()) for row in rows]
    if missing := [path for path, _ in found if not path.is_file()]:
        raise KerasVisionError(f"{missing[0]} and {len(missing) - 1} more images of {_TINY} are missing.")
    return _labelled(folder, found, order)


def _by_list(folder: Path, labels: Path, order: list[str] | None) -> list[tuple[Path, str]]:
    """Images of a flat folder with their class names, by a file that names them with or without their suffix."""
    files = {name: path for path in list_images([folder]) for name in (path.stem, path.name)}
    found = []
    for name, label in _listed(labels):
        if name not in files:
            raise KerasVisionError(f"{labels} names {name}, which is not in {folder}.")
        found.append((files[name], label))
    if order is None or not any(label.isdecimal() for _, label in found):
        return found
    if wrong := next((label for _, label in found if not label.isdecimal() or int(label) >= len(order)), None):
        raise KerasVisionError(f"{labels}: class {wrong!r}; expected an index from 0 to {len(order) - 1} on each line.")
    return [(path, order[int(label)]) for path, label in found]


def _ilsvrc_order(folder: Path, found: Sequence[tuple[Path, str]]) -> list[str]:
    """Class names in the order of the networks' output, where no file of synsets gives it."""
    names = sorted({name for _, name in found})
    if found and all(name.isdecimal() for name in names):
        return [str(index) for index in range(IMAGENET_CLASSES)]
    if found and len(names) != IMAGENET_CLASSES:
        raise KerasVisionError(
            f"{folder} has images of {len(names)} classes, not {IMAGENET_CLASSES}, so nothing says in which order the "
            "network has its classes; give synset_words.txt as synsets (--synsets)."
        )
    return names


def _listed(labels: Path) -> list[tuple[str, str]]:
    """Pairs of file name and class from Kaggle's table (ImageId, then "wnid x y x y ...") or from plain lines."""
    lines = read_lines(labels)
    if labels.suffix == ".csv":
        rows = [row[:2] for row in csv.reader(lines)][1:]  # below the header
    else:
        rows = [line.split(maxsplit=1) for line in lines]
    if wrong := next((row for row in rows if len(row) < 2 or not row[1].strip()), None):
        raise KerasVisionError(
            f"{labels}: {' '.join(wrong)!r} is no pair of file name and class. The devkit's list of bare numbers will "
            "not do: its ILSVRC ids are not the networks' order of classes."
        )
    return [(name, label.split()[0]) for name, label in rows]


def _labelled(folder: PathLike, found: Sequence[tuple[Path, str]], order: Sequence[str]) -> LabelledImages:
    positions = {name: i for i, name in enumerate(order)}
    if not found:
        raise KerasVisionError(f"{folder}: no images.")
    if unknown := sorted({name for _, name in found} - set(positions)):
        raise KerasVisionError(
            f"{folder} has images of {unknown[0]!r} and {len(unknown) - 1} more classes that are not among the "
            f"{len(order)} known ones."
        )
    labels = np.array([positions[name] for _, name in found], np.int64)
    return LabelledImages([path for path, _ in found], labels, tuple(order))


def _wnid_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and _WNID.fullmatch(path.name))
