"""Fetching one file from a public address: verified, resumed, whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

TIMEOUT = 20.0  # seconds, for the connection and for every read
PAUSES = (0.5, 2.0)  # seconds before the second and the third try
CHUNK = 1 << 18
TRANSIENT = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def fetch(url: str, path: Path, expected: str) -> None:
    """Download `url` to `path`, which appears only when whole and of the hash `expected` (see `has_hash`).

    What an interrupted call received stays beside it as `<file>.part`, and the next call asks for the rest. Of several
    processes one downloads, and the others wait for it.

    Raises:
        OSError: no connection, an answer other than the file, no answer for `TIMEOUT` seconds, or the folder cannot be
            written. The message says which, not what to do about it.
    """
    _refuse_other_than_http(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _own_part(path) as part:
        if path.exists():  # another process was faster
            return
        resumed = part.exists()
        found = _persist(url, part, expected)
        if not has_hash(found, expected) and resumed:  # a part that belonged to another file spoils the rest
            part.unlink()
            found = _persist(url, part, expected)
        right = has_hash(found, expected)
        if right and not path.exists():  # without a lock, another process may have been faster
            os.replace(part, path)
        for left in (part, _tag(part)):
            left.unlink(missing_ok=True)
    if not right:
        raise OSError(f"what came has the hash {found}")


def has_hash(found: str, expected: str) -> bool:
    """Whether a hash ("sha256:...", and so on) begins with `expected`: torchvision publishes eight digits only."""
    return found.startswith(expected) and len(expected.partition(":")[2]) >= 8


def _refuse_other_than_http(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise OSError(f"{url} is not an http or https address")


@contextlib.contextmanager
def _own_part(path: Path) -> Iterator[Path]:
    """A partial file that nobody else writes: a fixed one under a lock, or one for this call alone."""
    with path.with_name(f"{path.name}.lock").open("w") as stream:  # never removed: a process may be waiting on it
        if _locked(stream):
            yield path.with_name(f"{path.name}.part")
        else:
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
                yield Path(folder) / f"{path.name}.part"


def _locked(stream: IO[str]) -> bool:
    """Wait for the lock, which the system frees when the process ends; false on Windows or a disk without locks."""
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True


def _tag(part: Path) -> Path:
    """Where the server's mark of the version that `part` belongs to is kept."""
    return part.with_name(f"{part.name}.etag")


def _persist(url: str, part: Path, expected: str) -> str:
    """Complete `part`, trying again after a failure that may pass, and give its hash."""
    for pause in PAUSES:
        try:
            return _complete(url, part, expected)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
        except TRANSIENT:
            pass
        time.sleep(pause)
    return _complete(url, part, expected)


def _complete(url: str, part: Path, expected: str) -> str:
    """Ask once for what `part` lacks, and give the hash of all of it."""
    kind = expected.partition(":")[0]
    digest, have = hashlib.new(kind), 0
    if part.exists():
        with part.open("rb") as stream:
            digest, have = hashlib.file_digest(stream, kind), stream.tell()
    if not has_hash(f"{kind}:{digest.hexdigest()}", expected):  # else only the renaming was missing
        with _request(url, have, _tag(part)) as response:
            if response.status != 206:  # the file from its start: nothing was asked for, or it changed
                digest, have = hashlib.new(kind), 0
            with part.open("ab" if have else "wb") as stream:
                if not have:
                    _tag(part).write_text(_validator(response.headers))
                _receive(response, stream, have, digest)
    return f"{kind}:{digest.hexdigest()}"


def _request(url: str, have: int, tag: Path) -> Any:
    """The server's answer: 206 with what follows the first `have` bytes, or else the whole file."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and tag.exists() and tag.read_text():
        headers["If-Range"] = tag.read_text()
    try:
        return _OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return _request(url, 0, tag)
        raise
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else error from None
    except http.client.HTTPException as error:
        raise ConnectionAbortedError(f"no answer in HTTP: {error!r}") from error
    except ValueError as error:  # an address, perhaps of a redirect, that is none
        raise OSError(f"not an address: {error}") from error


def _validator(headers: Message) -> str:
    """What `If-Range` is to carry; it takes no weak tag."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _receive(response: Any, stream: IO[bytes], have: int, digest: Any) -> None:
    left = response.length  # None where the server does not say; what it sends beyond that is never read
    with _progress() as progress:
        task = progress.add_task(Path(stream.name).stem, completed=have, total=None if left is None else have + left)
        try:
            while chunk := response.read1(CHUNK if left is None else min(CHUNK, left)):
                stream.write(chunk)
                digest.update(chunk)
                progress.advance(task, len(chunk))
                left = None if left is None else left - len(chunk)
        except http.client.HTTPException as error:
            raise ConnectionAbortedError(f"the answer broke off: {error!r}") from error
    if left:
        raise ConnectionAbortedError(f"the answer ended {left} bytes early")


def _progress() -> Progress:
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not terminal, redirect_stdout=False)


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to ftp, which urllib would."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _refuse_other_than_http(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_HttpOnly)
