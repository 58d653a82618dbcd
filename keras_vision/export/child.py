"""Conversion to LiteRT in a process of its own: a crash of the converter is an error here, and memory is given back."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorflow as tf

from keras_vision.errors import ExportError
from keras_vision.export.conversion import CALIBRATION, MESSAGES, MODEL, RESULT

_LACKING = re.compile(r"tf\.([A-Z]\w+)\(|'tf\.([A-Z]\w+)' op is neither")
_LOCK = threading.Lock()
_process: subprocess.Popen[str] | None = None
_errors: IO[str] | None = None  # what the process prints before a job has a file for that


def to_lite(
    serve: Any,
    module: tf.Module,
    name: str,
    *,
    quantize: str | None = None,
    takes: str = "float32",
    gives: str = "float32",
    calibration: Iterable[np.ndarray] = (),
    flex: bool = False,
) -> bytes:
    """A TensorFlow function as LiteRT, converted by `conversion`.

    Args:
        serve: a `tf.function` with an input signature, or a concrete one, that returns a dict; or several, by the
            names of their signatures.
        module: holds its variables.
        name: the model's, for messages.
        quantize, takes, gives, flex: as of `conversion.convert`.
        calibration: inputs "image" `(1, h, w, c)` of "int8".

    Raises:
        ExportError: an operation that LiteRT lacks, which the message names; or the converter crashed, or LiteRT over
            its file.
    """
    signatures = serve if isinstance(serve, dict) else {"serving_default": serve}
    with tempfile.TemporaryDirectory(prefix="keras_vision_export_") as temporary:
        folder = Path(temporary)
        tf.saved_model.save(module, str(folder / MODEL), signatures=signatures)
        if quantize == "int8":
            np.savez(folder / CALIBRATION, *calibration)
        form = dict(quantize=quantize, takes=takes, gives=gives, flex=flex)
        code = _ask(dict(folder=str(folder), signatures=list(signatures), **form))
        if code == 0:
            return (folder / RESULT).read_bytes()
        messages = folder / MESSAGES
        said = messages.read_text(errors="replace").strip() if messages.exists() else _printed()
        written = (folder / RESULT).exists()
    raise ExportError(_explanation(name, quantize, flex, code, said, written))


def _ask(job: dict[str, Any]) -> int:
    """Give a job to the process, which is started if it is not there, and wait for its exit code."""
    global _process
    with _LOCK:
        for _ in range(2):  # it may have ended for lack of work just now
            if _process is None or _process.poll() is not None:
                _end()  # its pipes
                _process = _started()
            try:
                _write(_process, job)
                if answer := _read(_process):
                    return int(answer)
            except BrokenPipeError:
                pass
            except BaseException:  # Ctrl-C: the job goes on in there, and nobody reads its answer
                _end()
                raise
            if (code := _process.wait()) != 0 or (Path(job["folder"]) / RESULT).exists():
                return code  # where it does not fork, it ends with its job
        return code


def _write(process: subprocess.Popen[str], job: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _printed() -> str:
    if _errors is None:
        return ""
    _errors.seek(0)
    return _errors.read().strip()


def _started() -> subprocess.Popen[str]:
    global _errors
    if _errors is not None:
        _errors.close()
    _errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - open as long as the process is
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # No GPU: conversion needs none, and this process may hold its memory.
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.Popen(
        [sys.executable, "-m", "keras_vision.export.conversion"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=_errors, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


@atexit.register
def _end() -> None:
    global _process
    if _process is not None:
        _process.kill()
        _process.communicate()
        _process = None


def _explanation(name: str, quantize: str | None, flex: bool, code: int, said: str, written: bool = False) -> str:
    """What went wrong and what to do: `code` is the exit code, `said` what the converter printed before or after it
    had `written` a file."""
    form = quantize or "float32"
    if lacking := sorted({a or b for a, b in _LACKING.findall(said)}):
        way = (
            "."
            if flex
            else ", or pass flex=True: the file then runs only where TensorFlow's Flex delegate is linked in."
        )
        lacks = "LiteRT and its Flex delegate lack" if flex else "LiteRT lacks"
        return f"{name} uses {', '.join(lacking)}, which {lacks}; replace what computes it by builtin operations{way}"
    if code < 0:
        reason = f"{signal.strsignal(-code)} (signal {-code})"
        if written:
            return (
                f"LiteRT crashed when it opened {name} as {form}: {reason}, which happens where values of the network "
                "are not finite or too large; choose float32, float16 or dynamic."
            )
        return (
            f"the converter crashed on {name} as {form}: {reason}. Recurrent layers crash it as int8: choose float32, "
            "float16 or dynamic."
        )
    return f"{name} does not convert to LiteRT as {form}: {said[-2000:] or f'the process ended with {code}'}"
