"""Shake-Shake (Gastaldi, 2017), Table 1: 26-layer networks of two residual branches, which training mixes at random.

The blocks are those of the author's code: pre-activation, batch norm at the end of each branch, and where the shape
changes a shortcut of two 1x1 convolutions, which see cells one apart. "26 2x32d" is 32 maps in the first stage.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications.densenet import CIFAR
from keras_vision.errors import KerasVisionError
from keras_vision.layers import ShakeShake, average_classifier, conv_bn_relu
from keras_vision.registry import Paper

EPSILON = 1e-5  # of PyTorch's batch norm
HE = "he_normal"  # by name, as one initializer object would give two branches the same weights

# ------------------------------------------------------------------------------------------------ blocks

conv = partial(conv_bn_relu, epsilon=EPSILON, padding="both", kernel_initializer=HE)


def branch(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """ReLU, 3x3, batch norm, ReLU, 3x3, batch norm: `(n, h, w, c) -> (n, h/stride, w/stride, filters)`."""
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    x = conv(x, filters, 3, stride, name=f"{name}_1")
    return conv(x, filters, 3, name=f"{name}_2", relu=False)


def shortcut_to(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """A block's input in the shape of its output; half of the maps see the cells above left of those of the others."""
    if x.shape[-1] == filters:
        return x
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    shifted = layers.ZeroPadding2D(((1, 0), (1, 0)), name=f"{name}_shifted_pad")(x)
    shifted = layers.Cropping2D(((0, 1), (0, 1)), name=f"{name}_shifted")(shifted)
    settings = dict(use_bias=False, kernel_initializer=HE)
    halves = [
        layers.Conv2D(filters // 2, 1, stride, name=f"{name}_{number}_conv", **settings)(half)
        for number, half in enumerate((x, shifted), 1)
    ]
    x = layers.Concatenate(name=f"{name}_halves")(halves)
    return layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=f"{name}_bn")(x)


def block(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """``shortcut(x) + shake(first branch(x), second branch(x))`` (Equation 2)."""
    branches = [branch(x, filters, stride, name=f"{name}_branch{number}") for number in (1, 2)]
    shaken = ShakeShake(name=f"{name}_shake")(branches)
    return layers.Add(name=name)([shortcut_to(x, filters, stride, name=f"{name}_shortcut"), shaken])


# ------------------------------------------------------------------------------------------------ table

TABLE: Mapping[str, Mapping[str, Any]] = {  # 6n + 2 layers; maps of the first stage
    "ShakeShake26_32CIFAR": dict(n=4, width=32),
    "ShakeShake26_64CIFAR": dict(n=4, width=64),
    "ShakeShake26_96CIFAR": dict(n=4, width=96),
}

# --------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, n: int, width: int) -> Any:
    """conv1 to conv4_x: `(n, 32, 32, 3) -> (n, 8, 8, 4 * width)`."""
    if any(not isinstance(number, int) or number < 1 for number in (n, width)) or width % 2:
        raise KerasVisionError(f"n={n!r}, width={width!r}; give a number of blocks, at least 1, and an even width.")
    x = conv(x, 16, 3, name="conv1", relu=False)
    for stage in (2, 3, 4):
        for position in range(1, n + 1):
            stride = 2 if position == 1 and stage > 2 else 1
            x = block(x, width << (stage - 2), stride, name=f"conv{stage}_{position}")
    return layers.Activation("relu", name="relu")(x)


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, h, w, c) -> (n, classes)`."""
    return average_classifier(x, classes, activation, name="fc")


FAMILY = Family(
    name="shake_shake",
    paper=Paper(title="Shake-Shake regularization", authors="Gastaldi", year=2017, arxiv="1705.07485"),
    table_in_paper="Table 1",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CIFAR,
    classes=10,
)

ShakeShake26_32CIFAR = FAMILY.constructor("ShakeShake26_32CIFAR")
ShakeShake26_64CIFAR = FAMILY.constructor("ShakeShake26_64CIFAR")
ShakeShake26_96CIFAR = FAMILY.constructor("ShakeShake26_96CIFAR")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
