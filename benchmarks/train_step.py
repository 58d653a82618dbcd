"""A training step of this package's networks and loop against keras.applications with `fit`, in the same process.

    python benchmarks/train_step.py

The same optimizer, loss and data, without XLA, batches of 8 random images. Claim: at least as many images per second.
They run in turn, an epoch of some steps each; the median of pairwise ratios.
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

import keras_vision as kv

BATCH, STEPS = 8, 4
NETWORKS = {"ResNet50": 224, "InceptionV3": 299}


def batches(size: int) -> tf.data.Dataset:
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (BATCH, size, size, 3)).astype("float32")
    return tf.data.Dataset.from_tensors((images, rng.integers(0, 1000, BATCH))).repeat(STEPS).prefetch(1)


def compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), "sparse_categorical_crossentropy", jit_compile=False)
    return model


class InTurn(keras.callbacks.Callback):
    """After each epoch of our loop one of the peer's `fit`; `pairs` are seconds of both, the first with tracing."""

    def __init__(self, peer: keras.Model, data: tf.data.Dataset):
        super().__init__()
        self.peer, self.data, self.pairs = peer, data, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        start = time.perf_counter()
        self.peer.fit(self.data, epochs=1, verbose=0)
        self.pairs.append((self.end - self.start, time.perf_counter() - start))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    table = Table("network", "ours, images/s", "Keras", "ratio", "range")
    for name, size in NETWORKS.items():
        data = batches(size)
        ours = compiled(kv.create_model(name, weights=None, input_shape=(size, size, 3)))
        theirs = compiled(getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3)))
        turns = InTurn(theirs, data)
        kv.training.train(ours, data, epochs=runs + 1, callbacks=[turns])
        pairs = turns.pairs[1:]
        ratios = sorted(theirs / ours for ours, theirs in pairs)
        rates = [BATCH * STEPS / statistics.median(pair[side] for pair in pairs) for side in (0, 1)]
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        table.add_row(name, *(f"{rate:.1f}" for rate in rates), f"{statistics.median(ratios):.2f}", spread)
    console = Console()
    console.print(table)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {runs} runs, in turn")


if __name__ == "__main__":
    main()
