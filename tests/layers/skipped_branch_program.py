"""Trains blocks of stochastic depth on two replicas and prints how far their weights are from a training by hand.

python skipped_branch_program.py; run by test_skipped_branch.py in a process of its own.
"""

import json
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vision.layers import StochasticDepth, stochastic_residual
from keras_vision.training import strategy_of

SURVIVES = ([True, False], [False, False], [False, True])  # for each step, in each replica
RATE, WIDTH = 0.1, 3


def block():
    image = keras.Input((1, 1, WIDTH))
    branch = layers.Conv2D(WIDTH, 1, use_bias=False, name="one")
    x = stochastic_residual(image, branch, lambda x: x, survival_probability=0.5, name="block")
    return keras.Model(image, x)


def by_hand(kernel, x, y, survives):
    """The kernel after a step of gradient descent on the mean of squares, in NumPy."""
    gradient = np.zeros_like(kernel)
    for part, target, there in zip(np.split(x, 2), np.split(y, 2), survives, strict=True):
        if there:
            total = part + part @ kernel
            seen = 2 * (np.maximum(total, 0) - target) * (total > 0) / y.size
            gradient += part.T @ seen
    return kernel - RATE * gradient


def main():
    strategy = strategy_of("mirrored", 2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (2, 8, WIDTH)).astype("float32")
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = block()
        model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=False)
    kernel = model.get_layer("block_add").get_layer("one").kernel
    differences = []
    for survives in SURVIVES:

        def survives_here(_, drawn=survives):
            here = tf.constant(drawn, tf.float32)[tf.distribute.get_replica_context().replica_id_in_sync_group]
            return tf.random.uniform(()) < here  # unknown when the graph is made

        expected = by_hand(kernel.numpy()[0, 0], x, y, survives)
        with patch.object(StochasticDepth, "survives", survives_here):
            model.make_train_function(force=True)
            model.fit(x[:, None, None], y[:, None, None], batch_size=8, shuffle=False, verbose=0)
        differences.append(float(np.abs(kernel.numpy()[0, 0] - expected).max()))
    print(json.dumps(dict(replicas=strategy.num_replicas_in_sync, differences=differences)))


if __name__ == "__main__":
    main()
