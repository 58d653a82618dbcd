"""DenseNet (Huang et al., 2016), Table 1 and, for CIFAR, Table 2.

Deviations: the dropout of the experiments without augmentation is left out. `recompute=True` computes each layer again
for its gradient, concatenation included, so that training keeps memory linear in depth, where it is quadratic without.
He's initial weights are drawn uniformly, at the same variance, which takes a third of the time.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from keras_vision.applications._densenet_files import WEIGHTS, convert
from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TORCH
from keras_vision.errors import KerasVisionError
from keras_vision.layers import Recomputed, average_classifier, bn_relu, conv_bn_relu, padded_max_pool
from keras_vision.registry import Paper
from keras_vision.runtime.preprocessing import Preprocessing

# ------------------------------------------------------------------------------------------------- tables

BC = dict(bottleneck=True, compression=0.5)
IMAGENET = dict(**BC, recompute=False)

TABLE: Mapping[str, Mapping[str, Any]] = {  # layers per dense block (Table 1)
    "DenseNet121": dict(blocks=(6, 12, 24, 16), growth=32, epsilon=1.001e-5, **IMAGENET),
    "DenseNet169": dict(blocks=(6, 12, 32, 32), growth=32, epsilon=1.001e-5, **IMAGENET),
    "DenseNet201": dict(blocks=(6, 12, 48, 32), growth=32, epsilon=1.001e-5, **IMAGENET),
    "DenseNet161": dict(blocks=(6, 12, 36, 24), growth=48, epsilon=1e-5, **IMAGENET),
}

CIFAR_TABLE: Mapping[str, Mapping[str, Any]] = {  # L and k (Table 2)
    "DenseNet40K12": dict(depth=40, growth=12, bottleneck=False, compression=1.0, recompute=False),
    "DenseNet100K12": dict(depth=100, growth=12, bottleneck=False, compression=1.0, recompute=False),
    "DenseNet100K24": dict(depth=100, growth=24, bottleneck=False, compression=1.0, recompute=False),
    "DenseNetB100K12": dict(depth=100, growth=12, bottleneck=True, compression=1.0, recompute=False),
    "DenseNetC100K12": dict(depth=100, growth=12, bottleneck=False, compression=0.5, recompute=False),
    "DenseNetBC100K12": dict(depth=100, growth=12, **BC, recompute=False),
    "DenseNetBC100K24": dict(depth=100, growth=24, **BC, recompute=False),
}

# ------------------------------------------------------------------------------------------------- blocks


def conv(x: Any, filters: int, kernel: int, *, name: str, epsilon: float, recompute: bool = False) -> Any:
    """Batch norm, ReLU, convolution without bias; the last takes the name."""
    momentum = 0.9**0.5 if recompute else 0.9  # each batch is seen twice then
    x = layers.BatchNormalization(epsilon=epsilon, momentum=momentum, name=f"{name}_bn")(x)
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    return layers.Conv2D(
        filters, kernel, padding="same", use_bias=False, kernel_initializer="he_uniform", name=name
    )(x)  # fmt: skip


def dense_layer(
    maps: list[Any], *, name: str, growth: int, bottleneck: bool, epsilon: float, recompute: bool
) -> Any:  # fmt: skip
    """H on all earlier maps (Eq. 2): `[(n, h, w, c), (n, h, w, growth), ...] -> (n, h, w, growth)`."""
    inputs = [keras.Input((None, None, x.shape[-1]), dtype=x.dtype) for x in maps] if recompute else maps
    x = layers.Concatenate(name=f"{name}_concat")(inputs) if len(inputs) > 1 else inputs[0]
    if bottleneck:
        x = conv(x, 4 * growth, 1, name=f"{name}_1x1", epsilon=epsilon, recompute=recompute)
    x = conv(x, growth, 3, name=name, epsilon=epsilon, recompute=recompute)
    return Recomputed(inputs, x, name=name)(maps) if recompute else x


def dense_block(x: Any, count: int, *, name: str, **settings: Any) -> Any:
    """`count` layers, each on the maps of all before it (Figure 1): `(n, h, w, c) -> (n, h, w, c + count * growth)`."""
    maps = [x]
    for number in range(1, count + 1):
        maps.append(dense_layer(maps, name=f"{name}_{number}", **settings))
    return layers.Concatenate(name=name)(maps)


def transition(x: Any, compression: float, *, name: str, epsilon: float) -> Any:
    """1x1 convolution and 2x2 average pooling: `(n, h, w, c) -> (n, h/2, w/2, compression * c)`."""
    x = conv(x, int(compression * x.shape[-1]), 1, name=f"{name}_1x1", epsilon=epsilon)
    return layers.AveragePooling2D(2, 2, name=name)(x)


# ---------------------------------------------------------------------------------------- trunks and head


def dense_blocks(x: Any, blocks: tuple[int, ...], compression: float, *, epsilon: float, **settings: Any) -> Any:
    """Dense blocks with transitions between them, batch norm and ReLU after the last."""
    for number, count in enumerate(blocks, 1):
        x = dense_block(x, count, name=f"dense{number}", epsilon=epsilon, **settings)
        if number < len(blocks):
            x = transition(x, compression, name=f"transition{number}", epsilon=epsilon)
    return bn_relu(x, name="norm", epsilon=epsilon)


def check(growth: Any, compression: Any, blocks: Any) -> None:
    """Refuse what no row could have."""
    if not isinstance(growth, int) or growth < 1:
        raise KerasVisionError(f"growth={growth!r}; each layer adds a whole number of maps, at least 1.")
    if not isinstance(compression, int | float) or not 0 < compression <= 1:
        raise KerasVisionError(f"compression={compression!r}; a transition keeps a share of its maps, above 0 to 1.")
    counts = blocks if isinstance(blocks, tuple | list) else ()
    if not counts or any(not isinstance(count, int) or count < 1 for count in counts):
        raise KerasVisionError(f"blocks={blocks!r}; give whole numbers of layers, each at least 1.")


def trunk(
    x: Any, *, blocks: tuple[int, ...], growth: int, bottleneck: bool, compression: float, epsilon: float,
    recompute: bool,
) -> Any:  # fmt: skip
    """conv1 to dense4: `(n, 224, 224, 3) -> (n, 7, 7, 1024)` for DenseNet-121."""
    check(growth, compression, blocks)
    x = conv_bn_relu(
        x, 2 * growth, 7, 2, name="conv1", epsilon=epsilon, padding="both", kernel_initializer="he_uniform"
    )  # fmt: skip
    x = padded_max_pool(x, 3, 2, name="pool1")
    settings = dict(growth=growth, bottleneck=bottleneck, recompute=recompute)
    return dense_blocks(x, blocks, compression, epsilon=epsilon, **settings)


def cifar_trunk(
    x: Any, *, depth: int, growth: int, bottleneck: bool, compression: float, recompute: bool
) -> Any:  # fmt: skip
    """conv1 to dense3: `(n, 32, 32, 3) -> (n, 8, 8, c)`; `depth` counts the weight layers."""
    convs = 2 if bottleneck else 1
    if not isinstance(depth, int) or depth < 4 + 3 * convs or (depth - 4) % (3 * convs):
        raise KerasVisionError(
            f"depth={depth!r}; three blocks of equal depth have 4 + {3 * convs}n layers, such as {4 + 36 * convs}."
        )
    blocks = ((depth - 4) // (3 * convs),) * 3
    check(growth, compression, blocks)
    initial = 2 * growth if bottleneck and compression < 1 else 16  # twice the growth for -BC
    x = layers.Conv2D(
        initial, 3, padding="same", use_bias=False, kernel_initializer="he_uniform", name="conv1"
    )(x)  # fmt: skip
    settings = dict(growth=growth, bottleneck=bottleneck, recompute=recompute)
    return dense_blocks(x, blocks, compression, epsilon=1e-5, **settings)


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, h, w, c) -> (n, classes)`."""
    return average_classifier(x, classes, activation, name="fc")


