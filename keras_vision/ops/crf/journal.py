"""The file that an interrupted search of parameters goes on from: one JSON line for each finished setting."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keras_vision.errors import KerasVisionError

Setting = tuple[float, float, float]  # weight, theta_alpha, theta_beta

_HEADER = "keras_vision fit_dense_crf"


class Journal:
    """Scores of finished settings. Each is in the file before the next one is handed out.

    Args:
        path: file to go on from, or to begin; None keeps the scores in memory only.
        fingerprint: of all that a score depends on beside its setting.

    Attributes:
        done: score of each finished setting.

    Raises:
        KerasVisionError: the file belongs to another search, is none of these, is damaged, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike | None, fingerprint: str):
        self.done: dict[Setting, float] = {}
        self._file = None
        if path is None:
            return
        header = json.dumps({_HEADER: fingerprint}).encode() + b"\n"
        try:
            whole = self._read(Path(path), header) if Path(path).exists() else 0
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = Path(path).open("ab")  # noqa: SIM115 - `close` closes it
            self._file.truncate(whole)  # a last line cut off by the interruption
            if not whole:
                self._write(header)
        except OSError as error:
            raise KerasVisionError(f"{path} cannot be used as a journal: {error.strerror or error}.") from error

    def add(self, setting: Setting, score: float) -> None:
        """Append a finished setting."""
        self.done[setting] = score
        self._write(json.dumps([*setting, score]).encode() + b"\n")

    def close(self) -> None:
        """Close the file; what was added is in it already."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())  # settings take seconds: cheap, and a power cut costs none

    def _read(self, path: Path, header: bytes) -> int:
        """Fills `done`; returns the number of bytes up to the end of the last whole line."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and header.startswith(content):
            return 0
        first, *lines = whole.splitlines(keepends=True) or [b""]
        if first != header:
            ours = first.startswith(f'{{"{_HEADER}"'.encode())
            what = "belongs to other images, labels or options" if ours else "is no file of fit_dense_crf"
            raise KerasVisionError(f"{path} {what}; give another file to resume=, or remove it.")
        try:
            for line in lines:
                weight, theta_alpha, theta_beta, score = map(float, json.loads(line))
                self.done[weight, theta_alpha, theta_beta] = score
        except (ValueError, TypeError) as error:
            raise KerasVisionError(f"{path} is damaged ({error}); remove it to start anew.") from error
        return len(whole)
