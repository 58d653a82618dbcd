"""Finding the C++ compiler and running it."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import IO

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
    outputs: dict[int, str] = {}
    # No threads, and interrupts at one place: elsewhere they may leave a lock taken, or lose sight of a new process.
    with _interrupts_held() as interrupt, contextlib.ExitStack() as files:
        try:
            texts = [files.enter_context(tempfile.TemporaryFile()) for _ in commands]
            while len(outputs) < len(commands):
                while len(running) < len(commands) and len(running) - len(outputs) < (os.cpu_count() or 1):
                    running.append(_start(commands[len(running)], environment, texts[len(running)]))
                for index, process in enumerate(running):
                    if index not in outputs and process.poll() is not None:
                        texts[index].seek(0)
                        outputs[index] = texts[index].read().decode(errors="replace")
                        _check(commands[index], process.returncode, outputs[index])
                time.sleep(0.005)
                interrupt()
        finally:
            for process in running:
                _kill(process)
    return [outputs[index] for index in range(len(commands))]


@contextlib.contextmanager
def _interrupts_held() -> Iterator[Callable[[], object]]:
    """Keeps Ctrl-C from interrupting until what is given here is called, or the end."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield lambda: None
        return
    held: list[tuple[int, FrameType | None]] = []

    def interrupt() -> None:
        if held:
            handler(*held.pop())

    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, handler)
        interrupt()


def _start(command: Sequence[str], environment: dict[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
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
        process.wait()


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
