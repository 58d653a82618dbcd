"""Batch-1 latency of Inception-v3 on 2 threads: our runtime against `keras.Model.predict` and against LiteRT itself.

    python benchmarks/latency.py

Claims: the runtime is at least 4x as fast as `keras.applications.InceptionV3(...).predict` on one image, and no slower
(at least 0.97x) than a LiteRT file converted directly from the Keras Applications model. Each way runs in a process of
its own, as its user would run it, and the processes take turns, so that a change of the machine's speed hits all alike;
medians of calls, then the median of the ratios of each round. The last line gives the time that the network's
multiply-adds take at the speed of a NumPy matrix product: a float32 runtime cannot be much faster than that.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rich.console import Console
from rich.table import Table

THREADS, CALLS, WARMUP = 2, 25, 5
IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)  # prepared pixels


def make_files(folder: str) -> None:
    """Our export, and the Keras Applications model through TensorFlow's converter without any of our code."""
    import keras
    import tensorflow as tf

    import keras_vision as kv

    kv.export.to_litert(kv.applications.InceptionV3(weights=None), Path(folder) / "ours.tflite")
    peer = keras.applications.InceptionV3(weights=None)
    serve = tf.function(peer, input_signature=[tf.TensorSpec(IMAGE.shape, tf.float32)])
    module = tf.Module()
    module.tracked = [variable.value for variable in peer.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    (Path(folder) / "peer.tflite").write_bytes(converter.convert())


def runtime(folder: str) -> Callable[[], Any]:
    """Our runtime on our file."""
    from keras_vision.runtime import Predictor

    predictor = Predictor(Path(folder) / "ours.tflite", threads=THREADS)
    return lambda: predictor.run(IMAGE)


def litert(folder: str) -> Callable[[], Any]:
    """The bare interpreter on the peer's file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=f"{folder}/peer.tflite", num_threads=THREADS)
    interpreter.allocate_tensors()
    given, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def call() -> Any:
        interpreter.set_tensor(given, IMAGE)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return call


def keras_predict(folder: str) -> Callable[[], Any]:
    """What a user of Keras Applications calls."""
    import keras

    model = keras.applications.InceptionV3(weights=None)
    return lambda: model.predict(IMAGE, verbose=0)


def product(folder: str) -> Callable[[], Any]:
    """A matrix product of 2048^3 multiply-adds."""
    a = np.random.default_rng(0).random((2048, 2048), np.float32)
    return lambda: a @ a


WAYS = {"runtime.Predictor": runtime, "keras predict": keras_predict, "LiteRT of keras.applications": litert}
CLAIMS = {"keras predict": ">= 4", "LiteRT of keras.applications": ">= 0.97"}


def median_ms(call: Callable[[], Any]) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(WARMUP + CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[WARMUP:])


def in_a_process(name: str, folder: str) -> float:
    """`median_ms` of one way in a new process."""
    command = [sys.executable, __file__, "--way", name, "--folder", folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(median_ms({**WAYS, "product": product}[arguments.way](arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(folder)
        times: dict[str, list[float]] = {name: [] for name in (*WAYS, "product")}
        for _ in range(arguments.rounds):
            for name, column in times.items():
                column.append(in_a_process(name, folder))
    table = Table("Inception-v3, batch 1, 2 threads", "median ms", "ratio to the runtime", "claim")
    for name in WAYS:
        ratio = statistics.median(v / o for v, o in zip(times[name], times["runtime.Predictor"], strict=True))
        table.add_row(name, f"{statistics.median(times[name]):.1f}", f"{ratio:.2f}", CLAIMS.get(name, ""))
    console = Console(width=100)
    console.print(table)
    floor = 5_713_216_096 / 2048**3 * statistics.median(times["product"])
    console.print(f"5.71 G multiply-adds at the speed of a NumPy matrix product: {floor:.1f} ms")
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {arguments.rounds} rounds")


if __name__ == "__main__":
    main()
