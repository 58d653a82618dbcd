"""Compiling the C++ sources that travel with the package, on first use, into a cache of the user's own.

An entry of the cache is a file, `<library>-<key>.so`, with its checksum beside it. The key covers all that shapes it,
so it is never out of date. Only entries that the user owns and nobody else can write are handed out, for they are
loaded as code; one that differs from its checksum counts as missing, and is compiled again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shlex
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from keras_vision.ops import checksum, compiler
from keras_vision.ops.compiler import BuildError

FORMAT = 1  # of the cache; part of every key
UNUSED_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True)
class Unit:
    """One object file of a library.

    Args:
        source: the C++ file. It includes its headers by paths relative to itself.
        flags: for this unit alone, after the library's: `("-march=x86-64-v4", "-DLEVEL=avx512")`.
        name: of the object file, where one source is compiled several times; by default the source's stem.
        program: the command of another compiler, such as nvcc, to which `flags` are all the flags there are.
    """

    source: Path
    flags: tuple[str, ...] = ()
    name: str = ""
    program: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A shared library and what it is made of.

    Args:
        name: an identifier, such as "dense_crf".
        units: compiled side by side, then linked in this order.
        headers: every header of the package that a unit includes; a change in one makes a new entry.
        tensorflow: the library is a TensorFlow op, compiled and linked with the flags of `tf.sysconfig`.
        flags: of the compiler, for every unit, after TensorFlow's.
        link_flags: of the linker, after the objects and TensorFlow's.
    """

    name: str
    units: tuple[Unit, ...]
    headers: tuple[Path, ...] = ()
    tensorflow: bool = False
    flags: tuple[str, ...] = ("-std=c++17", "-O3", "-fPIC")
    link_flags: tuple[str, ...] = ()


def build(library: Library, *, force: bool = False) -> Path:
    """Path of the compiled library, compiled now unless the cache holds it.

    Two processes that need the same library compile it once: the second waits. Compiling first removes the entries of
    this library that nobody used for 90 days, and what a killed process left.

    Args:
        library: what to compile.
        force: compile also when the cache holds the library, and replace the entry.

    Raises:
        BuildError: there is no compiler or it fails; the cache cannot be written or is full; the cache or the entry
            belongs to another user or can be written by others; a source is missing; or the system is Windows.
    """
    folder = cache_folder()
    try:
        tools = _tools(library)
        path = folder / f"{library.name}-{_key(library, tools)}.so"
        if force or not _cached(path):
            with _locked(folder / f"{library.name}.lock"):
                if force or not _cached(path):
                    _sweep(folder, library.name)
                    _compile(library, tools, path)
    except OSError as error:
        raise _unusable(folder, error) from error
    return path


def cached(library: Library) -> Path | None:
    """Path of the compiled library, or None if the cache does not hold it or it cannot be used; compiles nothing."""
    try:
        if not any(_place().glob(f"{library.name}-*.so")):  # for the key, compilers have to tell their version
            return None
        path = cache_folder() / f"{library.name}-{_key(library, _tools(library))}.so"
        return path if _cached(path) else None
    except (BuildError, OSError, RuntimeError):
        return None


def cache_folder() -> Path:
    """Folder of compiled libraries: `$KERAS_VISION_CACHE`, else `keras_vision` in `$XDG_CACHE_HOME` or `~/.cache`.

    It is made, with mode 0700, unless it exists.

    Raises:
        BuildError: it cannot be made, belongs to another user, or can be written by others; or the system is Windows.
    """
    if sys.platform == "win32":
        raise BuildError("The C++ ops of keras_vision are compiled on Linux and macOS only; use WSL on Windows.")
    folder = _given_place()
    try:
        folder = _place()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(folder, folder.stat())
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder, or links in a circle
        raise _unusable(folder, error) from error
    return folder


