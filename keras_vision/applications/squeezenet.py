"""SqueezeNet (Iandola et al., 2016), Table 1, Figure 2 and the metaparameters of section 5.

Deviations: the authors' released v1.0 network pads conv10 by one pixel (15 x 15 scores at 227), which Table 1 does not
show (13 x 13); the row follows the release, `conv10_padding=0` the table. Table 1 prints 224 for the
input, but its 111 x 111 map needs 227. Pooling rounds up, as in Caffe. A ReLU follows conv10, as released.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import BVLC, torchvision_file
from keras_vision.errors import KerasVisionError
from keras_vision.layers import ceil_max_pool, conv_relu
from keras_vision.registry import Paper, WeightsFile
from keras_vision.weights import from_channels_first, read_deep_compression

# ------------------------------------------------------------------------------------------------ blocks


def fire(x: Any, squeeze: int, expand1x1: int, expand3x3: int, name: str) -> Any:
    """Fire module (Figure 1): `(n, h, w, c) -> (n, h, w, expand1x1 + expand3x3)`."""
    x = conv_relu(x, squeeze, 1, name=f"{name}_squeeze1x1")
    left = conv_relu(x, expand1x1, 1, name=f"{name}_expand1x1")
    right = conv_relu(x, expand3x3, 3, name=f"{name}_expand3x3")
    return layers.Concatenate(name=name)([left, right])


def around(shortcut: Any, x: Any, kind: str | None, name: str) -> Any:
    """Adds the module's input to its output where `kind` allows (Figure 2): "simple" is a wire, "complex" a 1x1 too."""
    if kind is None or (kind == "simple" and shortcut.shape[-1] != x.shape[-1]):
        return x
    if shortcut.shape[-1] != x.shape[-1]:
        shortcut = layers.Conv2D(x.shape[-1], 1, name=f"{name}_bypass1x1")(shortcut)
    return layers.Add(name=f"{name}_bypass")([shortcut, x])


# ------------------------------------------------------------------------------------------------- table

FIRES = range(2, 10)

METAPARAMETERS: Mapping[str, Any] = dict(base_e=128, incr_e=128, pct_3x3=0.5, freq=2, sr=0.125)  # section 5.1
V1_0 = dict(conv1=(96, 7), pools=(1, 4, 8), conv10_padding=1, ceil_mode=True, **METAPARAMETERS)
V1_1 = dict(conv1=(64, 3), pools=(1, 3, 5), conv10_padding=0, ceil_mode=True, **METAPARAMETERS)

TABLE: Mapping[str, Mapping[str, Any]] = {
    "SqueezeNet": dict(**V1_0, bypass=None),
    "SqueezeNetV1_1": dict(**V1_1, bypass=None),
    "SqueezeNetSimpleBypass": dict(**V1_0, bypass="simple"),
    "SqueezeNetComplexBypass": dict(**V1_0, bypass="complex"),
}


