"""Xception (Chollet, 2016), Figure 5, in the layout of Keras Applications' weights.

Deviations: the dropout of 0.5 before the classifier (section 4.3) is `dropout=0.5`; the row has none, as in Keras. The
public file was written by Keras 1, which numbered every layer. Cadene's file holds the same training in PyTorch's
names; his network has another epsilon and pads its pools on both sides, this one is Keras'.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TF, keras_file, name_numbered_layers
from keras_vision.errors import KerasVisionError
from keras_vision.layers import average_classifier, bn_relu, conv_bn_relu
from keras_vision.registry import Paper
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

TABLE: Mapping[str, Mapping[str, Any]] = {
    "Xception": dict(middle=8, dropout=0.0),  # blocks of the middle flow; rate before the classifier
}

ENTRY = ((128, 128), (256, 256), (728, 728))  # widths of the separable convolutions, block by block
MIDDLE = (728, 728, 728)
EXIT = (728, 1024)
LAST = (1536, 2048)


def blocks(middle: int) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Name, widths, and whether it halves the map, of each residual block."""
    rows = [(widths, True) for widths in ENTRY] + [(MIDDLE, False)] * middle + [(EXIT, True)]
    for number, (widths, halves) in enumerate(rows, 2):
        yield f"block{number}", widths, halves


# ------------------------------------------------------------------------------------------------ blocks

EPSILON, MOMENTUM = 1e-3, 0.99  # of batch norm, as by default in Keras

conv = partial(conv_bn_relu, padding="valid", epsilon=EPSILON, momentum=MOMENTUM)


def sepconv(x: Any, filters: int, *, name: str, relu: bool = False) -> Any:
    """Depthwise 3x3 and pointwise convolution with nothing between them (section 4.7), batch norm."""
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return bn_relu(x, name=name, relu=relu, epsilon=EPSILON, momentum=MOMENTUM)


def block(x: Any, widths: tuple[int, ...], halves: bool, name: str) -> Any:
    """Residual block: `(n, h, w, c) -> (n, h, w, widths[-1])`, or half of h and w, rounded up, with max pooling."""
    shortcut = x
    if halves:
        shortcut = conv(x, widths[-1], 1, 2, name=f"{name}_shortcut", relu=False)
    for number, filters in enumerate(widths, 1):
        if (name, number) != ("block2", 1):  # block1_conv2 has ended in a ReLU
            x = layers.Activation("relu", name=f"{name}_sepconv{number}_relu")(x)
        x = sepconv(x, filters, name=f"{name}_sepconv{number}")
    if halves:
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_pool")(x)
    return layers.Add(name=name)([x, shortcut])


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, middle: int, **settings: Any) -> Any:
    """block1_conv1 to block14_sepconv2: `(n, 299, 299, 3) -> (n, 10, 10, 2048)`."""
    if not isinstance(middle, int) or middle < 0:
        raise KerasVisionError(f"middle={middle!r}; give the number of blocks in the middle flow, 0 or more.")
    x = conv(x, 32, 3, 2, name="block1_conv1")
    x = conv(x, 64, 3, name="block1_conv2")
    for name, widths, halves in blocks(middle):
        x = block(x, widths, halves, name)
    for number, filters in enumerate(LAST, 1):
        x = sepconv(x, filters, name=f"block{middle + 6}_sepconv{number}", relu=True)
    return x


def head(x: Any, classes: int, activation: str | None, *, dropout: float, **settings: Any) -> Any:
    """Global average and classifier: `(n, 10, 10, 2048) -> (n, classes)`."""
    return average_classifier(x, classes, activation, dropout=dropout, name="predictions")


# ------------------------------------------------------------------------------------------------ weights


def creation_order(middle: int) -> Iterator[tuple[str, str]]:
    """Kind and name of everything with a batch norm, in the order in which Keras Applications makes it."""
    yield from (("conv", "block1_conv1"), ("conv", "block1_conv2"))
    for name, widths, halves in blocks(middle):
        if halves:
            yield "shortcut", f"{name}_shortcut"
        yield from (("sepconv", f"{name}_sepconv{number}") for number in range(1, len(widths) + 1))
    yield from (("sepconv", f"block{middle + 6}_sepconv{number}") for number in range(1, len(LAST) + 1))


