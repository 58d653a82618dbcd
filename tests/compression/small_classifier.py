"""A network of two convolutions and a dense layer, and three kinds of images that it can tell apart."""

import functools

import keras
import numpy as np


def classifier(seed=1, steps_per_execution=1):
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(10, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(3, activation="softmax", name="scores")(x)
    model = keras.Model(image, x, name="small")
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


@functools.cache
def blobs(count=256, seed=0):
    """Images `(count, 8, 8, 3)`, each class a pattern in noise; and their classes."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).normal(size=(3, 8, 8, 3))
    classes = rng.integers(0, 3, count)
    return (patterns[classes] + rng.normal(0, 1.5, (count, 8, 8, 3))).astype("float32"), classes
