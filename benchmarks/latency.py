"""Batch-1 latency of Inception-v3 on 2 threads: our runtime against `keras.Model.predict` and against LiteRT itself.

    python benchmarks/latency.py

Claims: the runtime is at least 4x as fast as `keras.applications.InceptionV3(...).predict` on one image, and no
slower (at least 0.97x) than a LiteRT file converted directly from the Keras Applications model. All three get the same
prepared pixels. They take turns in short blocks of calls, so that a change of the machine's speed hits all alike while each
runs as it does in a loop of its own; medians and the median of blockwise ratios. The table ends with the share of the
machine's matrix-product speed that the runtime reaches: no float32 runtime can be faster than 100 %.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

import keras_vision as kv
from keras_vision.runtime import Predictor

THREADS = 2
CALLS = 10  # in a block


def peer_litert(model: keras.Model) -> Interpreter:
    """The Keras Applications model through TensorFlow's converter, without any of our code."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    interpreter = Interpreter(model_content=converter.convert(), num_threads=THREADS)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (1, 299, 299, 3))
    interpreter.allocate_tensors()
    return interpreter


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def multiply_adds_per_ms(size: int = 2048) -> float:
    """Speed of a square float32 matrix product in NumPy, best of ten."""
    a = np.random.default_rng(0).random((size, size), np.float32)
    return size**3 / min(milliseconds(lambda: a @ a) for _ in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=5)
    blocks = parser.parse_args().blocks
    peer = keras.applications.InceptionV3(weights=None)
    ours = kv.applications.InceptionV3(weights=None)
    pixels = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    image = ours.preprocessing.normalize(pixels)[None]
    interpreter = peer_litert(peer)
    slot, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def litert() -> None:
        interpreter.set_tensor(slot, image)
        interpreter.invoke()
        interpreter.get_tensor(output)

    with tempfile.TemporaryDirectory() as folder:
        kv.export.to_litert(ours, Path(folder) / "model.tflite")
        predictor = Predictor(Path(folder) / "model.tflite", threads=THREADS)
        ways = {
            "runtime.Predictor": lambda: predictor.run(image),
            "keras predict": lambda: peer.predict(image, verbose=0),
            "LiteRT of keras.applications": litert,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for block in range(blocks + 1):  # the first warms up
            for name, call in ways.items():
                median = statistics.median(milliseconds(call) for _ in range(CALLS))
                if block:
                    times[name].append(median)
    table = Table("Inception-v3, batch 1, 2 threads", "median ms", "ratio to the runtime", "claim")
    claims = {"keras predict": ">= 4", "LiteRT of keras.applications": ">= 0.97"}
    for name, values in times.items():
        ratio = statistics.median(v / o for v, o in zip(values, times["runtime.Predictor"], strict=True))
        table.add_row(name, f"{statistics.median(values):.1f}", f"{ratio:.2f}", claims.get(name, ""))
    console = Console(width=100)
    console.print(table)
    floor = ours.card.multiply_adds / multiply_adds_per_ms()
    share = floor / statistics.median(times["runtime.Predictor"])
    console.print(
        f"floor at the speed of a NumPy matrix product: {floor:.1f} ms; the runtime reaches {share:.0%} of it"
    )
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {blocks} blocks of {CALLS} calls"
    )


if __name__ == "__main__":
    main()
