"""Times of LiteRT files, taken in turn so that a change of the machine's speed hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_vision.runtime.quantized import to_tensor

_WARMUP = 2


def latencies(
    files: Sequence[Path], image: np.ndarray, threads: Sequence[int], calls: int
) -> dict[Path, dict[int, float]]:
    """Median milliseconds of one call, by file and number of threads.

    Args:
        files: LiteRT files without operations of TensorFlow's own; one that stands twice is measured once.
        image: `(1, h, w, c)`, real values.
        threads: numbers of threads.
        calls: rounds of all files.
    """
    found: dict[Path, dict[int, float]] = {file: {} for file in files}
    for count in threads:
        runs = {file: _prepared(file, image, count) for file in found}
        times: dict[Path, list[float]] = {file: [] for file in found}
        for _ in range(_WARMUP + calls):
            for file, run in runs.items():
                start = time.perf_counter()
                run.invoke()
                times[file].append((time.perf_counter() - start) * 1000)
        for file, column in times.items():
            found[file][count] = statistics.median(column[_WARMUP:])
    return found


def _prepared(file: Path, image: np.ndarray, threads: int) -> Interpreter:
    run = Interpreter(model_path=str(file), num_threads=threads)
    detail = run.get_input_details()[0]
    if tuple(detail["shape"]) != image.shape:
        run.resize_tensor_input(detail["index"], image.shape)
    run.allocate_tensors()
    run.set_tensor(detail["index"], to_tensor(image, detail))
    return run
