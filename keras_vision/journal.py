"""A file that interrupted work goes on from: one line of JSON for each finished piece. A leaf, as `errors`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_vision.errors import KerasVisionError


class Journal:
    """Finished pieces of work; each is in the file before the next one is begun.

    Args:
        path: file to go on from, or to begin; None keeps nothing.
        work: whose file it is, such as "evaluate".
        fingerprint: of all that the pieces depend on.
        depends: what that is, for the message.
        take: called with each piece that the file holds, as JSON gives it.
        remedy: what the message on a file of other work advises.

    Raises:
        KerasVisionError: the file belongs to other work, is none of these, is damaged, or cannot be written, in `add`
            too.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        work: str,
        fingerprint: str,
        depends: str,
        take: Callable[[Any], None],
        remedy: str = "give another file to resume=, or remove it",
    ):
        self._file = None
        if path is None:
            return
        start = f'{{"keras_vision {work}"'
        header = json.dumps({f"keras_vision {work}": fingerprint}).encode() + b"\n"
        path = Path(path)
        try:
            whole = _whole_lines(path.read_bytes(), header) if path.exists() else b""
            path.parent.mkdir(parents=True, exist_ok=True)
            if whole and not whole.startswith(header):
                what = f"belongs to other {depends}" if whole.startswith(start.encode()) else f"is no file of {work}"
                raise KerasVisionError(f"{path} {what}; {remedy}.")
            for line in whole.splitlines()[1:]:
                take(json.loads(line))
            self._file = path.open("ab")
            self._file.truncate(len(whole))  # a last line cut off by the interruption
            if not whole:
                self._write(header)
        except OSError as error:
            raise KerasVisionError(f"{path} cannot be used as a journal: {error.strerror or error}.") from error
        except KerasVisionError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise KerasVisionError(f"{path} is damaged ({error}); remove it to start anew.") from error

    def add(self, piece: Any) -> None:
        """Append a finished piece, which JSON can hold."""
        try:
            self._write(json.dumps(piece).encode() + b"\n")
        except OSError as error:
            raise KerasVisionError(f"the journal cannot be written: {error.strerror or error}.") from error

    def close(self) -> None:
        """Close the file; what was added is in it already."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line)
            self._file.flush()


def _whole_lines(content: bytes, header: bytes) -> bytes:
    """Up to the end of the last whole line; nothing if the header itself was cut off."""
    whole = content[: content.rfind(b"\n") + 1]
    return whole or (b"" if header.startswith(content) else content)
