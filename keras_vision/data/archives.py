"""Unpacking the archives that data sets come in: bounded, whole or not at all, nothing outside the folder."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from keras_vision.data.listings import PathLike
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_folder


def unpack(archive: PathLike, folder: PathLike, limit: int | None = None) -> Path:
    """Unpack a `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tar.xz` or `.zip` into a new folder.

    Args:
        archive: the file.
        folder: where its contents go; must not exist.
        limit: bytes that the contents may have. None: as many as there are free.

    Raises:
        KerasVisionError: missing, truncated or damaged, larger than the limit, or with a member that would be written
            outside the folder; or the folder exists. Nothing is left behind then.
    """
    if not Path(archive).is_file():
        raise KerasVisionError(f"{archive}: no such file.")
    with whole_folder(folder) as new:
        limit = shutil.disk_usage(new).free if limit is None else limit
        try:
            with _opened(Path(archive)) as opened:
                extract = _extract_zip if isinstance(opened, zipfile.ZipFile) else _extract_tar
                extract(archive, opened, new, limit)  # type: ignore[arg-type]
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            raise KerasVisionError(f"{archive}: truncated, damaged, or no archive ({error}).") from error
    return Path(folder)


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    with zipfile.ZipFile(archive) if archive.suffix.lower() == ".zip" else tarfile.open(archive) as opened:
        yield opened


def _extract_tar(archive: PathLike, opened: tarfile.TarFile, folder: Path, limit: int) -> None:
    total = 0
    for member in opened:
        total += member.size
        _check(archive, total, limit)
        opened.extract(member, folder, filter="data")
    _check_end(archive, opened)


def _check_end(archive: PathLike, opened: tarfile.TarFile) -> None:
    """A tar archive ends with a block of zeros; `tarfile` takes one that was cut between two members for whole."""
    if opened.fileobj is not None:
        opened.fileobj.seek(opened.offset)
        if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise KerasVisionError(f"{archive}: truncated: it lacks the end of a tar archive.")
        while opened.fileobj.read(1 << 20):
            pass  # up to where gzip compares its checksum


def _extract_zip(archive: PathLike, opened: zipfile.ZipFile, folder: Path, limit: int) -> None:
    _check(archive, sum(entry.file_size for entry in opened.infolist()), limit)
    if wrong := next((e.filename for e in opened.infolist() if ".." in Path(e.filename).parts), None):
        raise KerasVisionError(f"{archive}: {wrong} would be written outside the folder.")
    opened.extractall(folder)


def _check(archive: PathLike, total: int, limit: int) -> None:
    if total > limit:
        raise KerasVisionError(f"{archive}: unpacks to {total} bytes or more; there is room for {limit}.")
