"""Batch norm on MNIST (Ioffe & Szegedy, 2015): the network of section 4.1, Figure 1, and the arms of section 4.2.2.

    keras-vision recipes batch-norm FOLDER_OF_MNIST figure1.png

After 50,000 steps 96.5 % of the test images without batch norm and 97.6 % with it, in two minutes on two cores of an
AMD EPYC (Zen 4); without it nothing is learned in the first 3,000 steps. `benchmarks/batch_norm.py` compares the
arms.

The paper's arms are Inception on ImageNet, here the small network, the rate stays constant, and there is neither weight
decay nor dropout. The paper gives no learning rate for MNIST: at `BASE_RATE` the network without batch norm takes the
50,000 steps of Figure 1 to its best accuracy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from keras_vision.data import LabelledImages, mnist
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH, STEPS = 60, 50_000
UNITS, HIDDEN = 100, 3
BASE_RATE = 0.1
PERCENTILES = (15, 50, 85)
FIGURE_1 = ("Without BN", "With BN")
PROBE = 1000  # held-out images whose activations are looked at


@dataclasses.dataclass(frozen=True)
class Arm:
    """One of the networks compared.

    Attributes:
        batch_norm: before each nonlinearity, in place of a bias.
        activation: the nonlinearity.
        rate: learning rate, in base rates.
    """

    batch_norm: bool
    activation: str
    rate: float


ARMS: Mapping[str, Arm] = {
    "Without BN": Arm(False, "sigmoid", 1),  # Figure 1
    "With BN": Arm(True, "sigmoid", 1),
    "Baseline": Arm(False, "relu", 1),  # section 4.2.2
    "BN-Baseline": Arm(True, "relu", 1),
    "BN-x5": Arm(True, "relu", 5),
    "BN-x30": Arm(True, "relu", 30),
    "BN-x5-Sigmoid": Arm(True, "sigmoid", 5),
}


def network(arm: Arm) -> keras.Model:
    """Three hidden layers of 100 units and ten logits: `(n, 28, 28) -> (n, 10)`, from small Gaussian weights."""
    inputs = keras.Input((28, 28), name="image")
    x = layers.Flatten(name="pixels")(inputs)
    for number in range(1, HIDDEN + 1):
        start = keras.initializers.RandomNormal(stddev=0.05)
        x = layers.Dense(UNITS, use_bias=not arm.batch_norm, kernel_initializer=start, name=f"fc{number}")(x)
        if arm.batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"fc{number}_bn")(x)
        x = layers.Activation(arm.activation, name=f"hidden{number}")(x)
    start = keras.initializers.RandomNormal(stddev=0.05)
    return keras.Model(inputs, layers.Dense(10, kernel_initializer=start, name="logits")(x))


@dataclasses.dataclass(frozen=True)
class Curves:
    """What was recorded in training.

    Attributes:
        steps: after which a record was made, `(r,)`.
        accuracy: on the test images, with the moving statistics, `(r,)`.
        percentiles: 15th, 50th and 85th, of what goes into each nonlinearity of the last hidden layer, `(r, 3, 100)`; a
            batch norm normalises with the statistics of the images looked at, as in training.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    percentiles: np.ndarray

    def steps_to(self, accuracy: float) -> float:
        """Steps after which the accuracy was first as high; infinite if it never was."""
        reached = self.steps[self.accuracy >= accuracy]
        return float(reached[0]) if reached.size else float("inf")


class Recorder(keras.callbacks.Callback):
    """Accuracy and percentiles, whenever Keras calls: every `steps_per_execution` steps."""

    def __init__(self, model: keras.Model, images: np.ndarray, labels: np.ndarray):
        super().__init__()
        last = model.get_layer(f"hidden{HIDDEN}").input
        self.inside = keras.Model(model.input, last)
        self.images, self.labels = images, labels
        self.steps: list[int] = []
        self.accuracy: list[float] = []
        self.percentiles: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        predicted = keras.ops.argmax(self.model(self.images, training=False), axis=-1)
        self.accuracy.append(float(np.mean(np.asarray(predicted) == self.labels)))
        self.steps.append(int(self.model.optimizer.iterations))
        # stateless, so that looking does not move the statistics
        variables = self.inside.trainable_variables, self.inside.non_trainable_variables
        values, _ = self.inside.stateless_call(*variables, self.images[:PROBE], training=True)
        self.percentiles.append(np.percentile(np.asarray(values), PERCENTILES, axis=0))

    def curves(self) -> Curves:
        return Curves(np.array(self.steps), np.array(self.accuracy), np.array(self.percentiles))