def _given_place() -> Path:
    own, shared = os.environ.get("KERAS_VISION_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(shared or "~/.cache") / "keras_vision"


def _place() -> Path:
    """Resolved, so that a link on the way cannot point elsewhere once the folder is checked."""
    return _given_place().expanduser().resolve()


@dataclass(frozen=True)
class _Tools:
    """What compiles a library: a compiler, and what TensorFlow adds."""

    command: tuple[str, ...]
    version: str
    tensorflow: str = ""
    flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()


def _tools(library: Library) -> _Tools:
    command = compiler.require(library.name)
    version = compiler.run([[*command, "--version"]])[0].partition("\n")[0]
    if not library.tensorflow:
        return _Tools(command, version)
    import tensorflow as tf

    flags, link_flags = tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags()
    return _Tools(command, version, tf.__version__, tuple(flags), tuple(link_flags))


def _key(library: Library, tools: _Tools) -> str:
    units = [(_digest(unit.source), unit.flags, *_program(unit)) for unit in library.units]
    headers = [_digest(header) for header in library.headers]
    flags = library.flags, library.link_flags
    real = os.path.realpath(tools.command[0])
    described = json.dumps([FORMAT, units, headers, flags, asdict(tools), real, _processor()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _program(unit: Unit) -> list[object]:
    return [unit.program, compiler.run([[*unit.program, "--version"]])[0]] if unit.program else []


def _digest(path: Path) -> tuple[str, str]:
    try:
        return path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise BuildError(f"The source file {path} cannot be read ({reason}): install keras_vision again.") from error


def _processor() -> str:
    """The machine and, on Linux, what its cores can do: "flags" of an x86 core, "Features" of an ARM core."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    can_do = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {can_do}"


def _cached(path: Path) -> bool:
    """Whether the entry is there and undamaged; it is marked as used."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise BuildError(f"{path} is not a plain file, so it was not made here. Delete it and call again.")
    _refuse_foreign(path, status)
    if not checksum.intact(path):
        return False
    with contextlib.suppress(OSError):  # a read-only cache serves as well
        os.utime(path)
    return True


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        problem = f"belongs to user {status.st_uid}, and you are user {os.getuid()}"
    elif status.st_mode & 0o022:
        problem = f"can be written by other users (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return
    raise BuildError(
        f"{path} {problem}. Code is loaded from it, so it is refused. Set KERAS_VISION_CACHE to a folder that is "
        "yours and that only you can write."
    )


def _unusable(folder: Path, error: Exception) -> BuildError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "Free some space there, or set KERAS_VISION_CACHE to a folder on another disk."
    else:
        advice = "Set KERAS_VISION_CACHE to a folder of your own, on a local disk."
    return BuildError(f"Compiled libraries cannot be kept in {folder}: {reason}. {advice}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # Windows has none

    with path.open("w") as stream:  # never removed: a process may be waiting on it
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _sweep(folder: Path, name: str) -> None:
    """Needs the library's lock: then no temporary folder of this library is in use."""
    for left in folder.glob(f".{name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    for entry in folder.glob(f"{name}-*.so"):
        with contextlib.suppress(OSError):
            if entry.lstat().st_mtime < time.time() - UNUSED_SECONDS:
                entry.unlink()
                checksum.record_of(entry).unlink(missing_ok=True)


def _compile(library: Library, tools: _Tools, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{library.name}-", dir=path.parent, ignore_cleanup_errors=True) as work:
        commands, objects = [], []
        for i, unit in enumerate(library.units):
            objects.append(f"{work}/{i}-{unit.name or unit.source.stem}.o")
            own = [*tools.command, *tools.flags, *library.flags]
            commands.append([*(unit.program or own), *unit.flags, "-c", str(unit.source), "-o", objects[-1]])
        new = f"{work}/{library.name}.so"
        link_flags = [*tools.link_flags, *library.link_flags]
        compiler.run(commands, scratch=work)
        compiler.run([[*tools.command, "-shared", *objects, *link_flags, "-o", new]], scratch=work)
        if not os.path.exists(new):
            raise BuildError(f"The C++ compiler {shlex.join(tools.command)} wrote no library. Set CXX to another one.")
        os.chmod(new, 0o700)  # whatever the umask: an entry that others can write is refused
        record = Path(work, "record")
        record.write_text(checksum.checksum(Path(new)))
        for written in (new, record):
            with open(written, "rb") as stream:
                os.fsync(stream.fileno())
        os.replace(new, path)
        os.replace(record, checksum.record_of(path))  # last: without it the entry does not count
