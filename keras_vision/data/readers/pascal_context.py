"""PASCAL-Context (Mottaghi et al., CVPR 2014; https://cs.stanford.edu/~roozbeh/pascal-context), for VOC 2010."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.data.listings import PathLike, check_present, existing_folder, read_lines
from keras_vision.data.mat_files import class_map, mat_variable
from keras_vision.errors import KerasVisionError

VOID = 255
_RENAMED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}  # in 59_labels.txt, as in labels.txt


def pascal_context(
    folder: PathLike, voc: PathLike, listing: PathLike, classes: PathLike | Sequence[str]
) -> SegmentedImages:
    """Photographs of VOC 2010 with a class for each pixel; other classes, and what has no label, are void (255).

    Args:
        folder: holds `labels.txt` (the names of all labels) and `trainval/<id>.mat` with `LabelMap`.
        voc: the folder VOC2010, with `JPEGImages`.
        listing: text with the id of one photograph per line, such as the authors' train.txt or val.txt.
        classes: the names to keep, in order: 59, 33 or others; or a file of them, such as the authors' `59_labels.txt`.

    Raises:
        KerasVisionError: a missing folder, list, photograph or mask, or a name that labels.txt does not have.
    """
    root = existing_folder(folder, "PASCAL-Context's folder, with labels.txt and trainval")
    names = tuple(classes) if isinstance(classes, (list, tuple)) else _names(Path(str(classes)))
    ids = [line.split()[0] for line in read_lines(listing)]
    sources = [existing_folder(voc) / "JPEGImages" / f"{name}.jpg" for name in ids]
    masks = [root / "trainval" / f"{name}.mat" for name in ids]
    check_present([*sources, *masks], listing)
    lookup = _lookup(root / "labels.txt", names)
    return SegmentedImages(sources, masks, names, VOID, context_mask, lookup=lookup)


def context_mask(path: PathLike) -> np.ndarray:
    """The numbers in `LabelMap`, `(h, w)`, before they are translated.

    Raises:
        KerasVisionError: missing or damaged.
    """
    return class_map(mat_variable(path, "LabelMap"), path)


def _lookup(file: Path, names: tuple[str, ...]) -> np.ndarray:
    """Class of each of the labels, which count from 1; 0 is what nobody labelled."""
    labels = {name: number for number, name in enumerate(_names(file), 1)}
    known = [name if name in labels else _RENAMED.get(name, name) for name in names]
    if unknown := [name for name in known if name not in labels]:
        raise KerasVisionError(f"{file}: has no {', '.join(unknown[:5])} among its {len(labels)} labels.")
    if not 0 < len(names) <= VOID:
        raise KerasVisionError(f"{len(names)} classes; give 1 to {VOID} of the labels in {file}.")
    lookup = np.full(len(labels) + 1, VOID)
    lookup[[labels[name] for name in known]] = np.arange(len(names))
    return lookup


def _names(file: Path) -> tuple[str, ...]:
    """Names from lines such as "12: bird" or "bird"; the authors' files have both spaces and none in names."""
    return tuple(line.rpartition(":")[2].replace(" ", "").strip() for line in read_lines(file))