def fire_widths(*, base_e: int, incr_e: int, pct_3x3: float, freq: int, sr: float) -> list[tuple[int, int, int]]:
    """Filters (squeeze 1x1, expand 1x1, expand 3x3) of the eight Fire modules (section 5.1)."""
    if freq < 1:
        raise KerasVisionError(f"freq={freq}; the width grows after every `freq` modules, at least 1.")
    expands = [base_e + incr_e * (i // freq) for i in range(len(FIRES))]
    widths = [(int(sr * e), e - int(e * pct_3x3), int(e * pct_3x3)) for e in expands]
    if min(map(min, widths)) < 1:
        raise KerasVisionError(
            f"base_e={base_e}, pct_3x3={pct_3x3}, sr={sr} leave a Fire module without filters: {widths}."
        )
    return widths


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(
    x: Any,
    *,
    conv1: tuple[int, int],
    pools: tuple[int, ...],
    bypass: str | None,
    ceil_mode: bool,
    **settings: Any,
) -> Any:
    """conv1 to fire9: `(n, 227, 227, 3) -> (n, 13, 13, 512)`."""

    def pool(x: Any, after: int) -> Any:
        if after not in pools:
            return x
        if ceil_mode:
            return ceil_max_pool(x, 3, 2, name=f"pool{after}", negative=bypass == "complex")
        return layers.MaxPooling2D(3, 2, name=f"pool{after}")(x)

    filters, kernel = conv1
    x = conv_relu(x, filters, kernel, strides=2, name="conv1", padding="valid")
    x = pool(x, after=1)
    for number, widths in zip(FIRES, fire_widths(**{key: settings[key] for key in METAPARAMETERS}), strict=True):
        shortcut = x
        x = fire(x, *widths, name=f"fire{number}")
        x = around(shortcut, x, bypass, name=f"fire{number}")
        x = pool(x, after=number)
    return x


def head(x: Any, classes: int, activation: str | None, *, conv10_padding: int, **settings: Any) -> Any:
    """Dropout, conv10 and global average: `(n, h, w, 512) -> (n, classes)`."""
    x = layers.Dropout(0.5, name="drop9")(x)
    if conv10_padding:
        x = layers.ZeroPadding2D(conv10_padding, name="conv10_pad")(x)
    init = keras.initializers.RandomNormal(stddev=0.01)
    x = layers.Conv2D(classes, 1, activation="relu", kernel_initializer=init, name="conv10")(x)
    x = layers.GlobalAveragePooling2D(name="pool10")(x)
    return layers.Activation(activation, dtype="float32", name="predictions")(x)


# ------------------------------------------------------------------------------------------------ weights


def deep_compression_layers() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Names and kernel shapes (output, input, row, column) of v1.0 in the order of the authors' compressed file."""
    yield "conv1", (96, 3, 7, 7)
    channels = 96
    for number, (squeeze, expand1x1, expand3x3) in zip(FIRES, fire_widths(**METAPARAMETERS), strict=True):
        yield f"fire{number}_squeeze1x1", (squeeze, channels, 1, 1)
        yield f"fire{number}_expand1x1", (expand1x1, squeeze, 1, 1)
        yield f"fire{number}_expand3x3", (expand3x3, squeeze, 3, 3)
        channels = expand1x1 + expand3x3
    yield "conv10", (1000, channels, 1, 1)


def read_net(path: Path) -> dict[str, np.ndarray]:
    """The authors' `compressed_SqueezeNet.net`."""
    return read_deep_compression(path, list(deep_compression_layers()))


def torch_modules(*, conv1: tuple[int, int], **settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer: it numbers convolutions, ReLUs, poolings and Fire modules in one row."""
    yield from (("features.0", "conv1"), ("classifier.1", "conv10"))
    fires = (3, 4, 5, 7, 8, 9, 10, 12) if conv1 == V1_0["conv1"] else (3, 4, 6, 7, 9, 10, 11, 12)
    for position, number in zip(fires, FIRES, strict=True):
        for part, own in (("squeeze", "squeeze1x1"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            yield f"features.{position}.{part}", f"fire{number}_{own}"


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """torchvision's names to the paper's; in the authors' Caffe files a "/" stands where Keras allows only "_"."""
    names = dict(torch_modules(**settings))
    caffe = {name.replace("_", "/"): name for name in names.values() if name.startswith("fire")}
    return from_channels_first(arrays, names | caffe)


CAFFE = dataclasses.replace(BVLC, size=(227, 227))

AUTHORS = WeightsFile(
    name="imagenet",
    file="compressed_SqueezeNet.net",
    url="https://raw.githubusercontent.com/songhan/SqueezeNet-Deep-Compression/"
    "fb13faa2cf121ced9999f8a9d538ec6c56084733/compressed_SqueezeNet.net",
    hash="sha256:e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
    classes=1000,
    preprocessing=CAFFE,
    source="ImageNet, by the authors, pruned and coded with 8 bits (Deep Compression)",
    licence="BSD-2-Clause; ImageNet terms",
    agreement={"int8": 0.75},  # 92 % of 500 ImageNet photographs; 81 and 86 % of Flickr8k's and BSDS500's, less certain
)

FAMILY = Family(
    name="squeezenet",
    paper=Paper(
        title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        authors="Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer",
        year=2016,
        arxiv="1602.07360",
    ),
    table_in_paper="Table 1 and Figure 2",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("conv10",),
    preprocessing=CAFFE,
    weights={
        "SqueezeNet": (AUTHORS, torchvision_file("torchvision", "squeezenet1_0-b66bff10.pth", conv10_padding=0)),
        "SqueezeNetV1_1": (torchvision_file("torchvision", "squeezenet1_1-b8a52dc0.pth"),),
    },
    readers={".net": read_net},
    convert=convert,
    deviations=(
        "v1.0 pads conv10 by one pixel, as the released network does and Table 1 does not show",
        "input 227 where Table 1 prints 224: its 111 x 111 map needs 227",
        "v1.1 is the authors' later release, not in the paper",
    ),
)

SqueezeNet = FAMILY.constructor("SqueezeNet")
SqueezeNetV1_1 = FAMILY.constructor("SqueezeNetV1_1")
SqueezeNetSimpleBypass = FAMILY.constructor("SqueezeNetSimpleBypass")
SqueezeNetComplexBypass = FAMILY.constructor("SqueezeNetComplexBypass")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
