"""BranchyNet's early exits: B-LeNet on MNIST against the LeNet of its main line; curves of the other two networks.

    python benchmarks/early_exit.py FOLDER_OF_MNIST OUT
    python benchmarks/early_exit.py CIFAR10 OUT --network b-alexnet --main-epochs 10 --joint-epochs 20

Claim, for B-LeNet: at most 0.1 points below LeNet on the test images, at least 3.5 times fewer multiply-adds and twice
the images per second in batches. The paper (Teerapittayanon et al., 2016, Table I) prints 5.4 times the speed, and 1.5
and 1.9 times for B-AlexNet and B-ResNet-110, whose curves of accuracy and time are reported. On the device's runtime,
without TensorFlow, its stages are at least 1.6 times as fast as the main line's file one image at a time, and twice in
batches of 512.

OUT is the recipe's folder: if it holds a finished run, that is measured, else the network is trained first. Both nets
take the same 10,000 images in the same batches, in turn; the ratio is the median over rounds.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_vision.early_exit import EarlyExit
from keras_vision.export import to_litert
from keras_vision.model import VisionModel
from keras_vision.runtime import StagedPredictor
from keras_vision.runtime.predictor import open_interpreter
from keras_vision.training.recipes import branchynet
from keras_vision.training.recipes.data_sets import training_and_validation

BATCH = 512
DEVICE = {1: 500, 512: 10_000}  # batch: images, on the device's runtime
PAPER = {"b-lenet": 5.4, "b-alexnet": 1.5, "b-resnet-110": 1.9}


def rate(call: Any, images: np.ndarray) -> float:
    """Images per second of one pass."""
    start = time.perf_counter()
    call(images)
    return len(images) / (time.perf_counter() - start)


def whole(main: keras.Model, images: np.ndarray) -> None:
    """The main line alone, in the same batches."""
    for start in range(0, len(images), BATCH):
        main.predict_on_batch(images[start : start + BATCH])


def device_ratios(
    model: VisionModel, line: keras.Model, stages: Path, images: np.ndarray, rounds: int, threads: int
) -> dict[int, float]:
    """By batch: images per second of the staged files against those of the main line's LiteRT file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "line.tflite"
        to_litert(VisionModel(line.input, line.output).with_card(model.card), file, batch=None)
        staged, whole_line = StagedPredictor(stages, threads=threads), open_interpreter(file, threads, allocate=False)
        (taken,), (given,) = whole_line.get_input_details(), whole_line.get_output_details()
        found = {}
        for batch, count in DEVICE.items():
            chosen = images[:count]

            def by_batches(x: np.ndarray, size: int = batch) -> None:
                for start in range(0, len(x), size):
                    part = x[start : start + size]
                    if start == 0 or len(part) < size:  # else it has been allocated
                        whole_line.resize_tensor_input(taken["index"], part.shape)
                        whole_line.allocate_tensors()
                    whole_line.set_tensor(taken["index"], part)
                    whole_line.invoke()
                    whole_line.get_tensor(given["index"])

            ways = partial(staged.run, batch_size=batch), by_batches
            pairs = [[rate(way, chosen) for way in ways] for _ in range(rounds + 1)][1:]
            found[batch] = statistics.median(a / b for a, b in pairs)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", choices=branchynet.NETWORKS, default="b-lenet")
    parser.add_argument("--main-epochs", type=int)
    parser.add_argument("--joint-epochs", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    epochs = {name: n for name in ("main_epochs", "joint_epochs") if (n := getattr(options, name))}
    recipe = dataclasses.replace(branchynet.NETWORKS[options.network], **epochs)
    if not (options.out / "metrics.json").exists():
        branchynet.run(recipe, options.data, options.out)
    found = json.loads((options.out / "metrics.json").read_text())
    model = keras.saving.load_model(options.out / "model.keras")
    images, labels = branchynet.arrays(training_and_validation(options.data, recipe.seed)[1], model)
    line = keras.Model(model.input, model.outputs[0])
    line.jit_compile = False
    console, table = Console(width=100), Table(title=f"{options.network}, batches of {BATCH}")
    for column in ("thresholds", "accuracy", "by exit", "fewer multiply-adds", "images/s", "ratio of time"):
        table.add_column(column)
    plans = [found["plan"], *found["curve"][:: max(1, len(found["curve"]) // 6)]]
    for plan in plans:
        runner = EarlyExit(model, plan["thresholds"])
        exited = runner.predict(images, BATCH)  # traces
        whole(line, images)
        pairs = [(rate(lambda x, r=runner: r.predict(x, BATCH), images), rate(lambda x: whole(line, x), images))
                 for _ in range(options.rounds)]  # fmt: skip
        costs = np.cumsum([stage.multiply_adds for stage in runner.stages])
        saved = found["whole"] / costs[exited.exits].mean()
        shares = np.bincount(exited.exits, minlength=len(costs)) / len(labels)
        table.add_row(
            ", ".join(f"{t:.4g}" for t in plan["thresholds"]), f"{np.mean(exited.classes == labels):.2%}",
            ", ".join(f"{share:.1%}" for share in shares), f"{saved:.2f}x",
            f"{statistics.median(a for a, _ in pairs):.0f}", f"{statistics.median(a / b for a, b in pairs):.2f}x",
        )  # fmt: skip
    console.print(table)
    for threads in (1, 2):
        ratios = device_ratios(model, line, options.out / branchynet.STAGES, images, options.rounds, threads)
        for batch, ratio in ratios.items():
            console.print(f"LiteRT, {threads} threads, the first row's thresholds, batches of {batch}: {ratio:.2f}x")
    console.print(f"main line alone, trained before: {found['main_accuracy']:.2%}; the first row's thresholds were")
    console.print(f"searched on held-out training images. The paper: {PAPER[options.network]}x on a CPU")
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {options.rounds} rounds")


if __name__ == "__main__":
    main()
