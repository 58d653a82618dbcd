"""BranchyNet (Teerapittayanon et al., 2016), section IV: small networks with side classifiers that images may leave by.

The outputs are the main classifier's and then those of the branches, from the first on; `branches=False` leaves them
out. `keras_vision.early_exit` runs such a network so that images that leave are not computed further.

Layers are those of the authors' public network files, whose poolings round up. ReLU and max pooling change places where
that changes nothing, and what a branch and the main line begin with alike is computed once: a branch hangs behind it.
Deviations: the branches of B-AlexNet follow conv2 and conv3, as in the files; the text says the first two. Where
B-ResNet widens, half of the zero channels come before and half after, as in this package's ResNets; in the files all
come before, which makes the same networks with their channels in another order. Kernels start from LeCun's
initialisation (Chainer's default, from memory); the residual blocks from that of this package's ResNets.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras import layers

from keras_vision.applications._family import Family, layer_output
from keras_vision.applications.resnet import CIFAR, block_of, stages
from keras_vision.errors import KerasVisionError
from keras_vision.layers import LocalResponseNormalization, ceil_max_pool
from keras_vision.registry import Paper
from keras_vision.runtime.preprocessing import Preprocessing

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: int, *, name: str, padding: int | None = None) -> Any:
    """Convolution and ReLU; `padding` cells on each side, by default what keeps the size."""
    if padding is not None:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    same = "same" if padding is None else "valid"
    start = dict(kernel_initializer="lecun_normal", activation="relu")
    return layers.Conv2D(filters, kernel, padding=same, name=name, **start)(x)


def norm(x: Any, *, name: str) -> Any:
    """Chainer's response normalisation, which does not divide alpha by the window, over three channels."""
    return LocalResponseNormalization(3, 5e-5, 0.75, 2.0, name=name)(x)


def dense(x: Any, units: int, *, name: str, dropout: float = 0.0, **settings: Any) -> Any:
    """Dense layer; what goes in is flattened first."""
    x = layers.Flatten(name=f"{name}_flatten")(x) if len(x.shape) > 2 else x
    x = layers.Dense(units, kernel_initializer="lecun_normal", name=name, **settings)(x)
    return layers.Dropout(dropout, name=f"{name}_drop")(x) if dropout else x


# ---------------------------------------------------------------------------------------------- main lines


def lenet(x: Any, **settings: Any) -> Any:
    """conv1 to pool3: `(n, 28, 28, 1) -> (n, 6, 6, 20)`."""
    for number, filters in enumerate((5, 10, 20), 1):
        x = conv(x, filters, 5, padding=3, name=f"conv{number}")
        x = ceil_max_pool(x, 2, 2, name=f"pool{number}")
    return x


def alexnet(x: Any, **settings: Any) -> Any:
    """conv1 to pool5: `(n, 32, 32, 3) -> (n, 4, 4, 64)`."""
    for number, filters in enumerate((32, 64), 1):
        x = conv(x, filters, 5, name=f"conv{number}")
        x = norm(ceil_max_pool(x, 3, 2, name=f"pool{number}"), name=f"norm{number}")
    for number, filters in enumerate((96, 96, 64), 3):
        x = conv(x, filters, 3, name=f"conv{number}")
    return ceil_max_pool(x, 3, 2, name="pool5")


def resnet(x: Any, *, n: int, **settings: Any) -> Any:
    """conv1, without padding, to conv4_x: `(n, 32, 32, 3) -> (n, 8, 8, 64)`."""
    if not isinstance(n, int) or n < 1:
        raise KerasVisionError(f"n={n!r}; a net of 6n + 2 layers has n blocks in each stage, at least 1.")
    x = layers.Conv2D(16, 3, kernel_initializer="he_uniform", name="conv1_conv")(x)
    x = layers.BatchNormalization(epsilon=1.001e-5, name="conv1_bn")(x)
    x = layers.Activation("relu", name="conv1")(x)
    return stages(x, (n,) * 3, (16, 32, 64), block="basic", shortcut="A", layout="keras")


# ------------------------------------------------------------------------------------------------ branches


def lenet_branch1(x: Any) -> Any:
    """After pool1: a convolution and a pooling."""
    x = conv(layer_output(x, "pool1"), 10, 3, name="branch1_conv1")
    return ceil_max_pool(x, 2, 2, name="branch1_pool1")


def alexnet_branch1(x: Any) -> Any:
    """After norm2: two convolutions and a pooling."""
    x = conv(layer_output(x, "norm2"), 32, 3, name="branch1_conv1")
    x = conv(x, 32, 3, name="branch1_conv2")
    return ceil_max_pool(x, 3, 2, name="branch1_pool2")


def alexnet_branch2(x: Any) -> Any:
    """After conv3: pooling and normalisation, then a convolution and a pooling."""
    x = norm(ceil_max_pool(layer_output(x, "conv3"), 3, 2, name="branch2_pool0"), name="branch2_norm0")
    x = conv(x, 32, 3, name="branch2_conv1")
    return ceil_max_pool(x, 3, 2, name="branch2_pool1")


