"""Embeddings that were computed before, on disk: one SQLite file for each network, by the hash of an image's bytes."""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_vision.errors import KerasVisionError, KerasVisionWarning

FORMAT = 1  # of the files


def cache_place(cache: bool | str | os.PathLike) -> Path | None:
    """The folder that `cache=` means: True is the user's own, a path itself, False none.

    The user's own is `embeddings` in `$KERAS_VISION_CACHE`, else in `keras_vision` in `$XDG_CACHE_HOME` or `~/.cache`.
    """
    if cache is False or cache is None:
        return None
    if cache is not True:
        return Path(cache)
    own, shared = os.environ.get("KERAS_VISION_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return (Path(own) if own else Path(shared or "~/.cache") / "keras_vision").expanduser() / "embeddings"


class Cache:
    """Vectors of one network by image content. Threads and processes may share a file.

    A file that another version wrote is left as it is, with one warning, and nothing is kept then.

    Args:
        folder: made if it is not there; None keeps nothing.
        network: hash of the network, which names the file.

    Raises:
        KerasVisionError: the folder cannot be written, or the file is damaged.
    """

    def __init__(self, folder: Path | None, network: str):
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self.path = None if folder is None else folder / f"{network[:32]}.sqlite"
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            self._open(self._database)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _open(self, database: sqlite3.Connection) -> None:
        (found,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and found != FORMAT:
            self.close()
            warnings.warn(
                f"{self.path} has format {found}, and this version reads {FORMAT}: embeddings are computed anew and "
                "not kept. Remove the file, or pass another cache=.",
                KerasVisionWarning,
                stacklevel=4,
            )
            return
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
            database.execute(f"PRAGMA user_version={FORMAT}")

    def get(self, key: bytes, size: int) -> np.ndarray | None:
        """The vector of an image's hash, float32 `(size,)`, or None if it is not there."""
        if self._database is None:
            return None
        try:
            with self._lock:
                row = self._database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return np.frombuffer(row[0], "<f4") if row is not None and len(row[0]) == 4 * size else None

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors; they are in the file before this returns."""
        if self._database is None or not vectors:
            return
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with self._lock, self._database:
                self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _unusable(self, error: Exception) -> KerasVisionError:
        return KerasVisionError(
            f"{self.path} cannot be used as a cache of embeddings ({error}); remove it, pass another cache=, or "
            "cache=False."
        )
