"""Trains by Manifold MixUp on two replicas and prints how far each loss is from that computed by hand.

python manifold_mixup_program.py; run by test_manifold_mixup.py in a process of its own.
"""

import json
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf

from keras_vision.training import ManifoldMixUp, strategy_of

SHARES, ORDERS = (0.9, 0.2), ([1, 0, 3, 2], [3, 2, 1, 0])  # of each replica


def network():
    """Synchronised batch norm lets the replicas take turns in the middle of a step."""
    image = keras.Input((4,))
    x = keras.layers.Dense(5, "tanh", name="one")(image)
    x = keras.layers.BatchNormalization(center=False, scale=False, synchronized=True)(x)
    return keras.Model(image, keras.layers.Dense(3, name="out")(x))


def of_this_replica(values):
    return tf.constant(values)[tf.distribute.get_replica_context().replica_id_in_sync_group]


def by_hand(net, x, y):
    """Mean loss over both replicas, mixed at "one", in NumPy."""
    (k1, b1), (ko, bo) = (net.get_layer(name).get_weights() for name in ("one", "out"))
    hidden = [np.tanh(part @ k1 + b1) for part in np.split(x, 2)]
    mixed = [s * h + (1 - s) * h[o] for h, s, o in zip(hidden, SHARES, ORDERS, strict=True)]
    whole = np.concatenate(mixed)
    losses = []
    for h, labels, s, o in zip(mixed, np.split(y, 2), SHARES, ORDERS, strict=True):
        logits = (h - whole.mean(0)) / np.sqrt(whole.var(0) + 1e-3) @ ko + bo
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        losses.append(-np.mean(s * log_p[range(4), labels] + (1 - s) * log_p[range(4), labels[o]]))
    return np.mean(losses)


def main():
    strategy = strategy_of("mirrored", 2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (8, 4)).astype("float32"), rng.integers(0, 3, 8)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        net = network()
        model = ManifoldMixUp(net, ("one",), seed=0)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    pairs = []
    draws = dict(beta=lambda *_, **__: of_this_replica(SHARES), shuffle=lambda *_, **__: of_this_replica(ORDERS))
    with patch.multiple("keras.random", **draws):
        for _ in range(3):
            expected = by_hand(net, x, y)
            (actual,) = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"]
            pairs.append((float(actual), float(expected)))
    print(json.dumps(pairs))


if __name__ == "__main__":
    main()
