"""The compiler's cache: what is compiled when, what is refused, and what an interrupted compilation leaves."""

import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keras_vision.ops import compiler
from keras_vision.ops.build import Library, Unit, build, cache_folder
from keras_vision.ops.compiler import BuildError

SOURCE = """
#include "one.h"
extern "C" int {name}() {{ return ONE + MORE; }}
"""
LOG = 'case "$*" in *" -c "*) echo "$*" >> {log};; esac\n'
GCC = 'exec g++ "$@"\n'
VERSION = 'case "$*" in --version) echo fake 1.0; exit;; esac\n'
WRITE_HALF = 'case "$*" in *-shared*) for out; do :; done; printf half > "$out"; {end};; esac\n'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def library(tmp_path) -> Library:
    (tmp_path / "one.h").write_text("#define ONE 1\n")
    for name in ("answer", "other"):
        (tmp_path / f"{name}.cc").write_text(SOURCE.format(name=name))
    units = tuple(Unit(tmp_path / f"{name}.cc", ("-DMORE=41",)) for name in ("answer", "other"))
    return Library("tiny", units, headers=(tmp_path / "one.h",), flags=("-O0", "-fPIC"))


@pytest.fixture
def use_compiler(tmp_path, monkeypatch):
    """Makes a shell script the compiler."""

    def use(body: str, name: str = "wrapped") -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        return path

    return use


@pytest.fixture
def compiled(tmp_path, use_compiler):
    """Counts the units compiled so far."""
    log = tmp_path / "log"
    use_compiler(LOG.format(log=log) + GCC)
    return lambda: len(log.read_text().splitlines()) if log.exists() else 0


def answer(path: Path, name: str = "answer") -> int:
    return getattr(ctypes.CDLL(str(path)), name)()


def script(library: Library, more: str = "") -> list[str]:
    """A Python process that builds the library."""
    code = f"from pathlib import *\nfrom keras_vision.ops.build import *\n{more}\nprint(build({library!r}))"
    return [sys.executable, "-c", code]


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix not in (".lock", ".sha256"))


def test_compiles_once_with_private_modes(library, cache, compiled):
    before = os.umask(0o002)  # many systems' default: files are made writable by the group
    try:
        path = build(library)
        assert build(library) == path
    finally:
        os.umask(before)
    assert answer(path) == answer(path, "other") == 42
    assert compiled() == len(library.units)
    assert left_in(cache) == [path.name]
    assert cache.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o700
    assert build(library, force=True) == path
    assert compiled() == 2 * len(library.units)


def test_one_source_compiled_twice(library):
    source = library.units[0].source
    units = [Unit(source, (f"-DMORE={n}", f"-Danswer=answer_{n}"), name=f"answer_{n}") for n in (1, 2)]
    path = build(replace(library, units=tuple(units)))
    assert (answer(path, "answer_1"), answer(path, "answer_2")) == (2, 3)


@pytest.mark.parametrize("change", ["source", "header", "flag", "unit flag", "link flag", "compiler", "processor"])
def test_what_shapes_the_library_makes_a_new_entry(change, library, compiled, use_compiler, monkeypatch):
    first = build(library)
    unit = library.units[0]
    if change == "source":
        unit.source.write_text(unit.source.read_text() + "// new\n")
    elif change == "header":
        library.headers[0].write_text("#define ONE 2\n")
    elif change == "flag":
        library = replace(library, flags=(*library.flags, "-g"))
    elif change == "unit flag":
        library = replace(library, units=(replace(unit, flags=("-DMORE=42",)), *library.units[1:]))
    elif change == "link flag":
        library = replace(library, link_flags=("-lm",))
    elif change == "compiler":
        use_compiler(GCC, name="another")
    else:
        monkeypatch.setattr("keras_vision.ops.build._processor", lambda: "another")
    second = build(library)
    assert second != first
    assert first.exists()
    assert answer(second) == 42 + (change in ("header", "unit flag"))


def test_flags_of_tensorflow_reach_the_compiler(library, tmp_path, use_compiler):
    import tensorflow as tf

    use_compiler(f'{VERSION}echo "$*" >> {tmp_path}/log\nfor out; do :; done; : > "$out"\n')
    plain = build(library)
    (tmp_path / "log").unlink()
    assert build(replace(library, tensorflow=True)) != plain
    *units, link = (tmp_path / "log").read_text().splitlines()
    assert len(units) == 2
    assert all(" ".join(tf.sysconfig.get_compile_flags()) in unit for unit in units)
    assert " ".join(tf.sysconfig.get_link_flags()) in link


