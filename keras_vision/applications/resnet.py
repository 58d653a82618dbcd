"""ResNet (He et al., 2015), Table 1 and section 4.2, with the plain nets it is compared to.

Deviations: 50, 101 and 152 layers are by default in the layout of Keras Applications' weights, which has biases and the
stride on the first 1x1; 18 and 34 in torchvision's; "caffe" is that of the authors' files (`LAYOUTS`). 18 and 34 layers
have projections where the shape changes; `shortcut="A"` gives the zero channels of Table 2. ResNet-1202 nests one model
per stage. He's initial weights are drawn uniformly, at the same variance, which takes a third of the time.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import chain, repeat
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import CAFFE, TORCH
from keras_vision.applications._resnet_files import WEIGHTS, convert, torch_modules
from keras_vision.errors import KerasVisionError
from keras_vision.layers import MAX_POOLINGS, ChannelPadding, average_classifier, conv_bn_relu, conv_chain, residual
from keras_vision.registry import Paper, WeightsFile
from keras_vision.weights import from_channels_first

Conv = tuple[int, int, int]  # filters, kernel, stride

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, *spec: int, name: str, layout: str, relu: bool = True) -> Any:
    """Convolution, padded alike on both sides, batch norm, ReLU; the last takes the name."""
    settings = {key: value for key, value in LAYOUTS[layout].items() if key not in ("stride_in", "pool")}
    return conv_bn_relu(x, *spec, name=name, padding="both", relu=relu, kernel_initializer="he_uniform", **settings)


def shortcut_to(x: Any, filters: int, stride: int, kind: str, *, name: str, layout: str) -> Any:
    """A block's input in the shape of its output, `(n, h, w, c) -> (n, h/stride, w/stride, filters)`.

    Section 3.3: "A" takes every `stride`-th cell and adds channels of zeros, half before and half after; "B" projects.
    "average" takes means of cells and adds zeros after, as the authors of stochastic depth do.
    """
    if stride == 1 and x.shape[-1] == filters:
        return x
    if kind == "B":
        return conv(x, filters, 1, stride, name=f"{name}_shortcut", layout=layout, relu=False)
    if stride > 1 and kind == "average":  # "same" leaves an odd last row, as the convolutions of the branch do
        x = layers.AveragePooling2D(stride, stride, "same", name=f"{name}_subsampled")(x)
    elif stride > 1:
        x = layers.MaxPooling2D(1, stride, name=f"{name}_subsampled")(x)
    missing = filters - x.shape[-1]
    before = 0 if kind == "average" else missing // 2
    return ChannelPadding((before, missing - before), name=f"{name}_shortcut")(x)


def block_of(
    x: Any, convs: list[Conv], shortcut: str | None, *, name: str, layout: str, join: Callable[..., Any] = residual
) -> Any:
    """Convolutions, the shortcut around them (Figure 2; None in a plain net), ReLU; `join` adds the two."""

    def branch(y: Any) -> Any:
        return conv_chain(y, convs, partial(conv, layout=layout), name=name)

    if shortcut is None:
        return layers.Activation("relu", name=name)(branch(x))
    stride = max(stride for _, _, stride in convs)
    return join(
        x, branch, lambda y: shortcut_to(y, convs[-1][0], stride, shortcut, name=name, layout=layout), name=name
    )


def basic(width: int, stride: int, stride_in: int) -> list[Conv]:
    """Two 3x3 convolutions (Figure 5, left); the first has the stride."""
    return [(width, 3, stride), (width, 3, 1)]


def bottleneck(width: int, stride: int, stride_in: int) -> list[Conv]:
    """1x1, 3x3 and 1x1 convolutions (Figure 5, right); the `stride_in`-th has the stride."""
    first, second = (stride, 1) if stride_in == 1 else (1, stride)
    return [(width, 1, first), (width, 3, second), (4 * width, 1, 1)]


# ------------------------------------------------------------------------------------------------ tables

WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)
BLOCKS: Mapping[str, Callable[..., list[Conv]]] = {"basic": basic, "bottleneck": bottleneck}
LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "keras": dict(use_bias=True, epsilon=1.001e-5, momentum=0.99, stride_in=1, pool="padded"),
    "torch": dict(use_bias=False, epsilon=1e-5, momentum=0.9, stride_in=2, pool="padded"),
    "caffe": dict(use_bias=False, epsilon=1e-5, momentum=0.9, stride_in=1, pool="ceil"),
}
ACCEPTED: Mapping[str, Collection[str | None]] = dict(
    block=BLOCKS, layout=LAYOUTS, shortcut=("A", "B", "average", None)
)

TABLE: Mapping[str, Mapping[str, Any]] = {  # blocks in conv2_x to conv5_x (Table 1)
    "ResNet18": dict(blocks=(2, 2, 2, 2), block="basic", shortcut="B", layout="torch"),
    "ResNet34": dict(blocks=(3, 4, 6, 3), block="basic", shortcut="B", layout="torch"),
    "ResNet50": dict(blocks=(3, 4, 6, 3), block="bottleneck", shortcut="B", layout="keras"),
    "ResNet101": dict(blocks=(3, 4, 23, 3), block="bottleneck", shortcut="B", layout="keras"),
    "ResNet152": dict(blocks=(3, 8, 36, 3), block="bottleneck", shortcut="B", layout="keras"),
    "PlainNet18": dict(blocks=(2, 2, 2, 2), block="basic", shortcut=None, layout="torch"),
    "PlainNet34": dict(blocks=(3, 4, 6, 3), block="basic", shortcut=None, layout="torch"),
}

CIFAR_TABLE: Mapping[str, Mapping[str, Any]] = {  # 6n + 2 layers (section 4.2)
    "ResNet20CIFAR": dict(n=3, shortcut="A", nested=False),
    "ResNet32CIFAR": dict(n=5, shortcut="A", nested=False),
    "ResNet44CIFAR": dict(n=7, shortcut="A", nested=False),
    "ResNet56CIFAR": dict(n=9, shortcut="A", nested=False),
    "ResNet110CIFAR": dict(n=18, shortcut="A", nested=False),
    "ResNet1202CIFAR": dict(n=200, shortcut="A", nested=True),  # too deep for Keras as one graph
    "PlainNet20CIFAR": dict(n=3, shortcut=None, nested=False),
    "PlainNet32CIFAR": dict(n=5, shortcut=None, nested=False),
    "PlainNet44CIFAR": dict(n=7, shortcut=None, nested=False),
    "PlainNet56CIFAR": dict(n=9, shortcut=None, nested=False),
}

# --------------------------------------------------------------------------------------- trunks and head


def stages(
    x: Any, blocks: tuple[int, ...], widths: tuple[int, ...], *, block: str, shortcut: str | None, layout: str,
    nested: bool = False, joins: Iterable[Callable[..., Any]] = (),
) -> Any:  # fmt: skip
    """conv2_x and so on: `blocks` blocks each, the first of every stage but conv2_x with a stride of 2.

    `joins` are what adds shortcut and branch, of each block in turn; by default `residual`.
    """
    each = chain(joins, repeat(residual))
    check(blocks, len(widths), block=block, shortcut=shortcut, layout=layout)
    for number, (count, width) in enumerate(zip(blocks, widths, strict=True), 2):
        outer = x
        x = inputs = keras.Input((None, None, x.shape[-1]), dtype=x.dtype) if nested else x
        for position in range(1, count + 1):
            stride = 2 if position == 1 and number > 2 else 1
            convs = BLOCKS[block](width, stride, LAYOUTS[layout]["stride_in"])
            x = block_of(x, convs, shortcut, name=f"conv{number}_{position}", layout=layout, join=next(each))
        x = keras.Model(inputs, x, name=f"conv{number}_x")(outer) if nested else x
    return x


def check(blocks: Any, stages: int, **settings: Any) -> None:
    """Refuse what no row could have."""
    for name, value in settings.items():
        if value not in ACCEPTED[name]:
            raise KerasVisionError(f"{name}={value!r}; accepted: {', '.join(map(repr, ACCEPTED[name]))}.")
    counts = blocks if isinstance(blocks, tuple | list) else ()
    if len(counts) != stages or any(not isinstance(count, int) or count < 1 for count in counts):
        raise KerasVisionError(f"blocks={blocks!r}; give {stages} whole numbers of blocks, each at least 1.")


def trunk(x: Any, *, blocks: tuple[int, ...], block: str, shortcut: str | None, layout: str) -> Any:
    """conv1 to conv5_x: `(n, 224, 224, 3) -> (n, 7, 7, 512)`, with bottlenecks `(n, 7, 7, 2048)`."""
    check(blocks, len(WIDTHS), layout=layout)
    x = conv(x, 64, 7, 2, name="conv1", layout=layout)
    x = MAX_POOLINGS[LAYOUTS[layout]["pool"]](x, 3, 2, name="pool1")
    return stages(x, blocks, WIDTHS, block=block, shortcut=shortcut, layout=layout)


def cifar_trunk(
    x: Any, *, n: int, shortcut: str | None, nested: bool, joins: Iterable[Callable[..., Any]] = ()
) -> Any:  # fmt: skip
    """conv1 to conv4_x: `(n, 32, 32, 3) -> (n, 8, 8, 64)`; `nested` makes a model of each stage."""
    if not isinstance(n, int) or n < 1:
        raise KerasVisionError(f"n={n!r}; a net of 6n + 2 layers has n blocks in each stage, at least 1.")
    x = conv(x, 16, 3, name="conv1", layout="torch")
    settings: dict[str, Any] = dict(block="basic", shortcut=shortcut, layout="torch", nested=nested, joins=joins)
    return stages(x, (n,) * 3, CIFAR_WIDTHS, **settings)


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, h, w, c) -> (n, classes)`."""
    return average_classifier(x, classes, activation, name="fc")


