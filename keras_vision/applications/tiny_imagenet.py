"""The nets of a study on Tiny ImageNet (Le & Yang, 2015): depth, kernel size, kind of rectifier, dropout.

The base is five layers with 5x5 kernels; then kernels are 3x3, the net gets deeper, up to eight layers, ReLU becomes
PReLU, and dropout is added. Two layers are fully connected.

Deviations: the report's widths, sizes of the classifier and rates of dropout were not at hand. Here stages of 64, 128
and 256 filters, each before a 2x2 pooling, a hidden layer of 512 units, and dropout of a quarter after each pooling and
of a half before the classifier are a choice.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TORCH
from keras_vision.errors import KerasVisionError
from keras_vision.layers import rectified, rectifier_start
from keras_vision.registry import Paper

# ------------------------------------------------------------------------------------------------- table

WIDTHS, HIDDEN = (64, 128, 256), 512
PLAIN = dict(activation="relu", dropout=(0.0, 0.0))

TABLE: Mapping[str, Mapping[str, Any]] = {  # convolutions of each stage
    "TinyImageNet5": dict(convs=(1, 1, 1), kernel=5, **PLAIN),
    "TinyImageNet5Kernel3": dict(convs=(1, 1, 1), kernel=3, **PLAIN),
    "TinyImageNet6": dict(convs=(1, 1, 2), kernel=3, **PLAIN),
    "TinyImageNet7": dict(convs=(1, 2, 2), kernel=3, **PLAIN),
    "TinyImageNet8": dict(convs=(2, 2, 2), kernel=3, **PLAIN),
    "TinyImageNet8PReLU": dict(convs=(2, 2, 2), kernel=3, activation="prelu", dropout=(0.0, 0.0)),
    "TinyImageNet8PReLUDropout": dict(convs=(2, 2, 2), kernel=3, activation="prelu", dropout=(0.25, 0.5)),
}

# ----------------------------------------------------------------------------------------- trunk and head


def check(convs: Any, kernel: Any, dropout: Any) -> None:
    """Refuse what no row could have."""
    whole = isinstance(convs, tuple | list) and all(isinstance(n, int) and n > 0 for n in convs)
    if not whole or len(convs) != len(WIDTHS):
        raise KerasVisionError(f"convs={convs!r}; give {len(WIDTHS)} whole numbers, one for each stage.")
    if not isinstance(kernel, int) or kernel < 1:
        raise KerasVisionError(f"kernel={kernel!r}; give a size in cells, at least 1.")
    rates = dropout if isinstance(dropout, tuple | list) else ()
    if len(rates) != 2 or any(not isinstance(rate, int | float) or not 0 <= rate < 1 for rate in rates):
        raise KerasVisionError(f"dropout={dropout!r}; give two rates, after pooling and fc, from 0 to below 1.")


def trunk(
    x: Any, *, convs: tuple[int, ...], kernel: int, activation: str, dropout: tuple[float, float]
) -> Any:  # fmt: skip
    """conv1_1 to pool3: `(n, 64, 64, 3) -> (n, 8, 8, 256)`."""
    check(convs, kernel, dropout)
    for stage, (count, width) in enumerate(zip(convs, WIDTHS, strict=True), 1):
        for position in range(1, count + 1):
            name = f"conv{stage}_{position}"
            start = rectifier_start(activation)
            x = layers.Conv2D(width, kernel, padding="same", kernel_initializer=start, name=f"{name}_conv")(x)
            x = rectified(x, activation, name=name)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
        if dropout[0]:
            x = layers.Dropout(dropout[0], name=f"drop{stage}")(x)
    return x


def head(
    x: Any, classes: int, activation_of_fc2: str | None, *, activation: str, dropout: tuple[float, float],
    **settings: Any,
) -> Any:  # fmt: skip
    """fc1 and fc2: `(n, 8, 8, 256) -> (n, classes)`."""
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(HIDDEN, kernel_initializer=rectifier_start(activation), name="fc1_dense")(x)
    x = rectified(x, activation, name="fc1")
    if dropout[1]:
        x = layers.Dropout(dropout[1], name="fc1_drop")(x)
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(classes, activation_of_fc2, kernel_initializer=small, dtype="float32", name="fc2")(x)


FAMILY = Family(
    name="tiny_imagenet",
    paper=Paper(title="Tiny ImageNet Visual Recognition Challenge", authors="Le, Yang", year=2015, arxiv=""),
    table_in_paper="course report, CS231n",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("fc",),
    classifiers=("fc2",),
    preprocessing=dataclasses.replace(TORCH, size=(64, 64), resize_shorter=64),
    classes=200,
    deviations=("widths, the hidden layer and rates of dropout are a choice; the report's were not at hand",),
)

TinyImageNet5 = FAMILY.constructor("TinyImageNet5")
TinyImageNet5Kernel3 = FAMILY.constructor("TinyImageNet5Kernel3")
TinyImageNet6 = FAMILY.constructor("TinyImageNet6")
TinyImageNet7 = FAMILY.constructor("TinyImageNet7")
TinyImageNet8 = FAMILY.constructor("TinyImageNet8")
TinyImageNet8PReLU = FAMILY.constructor("TinyImageNet8PReLU")
TinyImageNet8PReLUDropout = FAMILY.constructor("TinyImageNet8PReLUDropout")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
