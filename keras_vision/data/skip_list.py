"""Lists of files to leave out: a relative path, a tab and the reason on each line."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from keras_vision.data.listings import PathLike
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file


def write_skip_list(file: PathLike, entries: Iterable[tuple[str, str]], overwrite: bool = False) -> int:
    """Write pairs of relative path and reason, whole or not at all; a path that comes again joins its reasons.

    Returns:
        The number of lines.

    Raises:
        KerasVisionError: the file exists and `overwrite` is off, or it cannot be written.
    """
    reasons: dict[str, list[str]] = {}
    for path, reason in entries:
        reasons.setdefault(path, []).append(" ".join(reason.split()))
    with (
        whole_file(file, overwrite) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerows((path, "; ".join(found)) for path, found in reasons.items())
    return len(reasons)


def read_skip_list(file: PathLike) -> dict[str, str]:
    """Relative path to reason; the reason may be left out of a line.

    Raises:
        KerasVisionError: the file cannot be read, or a path is absolute or leads out of the folder.
    """
    try:
        with Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            rows = [row for row in csv.reader(stream, delimiter="\t") if row and row[0].strip()]
    except (OSError, csv.Error) as error:
        raise KerasVisionError(f"{file}: cannot be read as a skip list ({error}).") from error
    for path, *_ in rows:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise KerasVisionError(f"{file}: {path!r}; expected a path relative to the folder of images on each line.")
    return {PurePosixPath(row[0]).as_posix(): row[1] if len(row) > 1 else "in the skip list" for row in rows}
