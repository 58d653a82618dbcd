"""Image files of folders, listed while they are used: a folder may hold a million of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import SUFFIXES

SORTED = 1 << 16  # entries of one folder that are sorted; the rest of a larger one comes as the file system has it


def walk_images(sources: Iterable[str | os.PathLike]) -> Iterator[Path]:
    """Files as given; folders as the image files anywhere below them (by suffix), files before subfolders, by name.

    Nothing is held but the names of the folder that is being read, and of those at most 65,536. Files and folders
    whose name begins with a dot are left out, and folders behind links.

    Raises:
        KerasVisionError: a path does not exist, or a folder cannot be read.
    """
    for source in map(Path, sources):
        if source.is_dir():
            yield from _below(source)
        elif source.exists():
            yield source
        else:
            raise KerasVisionError(f"{source}: no such file or folder.")


def _below(folder: Path) -> Iterator[Path]:
    folders = []
    try:
        with os.scandir(folder) as entries:
            first = sorted(islice(entries, SORTED), key=lambda entry: entry.name)
            for entry in chain(first, entries):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():
                    yield folder / entry.name
    except OSError as error:
        raise KerasVisionError(f"{folder}: {(error.strerror or str(error)).lower()}.") from error
    for name in sorted(folders):
        yield from _below(folder / name)


def label_of(path: str | os.PathLike, root: str | os.PathLike | None) -> str | None:
    """The class of an image by its place: the name of its folder, or None if it lies directly in `root`, or no root."""
    parent = Path(path).parent
    return None if root is None or parent == Path(root) else parent.name
