"""Several labels per image in a table, as in Planet's "Understanding the Amazon from Space" (Kaggle, 2017)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.data.annotated_images import MultiLabelImages
from keras_vision.data.listings import PathLike, absent, check_present, existing_folder, one_of
from keras_vision.errors import KerasVisionError


def label_table(
    folder: PathLike,
    table: PathLike,
    suffix: str = ".jpg",
    class_names: Sequence[str] | None = None,
    missing: str = "error",
    columns: tuple[str, str] = ("image_name", "tags"),
) -> MultiLabelImages:
    """Images with the labels of a CSV table: a column of names, and one of labels with spaces between.

    Args:
        folder: holds the images.
        table: the CSV file, UTF-8, with a header.
        suffix: added to the names in the table; "" where they have theirs.
        class_names: the classes in order. None: the labels that occur, sorted.
        missing: what to do about images that are not there: "error", or "skip" to name them in `skipped`.
        columns: the two columns' headers.

    Raises:
        KerasVisionError: a missing folder, table, column or image, or a label that is not known.
    """
    root = existing_folder(folder)
    one_of("missing", missing, ("error", "skip"))
    rows = read_columns(table, columns)
    order = tuple(sorted({label for _, tags in rows for label in tags.split()}) if class_names is None else class_names)
    paths = [root / f"{name}{suffix}" for name, _ in rows]
    labels = _multi_hot(table, [tags.split() for _, tags in rows], order)
    if missing == "error":
        check_present(paths, table)
        return MultiLabelImages(paths, labels, order)
    gone = set(absent(paths))
    kept = [position for position, path in enumerate(paths) if path not in gone]
    if not kept:
        raise KerasVisionError(f"{root}: none of the {len(paths)} images of {table} is there; check folder and suffix.")
    skipped = tuple((str(path), "no such file") for path in paths if path in gone)
    return MultiLabelImages([paths[p] for p in kept], labels[kept], order, skipped=skipped)


def read_columns(table: PathLike, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """These columns of a CSV file with a header, row by row.

    Raises:
        KerasVisionError: the file cannot be read, or lacks a column.
    """
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = list(reader.fieldnames or ())
            if lacking := [column for column in columns if column not in header]:
                raise KerasVisionError(
                    f"{table}: columns {', '.join(header) or 'none'}; expected {', '.join(columns)}, so "
                    f"{', '.join(lacking)} is missing."
                )
            rows = [tuple(row[column] or "" for column in columns) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KerasVisionError(f"{table}: cannot be read as a CSV table ({error}).") from error
    if not rows:
        raise KerasVisionError(f"{table}: no rows below the header.")
    return rows


def _multi_hot(table: PathLike, tags: list[list[str]], order: tuple[str, ...]) -> np.ndarray:
    positions = {name: position for position, name in enumerate(order)}
    labels = np.zeros((len(tags), len(order)), np.uint8)
    for row, found in enumerate(tags):
        if unknown := [label for label in found if label not in positions]:
            raise KerasVisionError(
                f"{table}: label {unknown[0]!r} in row {row + 1} is not among the {len(order)} classes."
            )
        labels[row, [positions[label] for label in found]] = 1
    return labels
