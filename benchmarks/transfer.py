"""Fine-tuning SqueezeNet v1.1 on CIFAR-10's classes against training it from scratch, for as many epochs.

    python benchmarks/transfer.py shared/weights/squeezenet_v1.1.npz shared/data/cifar10_jpeg

Both are the recipe `squeezenet-transfer`; from scratch it is tried at several learning rates, of which the best counts.
Trained on the first images of each class, evaluated on the first of the test part's. Claim: fine-tuning is better.
"""

import argparse
import dataclasses
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

from keras_vision.data import unpack
from keras_vision.training import find_recipe, run_recipe

SCRATCH_RATES = (3e-4, 1e-3)


def subset(archives: Path, folder: Path, training: int, test: int) -> Path:
    """A data set of the first images of each class, in `folder`."""
    for part, count in (("train", training), ("test", test)):
        unpacked = unpack(archives / f"cifar10_jpeg_{part}.tar.gz", folder / f"all-{part}")
        for images in sorted((unpacked / part).iterdir()):
            (folder / part / images.name).mkdir(parents=True)
            for file in sorted(images.iterdir())[:count]:
                shutil.move(file, folder / part / images.name)
        shutil.rmtree(unpacked)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("archives", type=Path)
    parser.add_argument("--images", type=int, default=200, help="training images of each class")
    parser.add_argument("--test", type=int, default=100, help="test images of each class")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    base = dataclasses.replace(find_recipe("squeezenet-transfer"), epochs=arguments.epochs)
    runs = {"fine-tuned": dataclasses.replace(base, start=str(arguments.weights))}
    for rate in SCRATCH_RATES:
        runs[f"from scratch, {rate:g}"] = dataclasses.replace(base, start=None, learning_rate=rate, rates={})
    table = Table("run", "top-1", "of each seed", "seconds")
    with tempfile.TemporaryDirectory() as folder:
        data = subset(arguments.archives, Path(folder) / "data", arguments.images, arguments.test)
        for name, recipe in runs.items():
            accuracies, times = [], []
            for seed in range(arguments.seeds):
                start = time.perf_counter()
                seeded = dataclasses.replace(recipe, seed=seed)
                accuracies.append(run_recipe(seeded, data, Path(folder) / f"{name} {seed}")["top1"])
                times.append(time.perf_counter() - start)
            each = ", ".join(f"{accuracy:.1%}" for accuracy in accuracies)
            table.add_row(name, f"{statistics.median(accuracies):.1%}", each, f"{statistics.median(times):.0f}")
    console = Console()
    console.print(table)
    console.print(
        f"{10 * arguments.images} training images, {10 * arguments.test} test images, {arguments.epochs} epochs; "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors"
    )


if __name__ == "__main__":
    main()
