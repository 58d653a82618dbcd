"""How much larger than its file the contents of a weight file may claim to be."""

from __future__ import annotations

import zipfile
from pathlib import Path

from keras_vision.errors import WeightsError

RATIO, SPARE_BYTES = 100, 1 << 24  # trained weights hardly compress; a few kilobytes of zeros can stand for gigabytes


def check_contents(path: Path, contents: int) -> None:
    """Refuse a file before memory is taken for what it claims to hold, in bytes.

    Raises:
        WeightsError: more than a hundred times the file's size.
    """
    size = path.stat().st_size
    if contents > RATIO * size + SPARE_BYTES:
        raise WeightsError(f"{path}: {size} bytes that claim to hold {contents}; no weights compress so well.")


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """The same for all members of a zip archive together."""
    check_contents(path, sum(entry.file_size for entry in archive.infolist()))