def binary(digits: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Images of zeros and ones `(n, 28, 28)`, and labels `(n,)`."""
    return (np.stack(digits.sources) > 127).astype(np.float32), digits.labels


def train(
    arm: Arm, training: LabelledImages, test: LabelledImages, *, steps: int = STEPS, every: int = 100, seed: int = 0,
    base_rate: float = BASE_RATE, until: float = 1.0,
) -> Curves:  # fmt: skip
    """Train a network, looking at it from time to time.

    Args:
        arm: which network, and at which rate.
        training, test: MNIST's.
        steps: of 60 images each, in all; a multiple of `every`.
        every: steps from one record to the next, at most a pass over the images.
        seed: of weights and order.
        base_rate: learning rate of which the arm has its multiple.
        until: accuracy on the test images after which to stop, at the end of a pass.

    Raises:
        KerasVisionError: `steps` is no multiple of `every`, or `every` is longer than a pass.
    """
    if every < 1 or steps < every or steps % every or every > len(training) // BATCH:
        raise KerasVisionError(
            f"steps={steps}, every={every}; give a multiple of every, which is from 1 to {len(training) // BATCH}."
        )
    keras.utils.set_random_seed(seed)
    model = network(arm)
    images, labels = binary(training)
    recorder = Recorder(model, *binary(test))
    model.compile(
        keras.optimizers.SGD(arm.rate * base_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=every,
    )
    rng = np.random.default_rng(seed)
    done = 0
    while done < steps and (not done or recorder.accuracy[-1] < until):
        count = min(len(images) // BATCH, steps - done) // every * every
        chosen = rng.permutation(len(images))[: count * BATCH]
        model.fit(images[chosen], labels[chosen], BATCH, shuffle=False, verbose=0, callbacks=[recorder])
        done += count
    return recorder.curves()


def figure_1(without: Curves, with_norm: Curves, unit: int = 0) -> Figure:
    """Figure 1: test accuracy of both networks, and for each the inputs of one nonlinearity over time.

    Args:
        without, with_norm: curves of the two networks.
        unit: of the last hidden layer.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3), layout="constrained")
    accuracy, *distributions = figure.subplots(1, 3)
    for curves, title in ((without, "without BN"), (with_norm, "with BN")):
        accuracy.plot(curves.steps, curves.accuracy, label=title)
    accuracy.set(title="(a) test accuracy", xlabel="step", ylim=(0.7, 1))
    accuracy.legend(loc="lower right")
    for axes, curves, title in zip(distributions, (without, with_norm), ("(b) without BN", "(c) with BN"), strict=True):
        for position, percentile in enumerate(PERCENTILES):
            axes.plot(curves.steps, curves.percentiles[:, position, unit], label=f"{percentile} %")
        axes.set(title=f"{title}: input of a sigmoid, percentiles", xlabel="step", ylim=(-3, 3))
    axes.legend(loc="upper center", ncols=len(PERCENTILES), fontsize=7)
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    return figure


def run(data: Path, out: Path, steps: int = STEPS, seed: int = 0, overwrite: bool = False) -> dict[str, Curves]:
    """Train the two networks of section 4.1 on the MNIST in `data`, and draw Figure 1 to `out`.

    Raises:
        KerasVisionError: no MNIST there, numbers of steps that do not fit, or a picture that cannot be written, before
            anything is trained.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if (suffix := out.suffix.lstrip(".").lower()) not in (kinds := FigureCanvasBase.get_supported_filetypes()):
        raise KerasVisionError(f"{out}: the picture's name must end in one of: {', '.join(sorted(kinds))}.")
    digits = mnist(data, "train"), mnist(data, "test")
    with whole_file(out, overwrite) as temporary:
        without, with_norm = (train(ARMS[name], *digits, steps=steps, seed=seed) for name in FIGURE_1)
        figure_1(without, with_norm).savefig(temporary, format=suffix, dpi=120)
    return dict(zip(FIGURE_1, (without, with_norm), strict=True))