def test_the_compiler_is_cxx_or_found_on_path(monkeypatch, tmp_path):
    assert compiler.find().endswith("/g++")
    monkeypatch.setenv("CXX", "g++ -O1 '-DA=b c'")
    assert compiler.find().endswith("/g++ -O1 '-DA=b c'")
    for nothing in ("no-such-compiler", "g++ '"):
        monkeypatch.setenv("CXX", nothing)
        assert compiler.find() is None
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler.find() is None


@pytest.mark.parametrize(("cxx", "tried"), [("", "PATH has no g++"), ("no-such-compiler", "CXX='no-such-compiler'")])
def test_no_compiler(cxx, tried, library, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", cxx)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=rf"tiny .*{tried}.*apt install g\+\+.*set CXX"):
        build(library)


@pytest.mark.parametrize(("body", "says"), [
    ("echo no licence >&2; exit 3", r"exit status 3(.|\n)*--version\n.*\nno licence$"),
    (VERSION + "echo unknown flag >&2; exit 1", r"exit status 1(.|\n)*-DMORE=41(.|\n)*unknown flag$"),
    (VERSION + "kill -9 $$", r"signal 9(.|\n)*\(nothing\)"),
    (VERSION + "seq 1 100; exit 1", r"said:\n86\n(.|\n)*\n100$"),
    (VERSION + "exit 0", "wrote no library"),
    (VERSION + "cat /proc/version > /dev/full", "cache: No space left on device. Free some space"),
    (VERSION + "echo \"can't write: 'Disk quota exceeded'\"; exit 1", "cache: Disk quota exceeded. Free some space"),
    (VERSION + WRITE_HALF.format(end="exit 1"), r"exit status 1(.|\n)*-shared"),
    (VERSION + WRITE_HALF.format(end="kill -9 $$"), r"signal 9(.|\n)*-shared"),
])  # fmt: skip
def test_broken_compiler(body, says, library, cache, use_compiler):
    use_compiler(body)
    with pytest.raises(BuildError, match=says):
        build(library)
    assert left_in(cache) == []
    use_compiler(GCC)
    assert answer(build(library)) == 42


def test_a_failing_unit_stops_the_others(library, cache, use_compiler, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    use_compiler(VERSION + 'case "$*" in *answer*) sleep 50;; esac; exit 1')
    start = time.monotonic()
    with pytest.raises(BuildError, match=r"exit status 1(.|\n)*other\.cc"):
        build(library)
    assert time.monotonic() - start < 10
    assert left_in(cache) == []


def test_no_more_compilers_than_cores(library, tmp_path, use_compiler, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    use_compiler(f"mkdir {tmp_path}/busy || exit 1\ntrap 'rmdir {tmp_path}/busy' EXIT\nsleep 0.1\n{GCC[5:]}")
    assert answer(build(library)) == 42


def test_a_compiler_that_is_no_program(library, use_compiler):
    path = use_compiler("")
    path.write_bytes(b"\x7fELF, but not quite")
    with pytest.raises(BuildError, match="wrapped cannot be run: Exec format error"):
        build(library)
    path.chmod(0o644)
    with pytest.raises(BuildError, match="no program that can be run"):
        build(library)


def test_an_error_in_the_source_names_it(library, cache):
    library.units[1].source.write_text("this is no C++\n")
    with pytest.raises(BuildError, match=r"other\.cc:1:1: error: "):
        build(library)
    assert left_in(cache) == []
    library.units[1].source.unlink()
    with pytest.raises(BuildError, match=r"other\.cc cannot be read \(No such file.*install keras_vision again"):
        build(library)


@pytest.mark.parametrize("call", ["tempfile.mkdtemp", "os.fsync", "os.replace", "pathlib.Path.mkdir", "fcntl.flock"])
@pytest.mark.parametrize(("number", "advice"), [
    (errno.ENOSPC, "No space left on device. Free some space there, or set KERAS_VISION_CACHE"),
    (errno.EROFS, "Read-only file system. Set KERAS_VISION_CACHE"),
])  # fmt: skip
def test_a_cache_that_cannot_be_written(call, number, advice, library, cache, monkeypatch):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, fail)
    with pytest.raises(BuildError, match=f"{cache}: {advice}"):
        build(library)
    monkeypatch.undo()
    assert not cache.exists() or left_in(cache) == []


def test_a_read_only_cache_serves_what_it_holds(library, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    path = build(library)
    for call in ("tempfile.mkdtemp", "os.utime", "fcntl.flock"):
        monkeypatch.setattr(call, fail)
    assert build(library) == path


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_VISION_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / "home/.cache/keras_vision"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/keras_vision"
    monkeypatch.setenv("KERAS_VISION_CACHE", "~/own")
    assert cache_folder() == tmp_path / "home/own"


def test_a_user_without_a_home(library, monkeypatch):
    for name in ("KERAS_VISION_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987654321)
    with pytest.raises(BuildError, match=r"~/\.cache/keras_vision: .*Set KERAS_VISION_CACHE"):
        build(library)


@pytest.mark.parametrize("what", ["folder", "entry"])
@pytest.mark.parametrize("problem", ["owner", "group", "others"])
def test_what_another_user_may_have_written_is_refused(what, problem, library, cache, monkeypatch):
    path = build(library)
    target = cache if what == "folder" else path
    if problem == "group":
        target.chmod(0o770)
    elif problem == "others":
        target.chmod(0o702)
    elif os.getuid() == 0:
        os.chown(target, 4321, -1)
    else:
        monkeypatch.setattr("os.getuid", lambda: 4321)
    says = (
        r"belongs to user \d+, and you are user" if problem == "owner" else r"can be written by other users \(mode 07"
    )
    with pytest.raises(BuildError, match=f"{target} {says}.*KERAS_VISION_CACHE"):
        build(library)


def test_a_link_in_place_of_the_entry_is_refused(library, tmp_path):
    path = build(library)
    path.rename(tmp_path / "elsewhere.so")
    path.symlink_to(tmp_path / "elsewhere.so")
    with pytest.raises(BuildError, match="not a plain file"):
        build(library)


def test_windows_is_told(library, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(BuildError, match="on Linux and macOS only"):
        build(library)


def test_unused_entries_go_after_90_days(library, cache):
    names = ["tiny-old.so", "tiny-recent.so", "tiny_two-old.so", "other-old.so"]
    cache.mkdir(0o700)
    for name in names:
        (cache / name).touch()
        os.utime(cache / name, (0, time.time() - 86400 * (89 if "recent" in name else 91)))
    path = build(library)
    assert left_in(cache) == sorted([path.name, *names[1:]])
    os.utime(path, (0, 0))
    build(library)  # used, so kept
    build(replace(library, link_flags=("-lm",)))
    assert path.exists()


def test_two_processes_compile_once(library, tmp_path, use_compiler):
    log = tmp_path / "log"
    use_compiler(LOG.format(log=log) + 'case "$*" in *-shared*) sleep 1;; esac\n' + GCC)
    both = [subprocess.Popen(script(library), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (process.communicate(timeout=60)[0] for process in both)
    assert first == second
    assert answer(Path(first.strip())) == 42
    assert len(log.read_text().splitlines()) == len(library.units)


def test_a_killed_process_leaves_nothing_that_counts(library, cache, tmp_path, use_compiler):
    broken = tmp_path / "broken"
    broken.touch()
    use_compiler(f"if [ -e {broken} ]; then :\n{WRITE_HALF.format(end='kill -9 $PPID; exit 1')}fi\n{GCC}")
    assert subprocess.run(script(library)).returncode == -signal.SIGKILL
    (left,) = left_in(cache)
    assert left.startswith(".tiny-")
    broken.unlink()
    path = build(library)
    assert answer(path) == 42
    assert left_in(cache) == [path.name]


def test_ctrl_c_stops_the_compilers(library, cache, tmp_path, use_compiler):
    os.mkfifo(tmp_path / "alive")  # gives an end of file once no process holds it any more
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    use_compiler(f"{VERSION}exec 9> {tmp_path}/alive; echo started >&9; sleep 500; exit 1")
    builder = subprocess.Popen(script(library), stderr=subprocess.PIPE, text=True)
    assert select.select([alive], [], [], 200)[0], "no compiler was started"
    os.read(alive, 100)
    start = time.monotonic()
    builder.send_signal(signal.SIGINT)
    assert builder.communicate(timeout=100)[1].endswith("KeyboardInterrupt\n")
    while select.select([alive], [], [], 100)[0] and os.read(alive, 100):
        pass
    os.close(alive)
    assert time.monotonic() - start < 200  # of the 500 that a compiler takes
    assert left_in(cache) == []


def test_ctrl_c_at_any_moment_is_neither_lost_nor_waited_for():
    code = """
import faulthandler, random, signal
from keras_vision.ops.compiler import run
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
for trial in range(300):
    faulthandler.dump_traceback_later(100, exit=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 1.2e-2))
        run([["sleep", "500"]] * 2)
    except KeyboardInterrupt:
        continue
    raise SystemExit("went on")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_importing_compiles_nothing(cache, compiled):
    code = "import sys, keras_vision, keras_vision.ops.build; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert compiled() == 0
    assert not cache.exists()
