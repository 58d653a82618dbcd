"""Looking through a folder of images for files that training would fail on, or learn the wrong thing from.

Imports neither Keras nor TensorFlow itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from keras_vision.data.listings import PathLike, existing_folder
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import DAMAGE, SUFFIXES

KINDS = ("corrupt", "truncated", "cmyk", "duplicate", "misnamed")  # a file is listed under each that it is
LARGEST = 1 << 30  # bytes of a file that is read
_BATCH = 16  # files in one task: enough to hide what a task costs, few enough to stop at once
_SUFFIXES = {
    "BMP": (".bmp",), "GIF": (".gif",), "JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",),
    "TIFF": (".tif", ".tiff"), "WEBP": (".webp",),
}  # fmt: skip
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")  # beginnings that no text file has
_CUT_OFF = ("truncated", "unexpected end", "premature")  # in Pillow's messages

Progress = Callable[[int, int], None]  # files done, files in all


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing about one file: `path` is relative to the folder, with forward slashes; `kind` is one of `KINDS`."""

    path: str
    kind: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Scan:
    """What was found in a folder.

    Attributes:
        folder: the folder.
        files: number of image files looked at.
        findings: in the order of the paths.
    """

    folder: Path
    files: int
    findings: tuple[Finding, ...]

    def of_kind(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]


@dataclasses.dataclass(frozen=True)
class _Looked:
    is_image: bool  # by its name or by its content
    digest: bytes | None = None
    problems: tuple[tuple[str, str], ...] = ()  # kind and reason


def scan(folder: PathLike, progress: Progress | None = None, threads: int | None = None) -> Scan:
    """Decode every image below a folder, in parallel, and report what is wrong.

    Images are known by the ending of their name; JPEG, PNG and GIF files also by their content. Of equal files all but
    the first are duplicates, in the order of the paths. Links are followed, once to each folder. Names that begin with
    a dot are left out; a folder that cannot be read is a finding, as a file is.

    Args:
        folder: the folder.
        progress: called with (files done, files in all).
        threads: None: as many as there are processors.

    Raises:
        KerasVisionError: no such folder, or no image in it.
    """
    root = existing_folder(folder, "a folder of images")
    closed: list[OSError] = []
    paths = sorted(_files(root, closed.append))
    Image.init()  # here, so that threads need not load the formats at the same moment
    looked: list[_Looked] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about metadata: they are no reason to leave a file out
        for part in _in_order(paths, threads or os.cpu_count() or 1):
            looked += part
            if progress is not None:
                progress(len(looked), len(paths))
    images = [(path, result) for path, result in zip(paths, looked, strict=True) if result.is_image]
    if not images and not closed:
        raise KerasVisionError(f"{root}: no images ({', '.join(SUFFIXES)}) anywhere below this folder.")
    findings = [*_findings(root, images), *(_closed(root, error) for error in closed)]
    return Scan(root, len(images), tuple(sorted(findings, key=lambda finding: finding.path)))


def _findings(root: Path, images: Sequence[tuple[str, _Looked]]) -> Iterator[Finding]:
    first: dict[bytes, str] = {}
    for path, result in images:
        name = Path(path).relative_to(root).as_posix()
        yield from (Finding(name, kind, reason) for kind, reason in result.problems)
        if result.digest is not None and (same := first.setdefault(result.digest, name)) != name:
            yield Finding(name, "duplicate", f"same bytes as {same}")


def _closed(root: Path, error: OSError) -> Finding:
    name = Path(os.fsdecode(error.filename)).relative_to(root).as_posix()
    return Finding(name, "corrupt", f"a folder that cannot be read: {(error.strerror or str(error)).lower()}")


def _files(root: Path, on_error: Callable[[OSError], None]) -> Iterator[str]:
    """Plain files below a folder, hidden ones left out; a folder that links lead back to is taken once."""
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, onerror=on_error, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in names if not name.startswith("."))


def _in_order(paths: Sequence[str], threads: int) -> Iterator[list[_Looked]]:
    """Results in the order of the paths; whatever ends the iteration, such as Ctrl-C, drops the tasks that wait."""
    batches = (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))
    pool = ThreadPoolExecutor(threads)
    try:
        waiting = [pool.submit(_look_at_all, batch) for batch in islice(batches, 4 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_look_at_all, batch) for batch in islice(batches, 1)]
    finally:
        pool.shutdown(cancel_futures=True)


def _look_at_all(paths: Sequence[str]) -> list[_Looked]:
    return [_look_at(path) for path in paths]


def _look_at(path: str) -> _Looked:
    named = os.path.splitext(path)[1].lower() in SUFFIXES
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _Looked(named, problems=(("corrupt", "no plain file"),))
            if status.st_size > LARGEST:
                return _Looked(named, problems=(("corrupt", f"{status.st_size} bytes"),))
            head = stream.read(16)
            if not named and not head.startswith(_MAGIC):
                return _Looked(False)
            encoded = head + stream.read()
    except OSError as error:
        return _Looked(named, problems=(("corrupt", (error.strerror or str(error)).lower()),))
    if not encoded:
        return _Looked(True, problems=(("truncated", "the file is empty"),))
    return _Looked(True, hashlib.sha256(encoded).digest(), tuple(_problems(path, encoded)))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would wait for ever


def _problems(path: str, encoded: bytes) -> Iterator[tuple[str, str]]:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            suffix = os.path.splitext(path)[1].lower()
            right = _SUFFIXES.get(image.format or "", (f".{(image.format or '').lower()}",))
            if suffix not in right:
                yield "misnamed", f"{image.format} content in a file named {suffix or 'without a suffix'}"
            if image.mode == "CMYK":
                yield "cmyk", "CMYK colours"
            image.load()
    except UnidentifiedImageError:
        yield "corrupt", "not an image in a known format"
    except Image.DecompressionBombError as error:
        yield "corrupt", f"too large: {error}"
    except DAMAGE as error:
        cut_off = any(sign in str(error).lower() for sign in _CUT_OFF)
        yield "truncated" if cut_off else "corrupt", str(error) or type(error).__name__
