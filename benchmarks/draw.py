"""DRAW's training step and generation against the same network step by step, eagerly, in the same process.

    python benchmarks/draw.py

The peer calls the same cell, with the same weights, in a Python loop over the glimpses, as one writes it at first; its
loss, gradients and optimizer are the same. MNIST's network with attention, batches of 100 random images. Claims: at
least 1.5 times as many images per second in training, and time linear in the number of glimpses: from 8 to 32, within
30 % of a straight line through nothing. They run in turn; medians of pairwise ratios. `unrolled` lays the glimpses out
in place of a loop, `XLA` compiles them; both are reported.
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
from keras import ops
from rich.console import Console
from rich.table import Table

from keras_vision.generative import DRAW, BernoulliNats, nats

BATCH = 100


def batch_of(model):
    rng = np.random.default_rng(0)
    images = (rng.random((BATCH, *model.cell.image_shape)) < 0.13).astype("float32")
    return images, {"canvas": images, "kl": np.zeros(BATCH, "float32")}


def compiled_step(model, batch, jit_compile=False):
    """A training step as the training loop runs it."""
    model.compile(keras.optimizers.Adam(1e-4, global_clipnorm=10.0), nats(), jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step, jit_compile=jit_compile)
    data = tf.nest.map_structure(tf.constant, batch)
    return lambda: float(step(data)["loss"])


def recurrence(model, start, noise, states):
    """The cell in a Python loop: all outputs, and the last states."""
    outputs = []
    for t in range(model.steps):
        output, states = model.cell(noise[:, t], states)
        outputs.append(output)
    return ops.stack(outputs, axis=1), states


def eager_step(model, batch):
    """The same training step without a graph."""
    optimizer, loss = keras.optimizers.Adam(1e-4, global_clipnorm=10.0), BernoulliNats()
    optimizer.build(model.trainable_variables)
    images = tf.constant(batch[0])

    def step():
        with tf.GradientTape() as tape:
            noise = model.get_layer("noise")(images)
            first = model.get_layer("start")(images)
            states = [model.get_layer("pixels")(images), *first]
            outputs, states = recurrence(model, first, noise, states)
            canvas = ops.reshape(states[1], images.shape)
            total = loss(images, canvas) + ops.mean(model.get_layer("kl")(outputs))
        variables = [variable.value for variable in model.trainable_variables]
        optimizer.apply(tape.gradient(total, variables))
        return float(total)

    return step


def eager_generation(model, codes):
    """A canvas after the other, each step written as it comes."""

    def draw():
        canvas, _, _, h, c = model.get_layer("start")(codes)
        for t in range(model.steps):
            _, (h, c) = model.cell.decoder(codes[:, t], [h, c])
            canvas = canvas + ops.reshape(model.cell.write(h), ops.shape(canvas))
        return np.asarray(ops.sigmoid(canvas))

    return draw


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(ours, theirs, runs):
    """Median seconds of both, and the median ratio with its range; the first call of each is not counted."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    ratios = sorted(b / a for a, b in pairs)
    return *(statistics.median(side) for side in zip(*pairs, strict=True)), statistics.median(ratios), ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--xla", action="store_true", help="also with XLA, whose compilation takes a minute")
    given = parser.parse_args()
    table = Table("what", "ours, ms", "eager, ms", "ratio", "range")

    def row(name, ours, theirs):
        mine, other, ratio, ratios = in_turn(ours, theirs, given.runs)
        table.add_row(
            name, f"{1e3 * mine:.0f}", f"{1e3 * other:.0f}", f"{ratio:.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        )

    model, unrolled = DRAW(steps=given.steps), DRAW(steps=given.steps, unroll=True)
    batch, codes = batch_of(model), model.codes_of(BATCH, seed=0)
    eager = eager_step(model, batch)
    row(f"training step, {given.steps} glimpses", compiled_step(model, batch), eager)
    row("training step, unrolled", compiled_step(unrolled, batch), eager)
    if given.xla:
        row("training step, XLA", compiled_step(DRAW(steps=given.steps), batch, True), eager)
    row(
        "generation of 100 images",
        lambda: model.generator.predict_on_batch(codes),
        eager_generation(model, tf.constant(codes)),
    )
    console = Console()
    console.print(table)
    times = {}
    for steps in (8, 16, 32):
        network = DRAW(steps=steps)
        step = compiled_step(network, batch_of(network))
        step()
        times[steps] = statistics.median(seconds(step) for _ in range(given.runs))
    console.print(
        "training step: "
        + ", ".join(f"{n} glimpses {1e3 * t:.0f} ms, {1e3 * t / n:.2f} each" for n, t in times.items())
    )
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {given.runs} runs, in turn"
    )


if __name__ == "__main__":
    main()
