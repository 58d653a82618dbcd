"""BranchyNet's early exits: B-LeNet on MNIST against the LeNet of its main line; curves of the other two networks.

    python benchmarks/early_exit.py FOLDER_OF_MNIST OUT --as-long
    python benchmarks/early_exit.py CIFAR10 OUT --network b-alexnet --main-epochs 10 --joint-epochs 20

Claim, for B-LeNet: at most 0.1 points below LeNet on the test images, at least 3.5 times fewer multiply-adds and twice
the images per second in batches. With --as-long, LeNet is the main line trained alone for as many epochs as went into
the whole network, and the first row's thresholds are the cheapest within 0.1 points of it on images held out. The paper
(Teerapittayanon et al., 2016, Table I) prints 5.4 times the speed, and 1.5 and 1.9 times for B-AlexNet and
B-ResNet-110, whose curves of accuracy and time are reported. On the device's runtime, without TensorFlow, its stages
are at least 1.6 times as fast as the main line's file one image at a time, and twice in batches of 512.

OUT is the recipe's folder: if it holds a finished run, that is measured, else the network is trained first. With
--as-long, OUT-main beside it keeps the main line; without, the thresholds are the recipe's. Both nets take the same
images in the same batches, in turn; the ratio is the median over rounds.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
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
from keras_vision.files import whole_file
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


def main_line(recipe: branchynet.BranchyRecipe, data: Path, folder: Path) -> keras.Model:
    """The main line alone, trained for as many epochs as went into the network with its exits."""
    file = folder / "model.keras"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept, _ = training_and_validation(data, recipe.seed)
        keras.utils.set_random_seed(recipe.seed)
        line = branchynet.network(recipe, len(kept.class_names), branches=False)
        training = kept.split(branchynet.HELD_OUT, recipe.seed)[0]
        epochs = recipe.main_epochs + recipe.joint_epochs
        branchynet.trained(line, training, recipe, epochs, folder / "snapshot.npz")
        with whole_file(file) as temporary:
            line.save(temporary)
    line = keras.saving.load_model(file)
    line.jit_compile = False
    return line


def device_ratios(
    model: VisionModel,
    line: keras.Model,
    stages: Path,
    thresholds: Sequence[float],
    images: np.ndarray,
    rounds: int,
    threads: int,
) -> dict[int, float]:
    """By batch: images per second of the staged files against those of the main line's LiteRT file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "line.tflite"
        to_litert(VisionModel(line.input, line.output).with_card(model.card), file, batch=None)
        staged = StagedPredictor(stages, thresholds, threads)
        whole_line = open_interpreter(file, threads, allocate=False)
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
    parser.add_argument("--as-long", action="store_true", help="train the main line alone for as many epochs, too")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    epochs = {name: n for name in ("main_epochs", "joint_epochs") if (n := getattr(options, name))}
    recipe = dataclasses.replace(branchynet.NETWORKS[options.network], **epochs)
    if not (options.out / "metrics.json").exists():
        branchynet.run(recipe, options.data, options.out)
    found = json.loads((options.out / "metrics.json").read_text())
    model = keras.saving.load_model(options.out / "model.keras")
    ran = json.loads((options.out / "run.json").read_text())["settings"]
    recipe = dataclasses.replace(recipe, **{name: ran[name] for name in ("main_epochs", "joint_epochs", "seed")})
    kept, test = training_and_validation(options.data, recipe.seed)
    images, labels = branchynet.arrays(test, model)
    line = keras.Model(model.input, model.outputs[0])
    line.jit_compile = False
    plans = [found["plan"], *found["curve"][:: max(1, len(found["curve"]) // 6)]]
    if options.as_long:
        line = main_line(recipe, options.data, options.out.with_name(f"{options.out.name}-main"))
        held_out = kept.split(branchynet.HELD_OUT, recipe.seed)[1]
        plans.insert(0, dataclasses.asdict(branchynet.cheapest(line, model, held_out, points=0.1)[0]))
    console, table = Console(width=100), Table(title=f"{options.network}, batches of {BATCH}")
    for column in ("thresholds", "accuracy", "by exit", "fewer multiply-adds", "images/s", "ratio of time"):
        table.add_column(column)
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
        stages = options.out / branchynet.STAGES
        ratios = device_ratios(model, line, stages, plans[0]["thresholds"], images, options.rounds, threads)
        for batch, ratio in ratios.items():
            console.print(f"LiteRT, {threads} threads, the first row's thresholds, batches of {batch}: {ratio:.2f}x")
    first, second = recipe.main_epochs, recipe.joint_epochs
    console.print(f"main line alone after {first} epochs: {found['main_accuracy']:.2%}")
    if options.as_long:
        alone = np.mean(line.predict(images, BATCH, verbose=0).argmax(1) == labels)
        console.print(f"after {first + second}, as many as went into the network: {alone:.2%}")
    console.print(f"the paper: {PAPER[options.network]}x on a CPU")
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {options.rounds} rounds")


if __name__ == "__main__":
    main()
