"""Writing that leaves either the whole result or what was there before. A leaf, as `errors`."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_vision.errors import KerasVisionError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path to write to, renamed to `path` at the end and removed if anything fails.

    Raises:
        KerasVisionError: the path exists and `overwrite` is off, or its folder cannot be written, or has no room left.
    """
    with _beside(Path(path), overwrite) as folder:
        yield folder / Path(path).name
        os.replace(folder / Path(path).name, path)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `path` at the end and removed if anything fails.

    Raises:
        KerasVisionError: the path exists and `overwrite` is off, or its parent cannot be written, or has no room left.
    """
    with _beside(Path(path), overwrite) as folder:
        new = folder / "new"
        new.mkdir()
        yield new
        old = folder / "old"
        if Path(path).exists():
            os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            if old.exists():
                os.replace(old, path)
            raise


@contextlib.contextmanager
def _beside(path: Path, overwrite: bool) -> Iterator[Path]:
    if path.exists() and not overwrite:
        raise KerasVisionError(f"{path} exists already; pass overwrite=True, or choose another path.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise KerasVisionError(f"{path} cannot be written: {error.strerror or error}.") from error
    try:
        yield folder
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise KerasVisionError(f"{path} cannot be written: {error.strerror}. Nothing was changed there.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
