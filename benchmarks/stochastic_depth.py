"""A training step of ResNet-110 with stochastic depth, p_L = 0.5, against the same net of constant depth.

    python benchmarks/stochastic_depth.py

Claim: at most 0.85 of the time; the paper (Huang et al., 2016, section 4) saves about a quarter, and 40.25 of 54 blocks
are computed on average. Both nets train on the same random images in batches of 128, step by step in turn; the ratio is
that of the means, as each step of the first has another depth.
"""

import argparse
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_vision import create_model

ROWS = {"StochasticDepthResNet110": {}, "ResNet110CIFAR": dict(shortcut="average")}


def compiled(model: keras.Model) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True), loss, jit_compile=False)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (options.batch, 32, 32, 3)).astype("float32")
    labels = rng.integers(0, 10, options.batch)
    models = [
        compiled(create_model(name, weights=None, classifier_activation=None, **own)) for name, own in ROWS.items()
    ]
    times: list[list[float]] = [[], []]
    for number in range(options.steps + 2):
        for model, taken in zip(models, times, strict=True):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            if number >= 2:  # before that, TensorFlow traces
                taken.append(time.perf_counter() - start)
    report(*times, options)


def report(ours: list[float], constant: list[float], options: argparse.Namespace) -> None:
    means = [statistics.mean(times) for times in (ours, constant)]
    table = Table(f"110 layers, batches of {options.batch}", "mean ms of a step", "range")
    for name, times, mean in zip(("stochastic depth", "constant depth"), (ours, constant), means, strict=True):
        table.add_row(name, f"{1000 * mean:.0f}", f"{1000 * min(times):.0f} to {1000 * max(times):.0f}")
    console = Console(width=100)
    console.print(table)
    console.print(
        f"{means[0] / means[1]:.2f} of the time over {len(ours)} steps each; claim: <= 0.85; paper: about 0.75"
    )
    device = tf.config.list_physical_devices("GPU") or f"{os.cpu_count()} processors"
    console.print(f"{platform.processor() or platform.machine()}, {device}")


if __name__ == "__main__":
    main()
