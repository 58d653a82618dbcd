"""Time to build a model in Python, against the peer's.

    python benchmarks/build.py

Claim: at most 1.1 of the peer's time. The two take turns in one process, with the session cleared before each;
medians and the median of pairwise ratios.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from rich.console import Console
from rich.table import Table

import keras_vision as kv

PEERS = {"InceptionV3": keras.applications.InceptionV3}


def seconds(build: Callable[..., keras.Model]) -> float:
    """Wall time of one build with random weights."""
    keras.backend.clear_session()
    start = time.perf_counter()
    build(weights=None)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    table = Table("model", "ours, median s", "keras.applications, median s", "ratio", "claim")
    for name, peer in PEERS.items():
        ours = getattr(kv.applications, name)
        times = [(seconds(ours), seconds(peer)) for _ in range(runs + 2)][2:]
        ratio = statistics.median(a / b for a, b in times)
        medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
        table.add_row(name, *medians, f"{ratio:.2f}", "<= 1.1")
    console = Console(width=100)
    console.print(table)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {runs} builds each, in turn")


if __name__ == "__main__":
    main()
