"""AlexNet over a 500 x 500 image: fully convolutional, in one run, against the classifier on a 10 x 10 grid of crops.

    python benchmarks/dense_inference.py

Claim: the one run is more than 5 times as fast, as FCN (Long et al., 2015, section 3.1) prints for a GPU. The crops of
227 x 227 pixels, 32 apart, go through the same layers in batches of the best of several sizes; cutting them out is not
counted. The ways take turns, so that a change of the machine's speed hits both alike; medians of the times, and of the
ratios of each round.
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
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import keras_vision as kv

SIZE, CROP, STRIDE, GRID = 500, 227, 32, 10
BATCHES = (1, 10, 25, 100)
IMAGE = np.random.default_rng(0).uniform(-128, 128, (1, SIZE, SIZE, 3)).astype(np.float32)


def crops() -> tf.Tensor:
    """The grid's crops `(100, 227, 227, 3)`; the last ones hang over the edge by 15 pixels, as the pooling does."""
    over = (GRID - 1) * STRIDE + CROP - SIZE
    image = np.pad(IMAGE, ((0, 0), (0, over), (0, over), (0, 0)))[0]
    corners = np.ndindex(GRID, GRID)
    return tf.constant(np.stack([image[STRIDE * i :, STRIDE * j :][:CROP, :CROP] for i, j in corners]))


def compiled(model: keras.Model) -> Callable[[Any], Any]:
    """The forward pass as one graph."""
    return tf.function(lambda x: model(x, training=False), reduce_retracing=True)


def milliseconds(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    classifier = kv.applications.AlexNet(weights=None, classifier_activation=None)
    dense, one = compiled(kv.applications.fully_convolutional(classifier)), compiled(classifier)
    image, grid = tf.constant(IMAGE), crops()
    assert dense(image).shape[1:3] == (GRID, GRID)

    def cropwise(batch: int) -> Callable[[], Any]:
        return lambda: [one(grid[start : start + batch]).numpy() for start in range(0, len(grid), batch)]

    ways: dict[str, Callable[[], Any]] = {"fully convolutional": lambda: dense(image).numpy()}
    ways |= {f"crops, {batch} at a time": cropwise(batch) for batch in BATCHES}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            taken = milliseconds(way)
            if number >= 2:
                times[name].append(taken)
    table = Table(f"AlexNet, {SIZE} x {SIZE}, {GRID} x {GRID} outputs", "median ms", "ratio")
    ours, *peers = times.values()
    for name, column in times.items():
        ratio = statistics.median(b / a for a, b in zip(ours, column, strict=True))
        table.add_row(name, f"{statistics.median(column):.0f}", f"{ratio:.1f}")
    console = Console(width=100)
    console.print(table)
    best = min(peers, key=statistics.median)
    ratios = [b / a for a, b in zip(ours, best, strict=True)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    console.print(f"against the best batch: {middle:.1f} ({low:.1f} to {high:.1f}); claim: > 5")
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {rounds} rounds")


if __name__ == "__main__":
    main()
