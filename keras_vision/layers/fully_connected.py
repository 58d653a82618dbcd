"""The three fully connected layers in which AlexNet and VGG end."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers


def fc6_to_fc8(
    x: Any,
    classes: int,
    activation: str | None,
    kernel: Callable[[], Any] = keras.initializers.GlorotUniform,
    bias: str = "zeros",
) -> Any:
    """fc6, fc7 and fc8 with dropout between them: `(n, h, w, c) -> (n, classes)`.

    Args:
        x: last feature map.
        classes: width of fc8.
        activation: of fc8.
        kernel: makes the initialiser of each kernel; one for all would draw the same numbers.
        bias: initialiser of the biases of fc6 and fc7.

    Source: Krizhevsky et al. (2012), sections 3.5 and 4.2.
    """
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, activation="relu", kernel_initializer=kernel(), bias_initializer=bias, name=name)(x)
        x = layers.Dropout(0.5, name=name.replace("fc", "drop"))(x)
    return layers.Dense(classes, activation=activation, kernel_initializer=kernel(), dtype="float32", name="fc8")(x)