def numbered_layers(order: list[tuple[str, str]], every: bool) -> dict[str, list[str]]:
    """Layers that Keras has numbered, in their order: the shortcuts, or `every` layer in the public file."""
    norms = [f"{name}_bn" for kind, name in order if every or kind == "shortcut"]
    convs = [f"{name}_conv" for kind, name in order if kind == "shortcut" or (every and kind == "conv")]
    separable = [f"{name}_conv" for kind, name in order if kind == "sepconv"]
    if every:  # by the classes' names in Keras 1, which wrote the file
        kinds = {"convolution2d": convs, "batchnormalization": norms, "separableconvolution2d": separable}
        return kinds | {"dense": ["predictions"]}
    return {"conv2d": convs, "batch_normalization": norms}


def torch_modules(*, middle: int, **settings: Any) -> Iterator[tuple[str, str]]:
    """Cadene's module of each layer; the two convolutions of a separable one are modules of their own."""

    def separable(module: str, own: str) -> Iterator[tuple[str, str]]:
        yield from ((f"{module}.conv1", f"{own}_conv/depthwise"), (f"{module}.pointwise", f"{own}_conv/pointwise"))

    for number in (1, 2):
        yield from ((f"conv{number}", f"block1_conv{number}_conv"), (f"bn{number}", f"block1_conv{number}_bn"))
        own = f"block{middle + 6}_sepconv{number}"
        yield from (*separable(f"conv{number + 2}", own), (f"bn{number + 2}", f"{own}_bn"))
    for number, (name, widths, _) in enumerate(blocks(middle), 1):
        module, first = f"block{number}", 0 if number == 1 else 1  # block1 has no ReLU before its first
        for step in range(len(widths)):
            own, at = f"{name}_sepconv{step + 1}", first + 3 * step
            yield from (*separable(f"{module}.rep.{at}", own), (f"{module}.rep.{at + 1}", f"{own}_bn"))
        yield from ((f"{module}.skip", f"{name}_shortcut_conv"), (f"{module}.skipbn", f"{name}_shortcut_bn"))
    yield from (("fc", "predictions"), ("last_linear", "predictions"))


def convert_torch(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Cadene's file to these; PyTorch has a depthwise kernel as (channel, 1, row, column)."""
    converted = {}
    for key, array in from_channels_first(arrays, dict(torch_modules(**settings))).items():
        depthwise = key.endswith("/depthwise/kernel")
        name = key.replace("/depthwise/kernel", "/depthwise_kernel").replace("/pointwise/kernel", "/pointwise_kernel")
        converted[name] = array.transpose(0, 1, 3, 2) if depthwise else array
    return converted


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Keras Applications' models and files, and of Cadene's, to these."""
    if any(key.endswith(".pointwise.weight") for key in arrays):
        return convert_torch(arrays, settings)
    order = list(creation_order(settings["middle"]))
    every = any(key.startswith("separableconvolution2d_") for key in arrays)
    arrays = from_channels_first(arrays, {name: f"{name}_conv" for _, name in order})
    return name_numbered_layers(arrays, numbered_layers(order, every))


TF_299 = TF.for_input(299, 299, 3)

WEIGHTS = {
    "Xception": (
        keras_file("xception", "0a58e3b7378bc2990ea3b43d5981f1f6", TF_299),
        keras_file("xception", "b0042744bf5b25fce3cb969f33bebb97", TF_299, part="_notop"),
    ),
}

FAMILY = Family(
    name="xception",
    paper=Paper(
        title="Xception: Deep Learning with Depthwise Separable Convolutions",
        authors="Chollet",
        year=2016,
        arxiv="1610.02357",
    ),
    table_in_paper="Figure 5",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("predictions",),
    preprocessing=TF_299,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "no dropout before the classifier, as in Keras Applications; dropout=0.5 adds the paper's",
        "the strided layers of block1 to block13 pad as Keras' 'same', so output_stride cannot undo them",
    ),
)

Xception = FAMILY.constructor("Xception")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
