"""The program of the process that converts: SavedModels to LiteRT, each in a process of its own.

`python -m keras_vision.export.conversion` imports TensorFlow once and then, for each line of JSON that it reads, forks
a process that converts and ends. A crash of the converter ends only that process, and its memory goes back to the
system. Where there is no safe fork, it converts one model itself and ends. It also ends when nothing came for a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IDLE = 300.0  # seconds without work after which the process ends; its memory is TensorFlow's, about 0.3 GB
FORKS = sys.platform == "linux"
MODEL, RESULT, CALIBRATION, MESSAGES = "saved_model", "model.tflite", "calibration.npz", "messages.txt"


def convert(folder: Path, signatures: list[str], quantize: str | None, takes: str, gives: str, flex: bool) -> bytes:
    """Signatures of a SavedModel as LiteRT.

    Args:
        folder: with the SavedModel, and for "int8" with the inputs to calibrate on, one array each.
        signatures: their names.
        quantize: None, "float16", "dynamic" or "int8".
        takes, gives: with "int8", the types of inputs and outputs: "float32", "int8" or "uint8".
        flex: whether TensorFlow's own operations may stay.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / MODEL), signature_keys=signatures)
    sets = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        sets = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, *sets]  # in this order: what int8 lacks stays in float32
        converter.representative_dataset = lambda: _inputs(folder / CALIBRATION)
        converter.inference_input_type, converter.inference_output_type = getattr(tf, takes), getattr(tf, gives)
    converter.target_spec.supported_ops = [*sets, tf.lite.OpsSet.SELECT_TF_OPS] if flex else sets
    return converter.convert()


def _inputs(file: Path) -> Iterator[dict[str, Any]]:
    import numpy as np

    with np.load(file) as arrays:  # read one by one
        for name in arrays.files:
            yield {"image": arrays[name]}


def _open(file: Path) -> None:
    """Prepare every operation: LiteRT aborts its process over some that it cannot run."""
    from ai_edge_litert.interpreter import Interpreter

    Interpreter(model_path=str(file)).allocate_tensors()


def _work(job: dict[str, Any]) -> None:
    """Converts, and leaves a file: the model, or else what went wrong. Ends by a signal where the file is no good."""
    folder = Path(job.pop("folder"))
    with (folder / MESSAGES).open("w") as messages:
        os.dup2(messages.fileno(), 1)
        os.dup2(messages.fileno(), 2)
    try:
        (folder / RESULT).write_bytes(convert(folder, **job))
        if not job["flex"]:
            _open(folder / RESULT)
    except Exception as error:  # the converter's own ConverterError is not public
        (folder / MESSAGES).write_text(str(error))
        os._exit(1)
    os._exit(0)


def _in_a_fork(job: dict[str, Any]) -> int:
    """How the process ended: 0, 1 with a message, or minus the signal that ended it."""
    if not (child := os.fork()):
        _work(job)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Reads jobs from standard input and answers each with an exit code on standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # TensorFlow and its libraries print what they like
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401 - before the first fork
    while not FORKS or select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        if not FORKS:
            _work(json.loads(line))
        print(_in_a_fork(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
