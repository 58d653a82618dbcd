"""Folders whose parts are given by lists, such as `train.txt` and `val.txt`: on each line a path, and its class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.listings import PathLike, absent, check_present, existing_folder, read_lines
from keras_vision.errors import KerasVisionError


def listed_images(folder: PathLike, listing: PathLike, class_names: Sequence[str] | None = None) -> LabelledImages:
    """The images that a list names, each line a relative path alone, or a path and a class.

    Without a class, the class is the name of the path's first folder. A class is a name, or an index from 0 where all
    in the list are numbers; where `class_names` has numbers other than its positions, they are names. Paths with spaces
    work.

    Args:
        folder: what the paths are relative to.
        listing: the list.
        class_names: the classes in order. None: the names that occur, sorted; or the indices up to the largest.

    Raises:
        KerasVisionError: a missing folder or list, images that are not there or not in the folder, or classes that are
            not known.
    """
    root = existing_folder(folder)
    lines = [line.strip() for line in read_lines(listing)]
    if not lines:
        raise KerasVisionError(f"{listing}: names no images; give one relative path per line.")
    if outside := next((line for line in lines if Path(line).anchor or ".." in Path(line).parts), None):
        raise KerasVisionError(f"{listing}: {outside!r}; expected paths relative to {root}, and inside of it.")
    alone = _without_class(root, listing, lines)
    paths, names = alone or _with_class(root, listing, lines)
    labels, order = _numbered(listing, names, class_names, from_folders=alone is not None)
    return LabelledImages(paths, labels, order)


def check_same_classes(*parts: LabelledImages) -> None:
    """Refuse parts of a data set, such as training and validation, whose classes or their order differ.

    Raises:
        KerasVisionError: they differ.
    """
    for part in parts[1:]:
        if part.class_names != parts[0].class_names:
            first, second = set(parts[0].class_names), set(part.class_names)
            raise KerasVisionError(
                f"the parts have {len(first)} and {len(second)} classes, or another order of them: only in the first "
                f"{sorted(first - second)[:3]}, only in the other {sorted(second - first)[:3]}. Labels would not mean "
                "the same; give both the same class_names."
            )


def _without_class(root: Path, listing: PathLike, lines: list[str]) -> tuple[list[Path], list[str]] | None:
    """Paths and their first folders, if the lines are paths alone: where most of them exist as they stand."""
    paths = [root / line for line in lines]
    if 2 * len(absent(paths)) > len(lines) and any(len(line.rsplit(maxsplit=1)) == 2 for line in lines):
        return None
    check_present(paths, listing)
    if flat := next((line for line in lines if len(Path(line).parts) < 2), None):
        raise KerasVisionError(f"{listing}: {flat!r} has neither a class after it nor a folder that names one.")
    return paths, [Path(line).parts[0] for line in lines]


def _with_class(root: Path, listing: PathLike, lines: list[str]) -> tuple[list[Path], list[str]]:
    pairs = [line.rsplit(maxsplit=1) for line in lines]
    if wrong := next((line for line, pair in zip(lines, pairs, strict=True) if len(pair) < 2), None):
        raise KerasVisionError(f"{listing}: {wrong!r} has no class, and other lines have one.")
    paths = [root / path.rstrip(",") for path, _ in pairs]
    check_present(paths, listing)
    return paths, [name for _, name in pairs]


def _numbered(
    listing: PathLike, names: list[str], class_names: Sequence[str] | None, from_folders: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and the order of the classes.

    Names of folders are names. In a column, what is one of the classes is its name; other numbers are indices if all
    in the column are numbers. This must not depend on which classes occur: so where a class has the number of another
    one's position as its name, there are no indices.
    """
    indices = not from_folders and all(map(_is_index, names))
    if class_names is None:
        largest = max(map(int, names)) if indices else 0
        class_names = [str(index) for index in range(largest + 1)] if indices else sorted(set(names))
    order = tuple(class_names)
    positions = {name: position for position, name in enumerate(order)}
    if indices and all(int(name) == position for name, position in positions.items() if _is_index(name)):
        labels = np.array([positions.get(name, int(name)) for name in names], np.int64)
        if labels.max() >= len(order):
            raise KerasVisionError(f"{listing}: class {labels.max()}; expected 0 to {len(order) - 1}.")
        return labels, order
    if unknown := sorted(set(names) - set(order)):
        raise KerasVisionError(
            f"{listing}: {unknown[:3]} and {len(unknown)} in all are not among the {len(order)} classes."
        )
    return np.array([positions[name] for name in names], np.int64), order


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 7