PAPER = Paper(
    title="Densely Connected Convolutional Networks",
    authors="Huang, Liu, van der Maaten, Weinberger",
    year=2016,
    arxiv="1608.06993",
)

# Means and deviations of CIFAR-10's channels.
CIFAR = Preprocessing(size=(32, 32), resize_shorter=32, mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7))

FAMILY = Family(
    name="densenet",
    paper=PAPER,
    table_in_paper="Table 1",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=TORCH,
    weights=WEIGHTS,
    convert=convert,
    deviations=("epsilon 1.001e-5 in the rows that have weights of Keras Applications, as there",),
)
CIFAR_FAMILY = Family(
    name="densenet",
    paper=PAPER,
    table_in_paper="Table 2",
    table=CIFAR_TABLE,
    trunk=cifar_trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CIFAR,
    classes=10,
    deviations=("no dropout, which the paper has in the experiments without augmentation",),
)

DenseNet121 = FAMILY.constructor("DenseNet121")
DenseNet169 = FAMILY.constructor("DenseNet169")
DenseNet201 = FAMILY.constructor("DenseNet201")
DenseNet161 = FAMILY.constructor("DenseNet161")
DenseNet40K12 = CIFAR_FAMILY.constructor("DenseNet40K12")
DenseNet100K12 = CIFAR_FAMILY.constructor("DenseNet100K12")
DenseNet100K24 = CIFAR_FAMILY.constructor("DenseNet100K24")
DenseNetB100K12 = CIFAR_FAMILY.constructor("DenseNetB100K12")
DenseNetC100K12 = CIFAR_FAMILY.constructor("DenseNetC100K12")
DenseNetBC100K12 = CIFAR_FAMILY.constructor("DenseNetBC100K12")
DenseNetBC100K24 = CIFAR_FAMILY.constructor("DenseNetBC100K24")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
