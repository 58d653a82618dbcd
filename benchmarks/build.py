"""Time to build a model in Python against the peer's, and what folding batch norm gives.

    python benchmarks/build.py

Claim: at most 1.1 of the time of `keras.applications`. The two take turns in one process, with the session cleared
before each; medians and the median of pairwise ratios. Folding has no claim: the time it takes, and one image through
the network before and after it, as a TensorFlow graph.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import keras_vision as kv

PEERS = (
    *("VGG16", "VGG19", "InceptionV3", "Xception", "ResNet50", "ResNet101", "ResNet152"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
)
FOLDED = ("ResNet50", "BNInception", "InceptionV3", "DenseNet121")


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def building(build: Callable[..., keras.Model]) -> float:
    """Wall time of one build with random weights."""
    keras.backend.clear_session()
    return seconds(lambda: build(weights=None))


def peers(names: tuple[str, ...], runs: int) -> Table:
    table = Table("model", "ours, median s", "keras.applications, median s", "ratio", "claim")
    for name in names:
        ours, peer = getattr(kv.applications, name), getattr(keras.applications, name)
        times = [(building(ours), building(peer)) for _ in range(runs + 1)][1:]
        ratio = statistics.median(a / b for a, b in times)
        medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
        table.add_row(name, *medians, f"{ratio:.2f}", "<= 1.1")
    return table


def folding(names: tuple[str, ...], runs: int) -> Table:
    table = Table("model", "folding, s", "before, median ms", "after, median ms", "ratio", "difference / range")
    for name in names:
        keras.backend.clear_session()
        model = kv.create_model(name, weights=None, classifier_activation=None)
        start = time.perf_counter()
        folded = kv.fold_batch_norm(model)
        taken = time.perf_counter() - start
        image = tf.constant(np.random.default_rng(0).normal(0, 1, (1, *model.input_shape[1:])).astype("float32"))
        graphs = [tf.function(network, jit_compile=False).get_concrete_function(image) for network in (model, folded)]
        before, after = (np.asarray(graph(image)) for graph in graphs)
        times = [[seconds(partial(graph, image)) for graph in graphs] for _ in range(3 * runs)]
        ratio = statistics.median(b / a for a, b in times)
        medians = [f"{1e3 * statistics.median(column):.1f}" for column in zip(*times, strict=True)]
        difference = np.abs(after - before).max() / np.ptp(before)
        table.add_row(name, f"{taken:.2f}", *medians, f"{ratio:.2f}", f"{difference:.1e}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    console = Console(width=110)
    console.print(peers(PEERS, runs))
    console.print(folding(FOLDED, runs))
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {runs} builds each, in turn")


if __name__ == "__main__":
    main()