# ------------------------------------------------------------------------------------------------ weights


def cifar_convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of the public CIFAR files, which are torchvision's, to the paper's."""
    return from_channels_first(arrays, dict(torch_modules(blocks=(settings["n"],) * 3)))


def cifar_file(file: str, sha256: str) -> WeightsFile:
    """A file of ResNets in PyTorch, with option A."""
    return WeightsFile(
        name="cifar10",
        file=file,
        url="https://raw.githubusercontent.com/akamaster/pytorch_resnet_cifar10/"
        f"d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/{file}",
        hash=f"sha256:{sha256}",
        classes=10,
        preprocessing=CIFAR,
        source="CIFAR-10, by Yerlan Idelbayev",
        licence="BSD-2-Clause (Yerlan Idelbayev); CIFAR-10 has no formal licence",
    )


CIFAR = dataclasses.replace(TORCH, size=(32, 32), resize_shorter=32)  # whole images

CIFAR_WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "ResNet20CIFAR": (
        cifar_file("resnet20-12fca82f.th", "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
    ),
    "ResNet56CIFAR": (
        cifar_file("resnet56-4bfd9763.th", "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
    ),
}

PAPER = Paper(
    title="Deep Residual Learning for Image Recognition", authors="He, Zhang, Ren, Sun", year=2015, arxiv="1512.03385"
)

FAMILY = Family(
    name="resnet",
    paper=PAPER,
    table_in_paper="Table 1",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CAFFE,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        'layout="keras" has biases and epsilon 1.001e-5, as in Keras\' weights; layout="torch" the stride on the 3x3',
        'layout="caffe" is the authors\', whose pool1 rounds its size up',
        "18 and 34 layers with projections (option B) where Table 2 has zero channels too (shortcut='A')",
    ),
)
CIFAR_FAMILY = Family(
    name="resnet",
    paper=PAPER,
    table_in_paper="section 4.2",
    table=CIFAR_TABLE,
    trunk=cifar_trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CIFAR,
    classes=10,
    weights=CIFAR_WEIGHTS,
    convert=cifar_convert,
    deviations=("pixels are normalised by channel; the paper subtracts a mean image",),
)

ResNet18 = FAMILY.constructor("ResNet18")
ResNet34 = FAMILY.constructor("ResNet34")
ResNet50 = FAMILY.constructor("ResNet50")
ResNet101 = FAMILY.constructor("ResNet101")
ResNet152 = FAMILY.constructor("ResNet152")
PlainNet18 = FAMILY.constructor("PlainNet18")
PlainNet34 = FAMILY.constructor("PlainNet34")
ResNet20CIFAR = CIFAR_FAMILY.constructor("ResNet20CIFAR")
ResNet32CIFAR = CIFAR_FAMILY.constructor("ResNet32CIFAR")
ResNet44CIFAR = CIFAR_FAMILY.constructor("ResNet44CIFAR")
ResNet56CIFAR = CIFAR_FAMILY.constructor("ResNet56CIFAR")
ResNet110CIFAR = CIFAR_FAMILY.constructor("ResNet110CIFAR")
ResNet1202CIFAR = CIFAR_FAMILY.constructor("ResNet1202CIFAR")
PlainNet20CIFAR = CIFAR_FAMILY.constructor("PlainNet20CIFAR")
PlainNet32CIFAR = CIFAR_FAMILY.constructor("PlainNet32CIFAR")
PlainNet44CIFAR = CIFAR_FAMILY.constructor("PlainNet44CIFAR")
PlainNet56CIFAR = CIFAR_FAMILY.constructor("PlainNet56CIFAR")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
