"""Trains a small network as its arguments say and writes what came out; run by loop_process.py.

python loop_program.py STRATEGY OUT [snapshot=FILE] [every=SECONDS] [epochs=N] [synchronized=1]
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_vision import training
from keras_vision.training import strategy_of, train

STEPS, BATCH = 6, 8


def batches(epoch, start):
    """The same images in another order in each epoch, with a change that depends on epoch and position."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (STEPS * BATCH, 8, 8, 3)).astype("float32")
    labels = rng.integers(0, 4, STEPS * BATCH)
    order = np.random.default_rng((1, epoch)).permutation(STEPS * BATCH)
    data = tf.data.Dataset.from_tensor_slices((images[order] * (1 + epoch / 10), labels[order])).batch(BATCH)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.skip(start).with_options(options)


def network(batch_norm, dropout):
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(8, 3, use_bias=False)]
    layers += [keras.layers.BatchNormalization()] if batch_norm else []
    layers += [keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D()]
    layers += [keras.layers.Dropout(0.5, seed=3)] if dropout else []
    return keras.Sequential([*layers, keras.layers.Dense(4)])


def compiled(strategy, synchronized=False, dropout=True):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = network(synchronized, dropout)
        model = training.synchronized(model) if synchronized else model
        model.compile(
            keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.2, 3, 0.9), momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )
    return model


class Curve(keras.callbacks.Callback):
    """The running loss after each step."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def main(name, out, **settings):
    tf.config.experimental.enable_op_determinism()
    strategy = strategy_of(name, 2 if name == "mirrored" else None)
    one_step = settings.get("curve") == "1"  # comparable between strategies: random masks are not
    model = compiled(strategy, synchronized=settings.get("synchronized") == "1", dropout=not one_step)
    curve = Curve()
    path = settings.get("snapshot")
    history = train(
        model,
        batches,
        epochs=int(settings.get("epochs", 3)),
        validation=batches(0, 0),
        callbacks=[curve],
        strategy=strategy,
        snapshots=None if path is None else Path(path),
        every=float(settings.get("every", 0)),
    )
    weights = [np.asarray(v).astype("float64").tolist() for v in model.variables]
    Path(out).write_text(json.dumps(dict(losses=curve.losses, history=history, weights=weights)))


if __name__ == "__main__":
    main(*sys.argv[1:3], **dict(argument.split("=", 1) for argument in sys.argv[3:]))
