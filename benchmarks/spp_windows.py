"""Pyramid features of 2,000 boxes of one photograph: pooled from one pass, against each box through the convolutions.

    python benchmarks/spp_windows.py

Claim: the one pass, with its pooling, is at least 20 times as fast; SPP-net (He et al., 2014, section 4.3) prints 24 to
102 for a GPU, with other crops. The convolutions are AlexNet's, five of them, the pyramid {6, 3, 2, 1}, the image 688
pixels high as in section 4.1. Crops are squashed to 227 x 227 and go through the same layers in batches of the best of
several sizes; cutting them out is not counted. `--crops` measures fewer of them and counts each as often as it stands
for others. End to end, with the dense layers 4096, 4096 and 21 on both sides, is reported without a claim.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

import keras_vision as kv
from keras_vision.layers import SpatialPyramidPooling2D
from keras_vision.localisation import PyramidWindows

BOXES, CROP, HEIGHT, WIDTH = 2000, 227, 688, 917
BATCHES = (16, 64, 256)


def network() -> keras.Model:
    """AlexNet's convolutions, a pyramid, three dense layers."""
    trunk = kv.applications.AlexNet(weights=None, features_only=True, taps=["conv5"], input_shape=(CROP, CROP, 3))
    x = SpatialPyramidPooling2D((6, 3, 2, 1), name="spp")(trunk.output["conv5"])
    x = layers.Flatten()(x)
    for number in (6, 7):
        x = layers.Dense(4096, activation="relu", name=f"fc{number}")(x)
    return keras.Model(trunk.input, layers.Dense(21, name="fc8")(x))


def boxes(rng: np.random.Generator) -> np.ndarray:
    """Corners of random boxes of at least 16 pixels a side."""
    low = rng.uniform(0, (WIDTH - 16, HEIGHT - 16), (BOXES, 2))
    return np.concatenate([low, rng.uniform(low + 16, (WIDTH, HEIGHT))], axis=1)


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crops", type=int, default=512, help=f"how many of the {BOXES} to measure")
    options = parser.parse_args()
    rng, model = np.random.default_rng(0), network()
    windows, corners = PyramidWindows(model), boxes(rng)
    image = rng.normal(0, 50, (HEIGHT, WIDTH, 3)).astype("float32")
    crops = rng.normal(0, 50, (options.crops, CROP, CROP, 3)).astype("float32")
    pyramid = keras.Model(model.input, model.get_layer("spp").output)
    head = keras.Model(model.get_layer("spp").output, model.output)
    pooled = rng.normal(0, 1, (256, 50, 256)).astype("float32")

    def cropwise(batch: int) -> Callable[[], Any]:
        def run() -> None:
            for start in range(0, len(crops), batch):
                pyramid.predict_on_batch(crops[start : start + batch])

        return run

    ways = {"one pass": lambda: windows.pooled(image, corners), "dense": lambda: head.predict_on_batch(pooled)}
    ways |= {f"crops, {batch} at a time": cropwise(batch) for batch in BATCHES if batch <= len(crops)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, way in ways.items():
            taken = seconds(way)
            if number:  # the first traces
                scale = {"one pass": 1, "dense": BOXES / len(pooled)}.get(name, BOXES / len(crops))
                times[name].append(scale * taken)
    report(times, options)


def report(times: dict[str, list[float]], options: argparse.Namespace) -> None:
    dense = statistics.median(times.pop("dense"))
    ours, *peers = (statistics.median(column) for column in times.values())
    table = Table(f"{BOXES} boxes of {WIDTH} x {HEIGHT} pixels", "seconds", "ratio")
    for name, column in times.items():
        table.add_row(name, f"{statistics.median(column):.2f}", f"{statistics.median(column) / ours:.1f}")
    console, best = Console(width=100), min(peers)
    console.print(table)
    console.print(f"against the best batch: {best / ours:.1f}; claim: >= 20; paper: 24 to 102 on a GPU")
    console.print(f"end to end with the dense layers, {dense:.2f} s: {(best + dense) / (ours + dense):.1f}")
    console.print(
        f"{options.crops} crops measured; {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
