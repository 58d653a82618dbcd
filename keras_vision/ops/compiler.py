"""Finding the C++ compiler and running it."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from keras_vision.errors import KerasVisionError

COMPILERS = ("g++", "c++", "clang++")


class BuildError(KerasVisionError):
    """A C++ library of the package cannot be compiled or cached; the message says what is missing and what to do."""


def find() -> str | None:
    """The C++ compiler, its path first and its arguments quoted for a shell: `$CXX`, else g++, c++ or clang++ on PATH.

    None if there is none, or if `$CXX` names no program: no other is taken in its place.
    """
    given = os.environ.get("CXX", "").strip()
    try:
        candidates = [shlex.split(given)] if given else [[name] for name in COMPILERS]
    except ValueError:  # a quotation mark is missing
        return None
    for name, *arguments in candidates:
        if found := shutil.which(name):
            return shlex.join([os.path.abspath(found), *arguments])
    return None


def require(library: str) -> tuple[str, ...]:
    """The command of the compiler.

    Raises:
        BuildError: there is none for this library.
    """
    found = find()
    if found is None:
        given = os.environ.get("CXX", "").strip()
        tried = f"CXX={given!r} names no program that can be run" if given else f"PATH has no {', '.join(COMPILERS)}"
        raise BuildError(
            f"{library} is compiled on first use, which needs a C++ compiler: {tried}. Install one (Debian, "
            "Ubuntu: apt install g++; macOS: xcode-select --install; conda: conda install cxx-compiler) or set CXX."
        )
    return tuple(shlex.split(found))


def run(commands: Sequence[Sequence[str]], scratch: str | None = None) -> list[str]:
    """Outputs of commands that run side by side, one per core. None is left running, whatever happens."""
    # English messages; and a compiler's temporary files go where they are removed if it is killed.
    environment = {**os.environ, "LC_ALL": "C", **({"TMPDIR": scratch} if scratch else {})}
    running: list[subprocess.Popen[bytes]] = []
    starting, stopped = threading.Lock(), threading.Event()

    def one(command: Sequence[str]) -> str:
        with starting:
            if stopped.is_set():
                return ""
            running.append(process := _start(command, environment))
        output = process.communicate()[0].decode(errors="replace")
        _check(command, process.returncode, output)
        return output

    # Threads, because Ctrl-C interrupts the main one: in the middle of Popen it would lose sight of the new process.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            futures = [pool.submit(one, command) for command in commands]
            for future in as_completed(futures):
                future.result()
            return [future.result() for future in futures]
        finally:
            with starting:
                stopped.set()
            for process in running:
                _kill(process)


def _start(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,  # a compiler starts processes of its own, to be killed with it
        )
    except OSError as error:
        reason = error.strerror or error
        raise BuildError(f"The C++ compiler {command[0]} cannot be run: {reason}. Set CXX to another one.") from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _check(command: Sequence[str], code: int, output: str) -> None:
    if code == 0:
        return
    how = f"exit status {code}" if code > 0 else f"signal {-code}, {signal.strsignal(-code)}"
    said = "\n".join(output.splitlines()[-15:]) or "(nothing)"
    failure = BuildError(
        f"The C++ compiler failed ({how}). If it is broken or knows no C++17, set CXX to another one. It was run as:\n"
        f"{shlex.join(command)}\nThe end of what it said:\n{said}"
    )
    for number, words in ((errno.ENOSPC, "No space left on device"), (errno.EDQUOT, "Disk quota exceeded")):
        if words in output:
            raise OSError(number, words) from failure
    raise failure
