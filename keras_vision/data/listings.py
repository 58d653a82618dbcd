"""What every reader of a data set asks of its folders and lists: are they there, and are the files they name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import SUFFIXES

PathLike = str | os.PathLike
_SHOWN = 3  # names of missing files in a message


def existing_folder(folder: PathLike, accepted: str = "") -> Path:
    """The folder as a path.

    Raises:
        KerasVisionError: no such folder; the message ends with what is accepted.
    """
    if not Path(folder).is_dir():
        raise KerasVisionError(f"{folder}: no such folder.{' Give ' + accepted + '.' if accepted else ''}")
    return Path(folder)


def first_existing(folder: PathLike, names: Sequence[str], accepted: str) -> Path:
    """The first of several names, files or folders, that the folder holds.

    Raises:
        KerasVisionError: no such folder, or it holds none of them.
    """
    folder = existing_folder(folder, accepted)
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise KerasVisionError(f"{folder}: holds no {' and no '.join(names)}. Give {accepted}.")


def one_of(name: str, value: str, accepted: Iterable[str]) -> str:
    """The value, if it is one of those accepted for the argument of that name.

    Raises:
        KerasVisionError: it is not.
    """
    if value not in (accepted := list(accepted)):
        raise KerasVisionError(f"{name}={value!r}; accepted: {', '.join(map(repr, accepted))}.")
    return value


def read_lines(file: PathLike) -> list[str]:
    """The lines of a UTF-8 text file that are not blank. Line feeds alone end lines; returns are dropped.

    Raises:
        KerasVisionError: the file cannot be read.
    """
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
        return [line for line in text.replace("\r", "").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise KerasVisionError(f"{file}: cannot be read ({error}).") from error


def absent(paths: Iterable[Path]) -> list[Path]:
    """Those of the paths that are not there; one listing per folder, where a look at each file would take minutes."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    missing = []
    for folder, files in folders.items():
        names = set(os.listdir(folder)) if folder.is_dir() else set()
        missing += [path for path in files if path.name not in names]
    return missing


def check_present(paths: Iterable[Path], named_by: PathLike) -> None:
    """Refuse a list that names files which are not there.

    Raises:
        KerasVisionError: with the first few of them and their number.
    """
    if missing := absent(paths):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise KerasVisionError(
            f"{named_by}: {len(missing)} files that it names are missing: "
            f"{', '.join(map(str, missing[:_SHOWN]))}{more}. Complete the data set, or take them out of the list."
        )


def images_in(folder: PathLike) -> list[Path]:
    """The image files directly in a folder (by suffix), sorted by name.

    Raises:
        KerasVisionError: no such folder, or no image in it.
    """
    folder = existing_folder(folder)
    names = sorted(
        name for name in os.listdir(folder) if name[name.rfind(".") :].lower() in SUFFIXES and name[0] != "."
    )
    if not names:
        raise KerasVisionError(f"{folder}: no images ({', '.join(SUFFIXES)}) in this folder.")
    return [folder / name for name in names]
