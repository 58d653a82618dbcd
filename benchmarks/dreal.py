"""Accuracy of a small network with squeeze-and-excitation, trained with and without DREAL's critic.

    python benchmarks/dreal.py

Handwritten digits of scikit-learn, 8 x 8 pixels, 500 for training and the other 1,297 for testing. The network is a
convolution, three recalibrated residual blocks of 16, 32 and 64 filters and a classifier. Each seed gives the split,
the weights and the order of the images; both arms begin with the same weights and train for as many epochs by the same
optimizer and schedule. No claim: what comes out is reported, seed by seed, with the median seconds of an epoch.
"""

import argparse
import os
import platform
import statistics
import time
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_vision.layers import average_classifier, conv_bn_relu, conv_chain, recalibrated_residual
from keras_vision.training import DREAL

conv = partial(conv_bn_relu, epsilon=1e-5, padding="both", kernel_initializer="he_uniform")
WIDTHS = (16, 32, 64)
TRAINING, BATCH = 500, 25


def network() -> keras.Model:
    """`(n, 8, 8, 1) -> (n, 10)`."""
    image = keras.Input((8, 8, 1))
    x = conv(image, WIDTHS[0], 3, name="conv1")
    for number, width in enumerate(WIDTHS, 2):
        stride, name = (1 if width == WIDTHS[0] else 2), f"conv{number}"
        convs = [(width, 3, stride), (width, 3, 1)]
        branch = partial(conv_chain, convs=convs, conv=conv, name=name)
        projection = partial(conv, filters=width, kernel=1, strides=stride, name=f"{name}_shortcut", relu=False)
        x = recalibrated_residual(x, branch, projection if stride > 1 else lambda y: y, reduction=4, name=name)
    return keras.Model(image, average_classifier(x, 10, "softmax", name="fc"))


class Seconds(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.each.append(time.perf_counter() - self.start)


def result(seed: int, weight: float | None, epochs: int) -> tuple[float, float, float]:
    """Test accuracy, seconds of an epoch and mean reward at the end; a weight of None is training without a critic."""
    data = load_digits()
    images = (data.images[..., None] / 8 - 1).astype("float32")
    x, test_x, y, test_y = train_test_split(
        images, data.target, train_size=TRAINING, stratify=data.target, random_state=seed
    )
    keras.utils.set_random_seed(seed)
    net = network()
    model = net if weight is None else DREAL(net, weight=weight)
    keras.utils.set_random_seed(seed)  # for the order of the images, whatever the critic has drawn
    rate = keras.optimizers.schedules.CosineDecay(0.05, epochs * (TRAINING // BATCH))
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"],
        jit_compile=False,
    )  # fmt: skip
    seconds = Seconds()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[seconds])
    reward = float("nan") if weight is None else float(model.reward)
    accuracy = float(np.mean(net.predict(test_x, verbose=0).argmax(axis=1) == test_y))
    return accuracy, statistics.median(seconds.each[1:]), reward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--weight", type=float, default=0.1)
    arguments = parser.parse_args()
    table = Table("", "test accuracy, mean", "of each seed", "epoch, s", "last mean reward")
    for name, weight in {"without": None, f"DREAL, weight {arguments.weight:g}": arguments.weight}.items():
        found = [result(seed, weight, arguments.epochs) for seed in range(arguments.seeds)]
        accuracies, seconds, rewards = zip(*found, strict=True)
        table.add_row(
            name,
            f"{statistics.mean(accuracies):.2%}",
            ", ".join(f"{accuracy:.2%}" for accuracy in accuracies),
            f"{statistics.median(seconds):.2f}",
            "" if weight is None else ", ".join(f"{reward:+.2f}" for reward in rewards),
        )
    console = Console(width=120)
    console.print(table)
    machine = platform.processor() or platform.machine()
    console.print(f"{arguments.epochs} epochs; {machine}, {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
