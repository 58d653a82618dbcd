"""PyramidNet (Han et al., 2017) with ShakeDrop (Yamada et al., 2018): branches scaled at random in training.

Block k of L has ``16 + k * alpha / L`` maps, rounded down (additive PyramidNet, Equation 2); its branch survives with
probability ``1 - k / L * (1 - survival)`` (ShakeDrop's linear decay).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications.densenet import CIFAR
from keras_vision.errors import KerasVisionError
from keras_vision.layers import ChannelPadding, ShakeDrop, average_classifier, bn_relu, conv_bn_relu
from keras_vision.registry import Paper

EPSILON = 1e-5  # of PyTorch's batch norm

# ------------------------------------------------------------------------------------------------ blocks

conv = partial(conv_bn_relu, epsilon=EPSILON, padding="both", kernel_initializer="he_normal")


def shortcut_to(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """A block's input in the shape of its output: means of 2x2 cells for a stride, then maps of zeros."""
    if stride > 1:  # "same" leaves an odd last row, as the convolutions of the branch do
        x = layers.AveragePooling2D(stride, stride, "same", name=f"{name}_pool")(x)
    return ChannelPadding((0, filters - x.shape[-1]), name=f"{name}_shortcut")(x)


def block(x: Any, filters: int, stride: int, survival: float, *, name: str) -> Any:
    """``shortcut(x) + shake_drop(branch(x))``; a branch is BN, 3x3, BN, ReLU, 3x3, BN (Figure 6d)."""
    y = bn_relu(x, name=f"{name}_0", epsilon=EPSILON, relu=False)
    y = conv(y, filters, 3, stride, name=f"{name}_1")
    y = conv(y, filters, 3, name=f"{name}_2", relu=False)
    y = ShakeDrop(survival, name=f"{name}_shake")(y)
    return layers.Add(name=name)([shortcut_to(x, filters, stride, name=name), y])


# ------------------------------------------------------------------------------------------------ table

TABLE: Mapping[str, Mapping[str, Any]] = {  # 6n + 2 layers
    "ShakeDropPyramidNet110CIFAR": dict(n=18, alpha=270, survival=0.5),
}

# --------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, n: int, alpha: int, survival: float) -> Any:
    """conv1 to conv4_x: `(n, 32, 32, 3) -> (n, 8, 8, 16 + alpha)`."""
    if not isinstance(n, int) or n < 1 or not alpha >= 0:
        raise KerasVisionError(f"n={n!r}, alpha={alpha!r}; give a number of blocks, at least 1, and of maps to add.")
    x = conv(x, 16, 3, name="conv1", relu=False)
    for k in range(1, 3 * n + 1):
        stage, position = 2 + (k - 1) // n, 1 + (k - 1) % n
        stride = 2 if position == 1 and stage > 2 else 1
        share = k / (3 * n)
        x = block(x, 16 + int(alpha * k // (3 * n)), stride, 1 - share * (1 - survival), name=f"conv{stage}_{position}")
    return bn_relu(x, name="relu", epsilon=EPSILON)


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, h, w, c) -> (n, classes)`."""
    return average_classifier(x, classes, activation, name="fc")


FAMILY = Family(
    name="shake_drop",
    paper=Paper(
        title="ShakeDrop Regularization for Deep Residual Learning",
        authors="Yamada, Iwamura, Akiba, Kise",
        year=2018,
        arxiv="1802.02375",
    ),
    table_in_paper="PyramidNet with ShakeDrop",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CIFAR,
    classes=10,
)

ShakeDropPyramidNet110CIFAR = FAMILY.constructor("ShakeDropPyramidNet110CIFAR")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