def resnet_branch1(x: Any) -> Any:
    """After conv1: three convolutions."""
    x = norm(conv(layer_output(x, "conv1"), 64, 5, name="branch1_conv1"), name="branch1_norm1")
    return conv(conv(x, 32, 3, name="branch1_conv2"), 32, 3, name="branch1_conv3")


def resnet_branch2(x: Any, n: int) -> Any:
    """After the last block of conv2_x: one more block."""
    x = layer_output(x, f"conv2_{n}")
    return block_of(x, [(16, 3, 1), (16, 3, 1)], "A", name="branch2_block", layout="keras")


# -------------------------------------------------------------------------------------------------- tables

MNIST_TABLE: Mapping[str, Mapping[str, Any]] = {"BLeNet": dict(branches=True)}
ALEXNET_TABLE: Mapping[str, Mapping[str, Any]] = {"BAlexNet": dict(branches=True)}
RESNET_TABLE: Mapping[str, Mapping[str, Any]] = {"BResNet110": dict(n=18, branches=True)}

# --------------------------------------------------------------------------------------------------- heads


def outputs(x: Any, sides: Any, classes: int, activation: str | None, branches: bool) -> Any:
    """The main classifier's output, with `branches` in a list with theirs."""
    if not isinstance(branches, bool):
        raise KerasVisionError(f"branches={branches!r}; give True, for a classifier on each branch, or False.")
    named = {f"branch{number}_predictions": side for number, side in enumerate(sides, 1)} if branches else {}
    given: dict[str, Any] = dict(activation=activation, dtype="float32")
    main = dense(x, classes, name="predictions", **given)
    classified = [dense(side(), classes, name=name, **given) for name, side in named.items()]
    return [main, *classified] if branches else main


def lenet_head(x: Any, classes: int, activation: str | None, *, branches: bool) -> Any:
    """fc1 and the classifier, and a branch after pool1: `(n, 6, 6, 20) -> (n, classes)`, twice."""
    return outputs(dense(x, 84, name="fc1"), [lambda: lenet_branch1(x)], classes, activation, branches)


def alexnet_head(x: Any, classes: int, activation: str | None, *, branches: bool) -> Any:
    """fc1, fc2 and the classifier, and branches after norm2 and conv3: `(n, 4, 4, 64) -> (n, classes)`, three times."""
    y = dense(x, 256, name="fc1", activation="relu", dropout=0.5)
    y = dense(y, 128, name="fc2", activation="relu", dropout=0.5)
    return outputs(y, [lambda: alexnet_branch1(x), lambda: alexnet_branch2(x)], classes, activation, branches)


def resnet_head(x: Any, classes: int, activation: str | None, *, n: int, branches: bool) -> Any:
    """Average of 6 x 6 cells, branches after conv1 and conv2_x: `(n, 8, 8, 64) -> (n, classes)`, three times."""
    y = layers.AveragePooling2D(6, 1, name="avg_pool")(x)
    return outputs(y, [lambda: resnet_branch1(x), lambda: resnet_branch2(x, n)], classes, activation, branches)


# ------------------------------------------------------------------------------------------------- families

MNIST = Preprocessing(size=(28, 28), resize_shorter=28, color="L", mean=(0.0,), std=(255.0,))
LENET_FAMILY = Family(
    name="branchynet",
    paper=Paper(
        title="BranchyNet: Fast Inference via Early Exiting from Deep Neural Networks",
        authors="Teerapittayanon, McDanel, Kung",
        year=2016,
        arxiv="1709.01686",
    ),
    table_in_paper="section IV",
    table=MNIST_TABLE,
    trunk=lenet,
    head=lenet_head,
    classifiers=("predictions", "branch1_predictions", "branch2_predictions"),
    head_layers=("fc", "branch", "predictions"),
    preprocessing=MNIST,
    classes=10,
    deviations=(
        "layers as in the authors' network files; what branch and main line begin with alike is computed once",
    ),
)
ALEXNET_FAMILY = dataclasses.replace(
    LENET_FAMILY,
    table=ALEXNET_TABLE,
    trunk=alexnet,
    head=alexnet_head,
    preprocessing=CIFAR,
    deviations=(*LENET_FAMILY.deviations, "branches after conv2 and conv3, as in the files, not conv1 and conv2"),
)
RESNET_FAMILY = dataclasses.replace(
    LENET_FAMILY,
    table=RESNET_TABLE,
    trunk=resnet,
    head=resnet_head,
    preprocessing=CIFAR,
    deviations=(
        *LENET_FAMILY.deviations,
        "batch norm's epsilon is 1.001e-5",
        "zero channels half before and half after; the files' are all before, which only renumbers channels",
    ),
)

BLeNet = LENET_FAMILY.constructor("BLeNet")
BAlexNet = ALEXNET_FAMILY.constructor("BAlexNet")
BResNet110 = RESNET_FAMILY.constructor("BResNet110")
preprocess_input = ALEXNET_FAMILY.preprocess_input
decode_predictions = ALEXNET_FAMILY.decode_predictions
