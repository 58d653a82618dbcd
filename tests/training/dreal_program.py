"""Trains a small network by DREAL on some replicas and writes what came out; run by test_dreal_networks.py.

python dreal_program.py STRATEGY OUT
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from test_dreal import PAIRS, network

from keras_vision.training import DREAL, strategy_of, train

EPOCHS = 3


def batches():
    rng = np.random.default_rng(2)
    images = rng.normal(0, 1, (32, 3, 3, 2)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, rng.integers(0, 3, 32))).batch(8)


def compiled(strategy):
    with strategy.scope():
        net = network()
        keras.utils.set_random_seed(1)
        model = DREAL(net, PAIRS, weight=0.5, units=8)
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"],
            jit_compile=False, critic_optimizer=keras.optimizers.SGD(0.01, momentum=0.9),  # Adam would enlarge rounding
        )  # fmt: skip
    return model


def main(name, out):
    strategy = strategy_of(name, 2 if name == "mirrored" else None)
    model = compiled(strategy)
    history = train(model, batches(), epochs=EPOCHS, validation=batches(), strategy=strategy)
    variables = (*model.network.variables, *model.critic.variables, model.critic_loss, model.reward)
    weights = [np.asarray(variable).astype("float64").tolist() for variable in variables]
    Path(out).write_text(json.dumps(dict(history=history, weights=weights)))


if __name__ == "__main__":
    main(*sys.argv[1:])
