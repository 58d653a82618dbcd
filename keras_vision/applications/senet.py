"""SENet (Hu et al., 2017), Tables 1 and 2 and the appendix on SENet-154, as released.

The networks are ResNet, ResNeXt, BN-Inception, and the authors' entry of 2017.

Deviations: the layers that squeeze and excite have biases, as in the authors' files. A squeeze takes the mean over the
whole map, so `output_stride` and cropping change the gates a little. Keras compiles grouped convolutions with XLA, anew
at every call outside a graph: `predict` is faster than `model(x)`. pool1 is Caffe's; `pool="padded"` is that of the
Keras port, whose published errors are those of its own weights. He's initial weights are drawn uniformly, as in
resnet.py.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from keras_vision.applications import bn_inception
from keras_vision.applications._family import Family
from keras_vision.applications._public_files import BVLC, TORCH, zoo_file
from keras_vision.applications._senet_files import AUTHORS, WEIGHTS, convert, stem_names, with_dense_excitation
from keras_vision.errors import KerasVisionError
from keras_vision.layers import (
    MAX_POOLINGS,
    average_classifier,
    conv_bn_relu,
    conv_chain,
    recalibrated_residual,
    squeeze_excite,
)
from keras_vision.registry import Paper, WeightsFile
from keras_vision.weights import from_channels_first

Conv = tuple[int, int, int]  # filters, kernel, stride

# ------------------------------------------------------------------------------------------------- table

ONE = ((64, 7, 2),)
THREE = ((64, 3, 2), (64, 3, 1), (128, 3, 1))
SE = dict(reduction=16, placement="standard", pool="ceil")

# stem, and of the bottlenecks: widths in conv2_x, groups and stride of the second convolution, kernel of the projection
RESNET = dict(stem=ONE, widths=(64, 64, 256), groups=1, stride_in=1, projection=1, dropout=0.0, **SE)
RESNEXT = dict(stem=ONE, widths=(128, 128, 256), groups=32, stride_in=2, projection=1, dropout=0.0, **SE)
SENET = dict(stem=THREE, widths=(128, 256, 256), groups=64, stride_in=2, projection=3, dropout=0.2, **SE)

TABLE: Mapping[str, Mapping[str, Any]] = {  # blocks in conv2_x to conv5_x
    "SEResNet50": dict(blocks=(3, 4, 6, 3), **RESNET),
    "SEResNet101": dict(blocks=(3, 4, 23, 3), **RESNET),
    "SEResNet152": dict(blocks=(3, 8, 36, 3), **RESNET),
    "SEResNeXt50": dict(blocks=(3, 4, 6, 3), **RESNEXT),
    "SEResNeXt101": dict(blocks=(3, 4, 23, 3), **RESNEXT),
    "SENet154": dict(blocks=(3, 8, 36, 3), **SENET),
}

INCEPTION_TABLE: Mapping[str, Mapping[str, Any]] = {"SEInception": dict(reduction=16)}

# ------------------------------------------------------------------------------------------------ blocks


conv = partial(conv_bn_relu, epsilon=1e-5, padding="both", kernel_initializer="he_uniform")


def bottleneck(
    x: Any, widths: tuple[int, ...], stride: int, *, groups: int, stride_in: int, projection: int, name: str, **se: Any
) -> Any:
    """1x1, 3x3 in groups and 1x1 around a shortcut: `(n, h, w, c) -> (n, h/stride, w/stride, widths[-1])`."""
    first, second = (stride, 1) if stride_in == 1 else (1, stride)
    convs = list(zip(widths, (1, 3, 1), (first, second, 1), strict=True))

    def grouped(y: Any, filters: int, kernel: int, stride: int, **names: Any) -> Any:
        return conv(y, filters, kernel, stride, groups=groups if kernel == 3 else 1, **names)

    def shortcut(y: Any) -> Any:
        if stride == 1 and y.shape[-1] == widths[-1]:
            return y
        kernel = projection if stride > 1 else 1
        return conv(y, widths[-1], kernel, stride, name=f"{name}_shortcut", relu=False)

    return recalibrated_residual(
        x, partial(conv_chain, convs=convs, conv=grouped, name=name), shortcut, name=name, **se
    )


# --------------------------------------------------------------------------------------- trunks and heads


def trunk(
    x: Any, *, blocks: tuple[int, ...], stem: tuple[Conv, ...], widths: tuple[int, ...], dropout: float, pool: str,
    **block: Any,
) -> Any:  # fmt: skip
    """conv1 to conv5_x: `(n, 224, 224, 3) -> (n, 7, 7, 2048)`; the widths double from stage to stage."""
    check(blocks, widths, pool, **block)
    for name, spec in zip(stem_names(stem), stem, strict=True):
        x = conv(x, *spec, name=name)
    x = MAX_POOLINGS[pool](x, 3, 2, name="pool1")
    for stage, count in enumerate(blocks):
        wider = tuple(width << stage for width in widths)
        for position in range(1, count + 1):
            stride = 2 if stage and position == 1 else 1
            x = bottleneck(x, wider, stride, name=f"conv{stage + 2}_{position}", **block)
    return x


def inception_trunk(x: Any, *, reduction: int) -> Any:
    """BN-Inception, every module recalibrated (Figure 2): `(n, 224, 224, 3) -> (n, 7, 7, 1024)`."""

    def recalibrated(x: Any, name: str) -> Any:
        return squeeze_excite(x, reduction, name=f"{name}_se")

    return bn_inception.trunk(x, **bn_inception.TABLE["BNInception"], after=recalibrated)


def check(blocks: Any, widths: Any, pool: Any, *, groups: int, stride_in: int, projection: int, **se: Any) -> None:
    """Refuse what no row could have."""
    counts = blocks if isinstance(blocks, tuple | list) else ()
    if len(counts) != 4 or any(not isinstance(count, int) or count < 1 for count in counts):
        raise KerasVisionError(f"blocks={blocks!r}; give four whole numbers of blocks, each at least 1.")
    if stride_in not in (1, 2) or projection not in (1, 3):
        raise KerasVisionError(
            f"stride_in={stride_in!r}, projection={projection!r}; accepted: the 1st or 2nd convolution; kernel 1 or 3."
        )
    if pool not in MAX_POOLINGS:
        raise KerasVisionError(f"pool={pool!r}; accepted: {', '.join(map(repr, MAX_POOLINGS))}.")
    if not isinstance(groups, int) or groups < 1 or len(widths) != 3 or any(width % groups for width in widths[:2]):
        raise KerasVisionError(f"widths={widths!r}; give three, the first two divisible by groups={groups!r}.")


def head(x: Any, classes: int, activation: str | None, *, dropout: float, **settings: Any) -> Any:
    """Global average, dropout and classifier: `(n, 7, 7, 2048) -> (n, classes)`."""
    return average_classifier(x, classes, activation, dropout=dropout, name="fc")


# ------------------------------------------------------------------------------------------------ weights


def caffe_layers() -> Iterator[tuple[str, str]]:
    """Caffe's name of each layer in the authors' SE-BN-Inception."""
    first = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
    parts = {"double_3x3_reduce": "double3x3_reduce", "double_3x3_1": "double3x3a", "double_3x3_2": "double3x3b"}
    for own in bn_inception.convs():
        _, number, part = own.split("_", 2) if own not in first else ("", "", "")
        theirs = first.get(own) or f"inception_{number}/{parts.get(part, part)}"
        yield from ((theirs, f"{own}_conv"), (f"{theirs}/bn", f"{own}_bn"), (f"{theirs}/bn/scale", f"{own}_bn"))
    for module in (f"inception_{number}" for number in bn_inception.WIDTHS):
        yield from ((f"{module}_1x1_down", f"{module}_se_fc1"), (f"{module}_1x1_up", f"{module}_se_fc2"))
    yield "classifier", "predictions"


def inception_convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of the authors' Caffe file to the paper's."""
    return with_dense_excitation(from_channels_first(arrays, dict(caffe_layers())))


