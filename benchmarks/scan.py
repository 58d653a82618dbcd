"""`keras_vision.data.scan.scan` against decoding the same files with Pillow alone, in as many threads, in the same run.

    python benchmarks/scan.py FOLDER

Claim: at least 0.8 of the bare decode rate. The scan reads, hashes, decodes, compares names with contents and finds
duplicates; the peer opens and decodes. They run in turn; medians and the median of pairwise ratios.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_vision.data.scan import scan
from keras_vision.runtime import list_images


def decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def bare(paths: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, paths))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    folder, threads = arguments.folder, arguments.threads
    paths = list(list_images([folder]))
    times = [
        (seconds(lambda: scan(folder, threads=threads)), seconds(lambda: bare(paths, threads)))
        for _ in range(arguments.runs + 1)
    ][1:]  # the first run fills the cache of files
    rates = [statistics.median(len(paths) / column for column in columns) for columns in zip(*times, strict=True)]
    ratios = sorted(peer / ours for ours, peer in times)
    table = Table("", "images per second", "ratio", "range", "claim")
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    table.add_row("scan", f"{rates[0]:,.0f}", f"{statistics.median(ratios):.2f}", spread, ">= 0.8")
    table.add_row("Pillow alone", f"{rates[1]:,.0f}", "", "", "")
    console = Console(width=100)
    console.print(table)
    machine = platform.processor() or platform.machine()
    console.print(f"{machine}, {len(paths)} images, {threads} threads, {arguments.runs} runs each, in turn")


if __name__ == "__main__":
    main()
