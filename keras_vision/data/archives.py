"""Unpacking the archives that data sets come in: bounded, whole or not at all, nothing outside the folder."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keras_vision.data.listings import PathLike
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_folder

_LONGEST = 1 << 20  # bytes of the headers that go before one member, such as its long name
_EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ENCRYPTED = 1  # of an entry's flags
_DAMAGE = (
    OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError,
    LookupError, ArithmeticError, RuntimeError,
)  # fmt: skip


class _Member(tarfile.TarInfo):
    """Refuses what `tarfile` would read into memory before the member is known: long headers, lists of holes."""

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _EXTENDED:
            archive.headers += self.size
            archive.lasting += self.size if self.type == tarfile.XGLTYPE else 0
        if self.size < 0 or archive.headers > _LONGEST:
            raise KerasVisionError(f"{archive.name}: a header of {self.size} bytes; at most {_LONGEST} are read.")
        return super()._proc_member(archive)  # type: ignore[misc]

    def _proc_sparse(self, archive: Any) -> Any:
        raise KerasVisionError(f"{archive.name}: {self.name} is stored with holes; pack it without --sparse.")

    def _proc_gnusparse_10(self, following: Any, headers: Any, archive: Any) -> None:
        following._proc_sparse(archive)


class _TarFile(tarfile.TarFile):
    tarinfo = _Member
    headers = lasting = 0  # bytes of headers since the last member, and of those that hold for all members

    def forget(self) -> None:
        """Let go of the members so far, which `tarfile` would keep with all their headers."""
        self.members: list[tarfile.TarInfo] = []
        self.headers = self.lasting


def unpack(archive: PathLike, folder: PathLike, limit: int | None = None) -> Path:
    """Unpack a `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tar.xz` or `.zip` into a new folder.

    Args:
        archive: the file.
        folder: where its contents go; must not exist.
        limit: bytes that the contents may have. None: as many as there are free.

    Raises:
        KerasVisionError: missing, truncated, damaged or encrypted, larger than the limit, or with a member that is a
            link or would be written outside the folder; or the folder exists. Nothing is left behind then.
    """
    if not Path(archive).is_file():
        raise KerasVisionError(f"{archive}: no such file.")
    with whole_folder(folder) as new:
        limit = shutil.disk_usage(new).free if limit is None else limit
        try:
            with _opened(Path(archive)) as opened:
                extract = _extract_zip if isinstance(opened, zipfile.ZipFile) else _extract_tar
                extract(archive, opened, new, limit)  # type: ignore[arg-type]
        except KerasVisionError:
            raise
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:  # the system's, such as a full disk
                raise KerasVisionError(f"{archive}: cannot be unpacked into {folder}: {error.strerror}.") from error
            raise KerasVisionError(f"{archive}: truncated, damaged, or no archive ({error}).") from error
    return Path(folder)


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[_TarFile | zipfile.ZipFile]:
    with zipfile.ZipFile(archive) if archive.suffix.lower() == ".zip" else _TarFile.open(archive) as opened:
        yield opened


def _extract_tar(archive: PathLike, opened: _TarFile, folder: Path, limit: int) -> None:
    """Files and folders only, written here: `tarfile` has filters from Python 3.11.4 on, and links got past them."""
    total = 0
    while (member := opened.next()) is not None:
        if not (member.isreg() or member.isdir()) or member.size < 0:
            raise KerasVisionError(f"{archive}: {member.name} is a link, or neither a file nor a folder.")
        total += member.size
        _check(archive, total, limit)
        target = _inside(archive, folder, member.name)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif (stream := opened.extractfile(member)) is not None:
            _write(stream, target, member.size)
        opened.forget()
    _check_end(archive, opened)


def _write(stream: IO[bytes], target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(stream, out)
        if out.tell() != size:
            raise EOFError(f"{target.name} ends early")


def _inside(archive: PathLike, folder: Path, name: str) -> Path:
    path = Path(name.lstrip("/\\"))
    if ".." in path.parts or path.anchor:
        raise KerasVisionError(f"{archive}: {name} would be written outside the folder.")
    return folder / path


def _check_end(archive: PathLike, opened: tarfile.TarFile) -> None:
    """A tar archive ends with a block of zeros; `tarfile` takes one that was cut between two members for whole."""
    if opened.fileobj is not None:
        opened.fileobj.seek(opened.offset)
        if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise KerasVisionError(f"{archive}: truncated: it lacks the end of a tar archive.")
        while opened.fileobj.read(1 << 20):
            pass  # up to where gzip compares its checksum


def _extract_zip(archive: PathLike, opened: zipfile.ZipFile, folder: Path, limit: int) -> None:
    entries = opened.infolist()
    _check(archive, sum(entry.file_size for entry in entries), limit)
    for entry in entries:
        _inside(archive, folder, entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise KerasVisionError(f"{archive}: {entry.filename} is a link.")
        if entry.flag_bits & _ENCRYPTED:
            raise KerasVisionError(f"{archive}: {entry.filename} is encrypted; pack it again without a password.")
        if entry.compress_type not in _METHODS:
            raise KerasVisionError(
                f"{archive}: {entry.filename} is compressed by method {entry.compress_type}, which Python does not "
                "read; pack it again with Deflate."
            )
    opened.extractall(folder)


def _check(archive: PathLike, total: int, limit: int) -> None:
    if total > limit:
        raise KerasVisionError(f"{archive}: unpacks to {total} bytes or more; there is room for {limit}.")