INCEPTION_WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "SEInception": (
        zoo_file(
            "se-inception/SE-BN-Inception.caffemodel",
            "sha384:b5d3a92296b83cb5c706140a1d2855903906c6c2176766bdd58303643c28a6aa9950cec2f318cb4f97778705c394d5d1",
            BVLC,
            name="imagenet",
            licence=AUTHORS,
        ),
    ),
}

PAPER = Paper(
    title="Squeeze-and-Excitation Networks", authors="Hu, Shen, Albanie, Sun, Wu", year=2017, arxiv="1709.01507"
)

FAMILY = Family(
    name="senet",
    paper=PAPER,
    table_in_paper="Table 1; SENet-154 in the appendix",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=TORCH,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "the layers of squeeze and excitation have biases, as in the released weights",
        "RGB pixels scaled as in PyTorch, which the converted weights take; the authors' Caffe files take BGR ("
        "weights='caffe'; SENet-154's has no published hash: load it by path and give it their preprocessing)",
    ),
)
INCEPTION_FAMILY = Family(
    name="senet",
    paper=PAPER,
    table_in_paper="Table 2",
    table=INCEPTION_TABLE,
    trunk=inception_trunk,
    head=bn_inception.head,
    classifiers=("predictions",),
    preprocessing=BVLC,
    weights=INCEPTION_WEIGHTS,
    convert=inception_convert,
    deviations=(
        "the layers of squeeze and excitation have biases, as in the released weights",
        "the deviations of BNInception, on which it builds",
    ),
)

SEInception = INCEPTION_FAMILY.constructor("SEInception")
SEResNet50 = FAMILY.constructor("SEResNet50")
SEResNet101 = FAMILY.constructor("SEResNet101")
SEResNet152 = FAMILY.constructor("SEResNet152")
SEResNeXt50 = FAMILY.constructor("SEResNeXt50")
SEResNeXt101 = FAMILY.constructor("SEResNeXt101")
SENet154 = FAMILY.constructor("SENet154")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
