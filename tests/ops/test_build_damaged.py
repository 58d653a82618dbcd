"""Compiled libraries that a full disk, a crash or a bad copy has damaged: compiled again, never loaded."""

import ctypes
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_vision.ops.build import Library, Unit, build, cached


@pytest.fixture
def library(tmp_path, monkeypatch) -> Library:
    """Its data fill many pages, so that a half of it is no library."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "one.cc").write_text('int much[100000] = {1};\nextern "C" int one() { return much[0]; }\n')
    return Library("tiny", (Unit(tmp_path / "one.cc"),), flags=("-O0", "-fPIC"))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def flipped(path: Path) -> None:
    """One bit of the code, the size and the headers as they were."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without_record(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").unlink()


def half_a_record(path: Path) -> None:
    truncated(path.with_name(f"{path.name}.sha256"))


def test_the_checksum_lies_beside_the_library(library):
    path = build(library)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (path.parent / f"{path.name}.sha256").read_text() == expected


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, without_record, half_a_record])
def test_what_is_damaged_is_not_there_and_compiled_again(damage, library):
    path = build(library)
    good = path.read_bytes()
    before = path.stat().st_ino
    damage(path)
    assert cached(library) is None
    assert build(library) == path == cached(library)
    assert path.read_bytes() == good
    assert path.stat().st_ino != before  # another process may run what was there
    assert ctypes.CDLL(str(path)).one() == 1


def test_a_truncated_library_would_kill_the_process_and_does_not(library):
    path = build(library)
    load = [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(path)!r}).one()"]
    assert subprocess.run(load, capture_output=True).returncode == 0
    truncated(path)
    assert subprocess.run(load, capture_output=True).returncode != 0
    code = f"from pathlib import *; import ctypes; from keras_vision.ops.build import *; build({library!r})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    assert subprocess.run(load, capture_output=True).returncode == 0


def test_a_damaged_library_cannot_be_compiled_again_without_a_compiler(library, monkeypatch):
    truncated(build(library))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="CXX='no-such-compiler' names no program"):
        build(library)


def test_the_record_goes_with_an_unused_entry(library, tmp_path):
    old = build(library)
    os.utime(old, (0, time.time() - 86400 * 91))
    build(Library("tiny", library.units, flags=(*library.flags, "-g")))
    assert not list((tmp_path / "cache").glob(f"{old.name}*"))
