"""What the compiler's cache is asked without compiling."""

import os

import pytest

from keras_vision.ops.build import Library, Unit, build, cached


@pytest.fixture
def library(tmp_path, monkeypatch) -> Library:
    monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "one.cc").write_text('extern "C" int one() { return 1; }\n')
    return Library("tiny", (Unit(tmp_path / "one.cc"),), flags=("-O0", "-fPIC"))


def test_nothing_is_made_where_nothing_is(library, tmp_path, monkeypatch):
    assert cached(library) is None
    assert not (tmp_path / "cache").exists()
    path = build(library)
    assert cached(library) == path
    library.units[0].source.write_text('extern "C" int one() { return 2; }\n')
    assert cached(library) is None
    assert build(library) == cached(library) != path


def test_what_cannot_be_used_is_not_there(library, monkeypatch):
    path = build(library)
    path.chmod(0o702)
    assert cached(library) is None
    path.chmod(0o700)
    assert cached(library) == path
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert cached(library) is None
    monkeypatch.delenv("CXX")
    library.units[0].source.unlink()
    assert cached(library) is None


def test_without_a_home(library, monkeypatch):
    build(library)
    for name in ("KERAS_VISION_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987654321)
    assert cached(library) is None


def test_another_program_of_a_unit_makes_a_new_entry(library, tmp_path):
    """Its flags are all it is given, and the version it tells counts."""
    wrapped = tmp_path / "wrapped"

    def use(version: str) -> Library:
        wrapped.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/log\n[ "$1" = --version ] && exec echo {version}\nexec g++ "$@"\n'
        )
        wrapped.chmod(0o755)
        (unit,) = library.units
        return Library("tiny", (Unit(unit.source, ("-fPIC", "-O1"), program=(str(wrapped),)),), flags=library.flags)

    first, plain = build(use("1")), build(library)
    second = build(use("2"))
    assert len({first, second, plain}) == 3
    compiled = [line for line in (tmp_path / "log").read_text().splitlines() if " -c " in line]
    assert [line.split(" -c ")[0] for line in compiled] == ["-fPIC -O1"] * 2
    assert os.access(first, os.X_OK)
