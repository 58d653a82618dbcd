"""Whether a compiled library is as it was written: a damaged one kills the process that loads it, without a word."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUFFIX = ".sha256"


def record_of(path: Path) -> Path:
    """The file beside a library that holds its checksum."""
    return path.with_name(path.name + SUFFIX)


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def intact(path: Path) -> bool:
    """Whether a library is what its record says; not so where it has none.

    Raises:
        OSError: one of the two cannot be read.
    """
    try:
        return record_of(path).read_bytes() == checksum(path).encode()
    except FileNotFoundError:
        return False
