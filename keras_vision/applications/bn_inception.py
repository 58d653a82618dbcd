"""BN-Inception (Ioffe & Szegedy, 2015), Figure 5.

Deviations: 4c and 4d give 608 channels and 4e 1056, as the figure's widths add up and as the public weights are; it
prints 576 and 1024, and the sizes of 3c and 4e before their stride. The paper's conv1 is separable, which is a row of
its own, since the public weights have a plain one. The figure's network has 11.3 million parameters; section 4.2 states
13.6 million. Convolutions have no biases, which batch norm would cancel (section 3.2); a file's biases go into the
means. There is no dropout and no response normalisation (section 4.2.1).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.layers import (
    average_classifier,
    average_pool,
    bn_relu,
    ceil_max_pool,
    conv_bn_relu,
    conv_names,
    inception,
    max_pool,
)
from keras_vision.layers.inception import Branch
from keras_vision.registry import Paper, WeightsFile
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

OPTIONS = dict(gamma=True, use_bias=False)

TABLE: Mapping[str, Mapping[str, Any]] = {  # depth_multiplier: of a separable conv1 (Appendix); None is a plain one
    "BNInception": dict(depth_multiplier=None, **OPTIONS),
    "BNInceptionSeparable": dict(depth_multiplier=8, **OPTIONS),
}

WIDTHS: Mapping[str, tuple[Any, ...]] = {
    #     1x1  3x3_reduce  3x3  double_3x3_reduce  double_3x3  pool  pool_proj
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max + pass through", 0),  # stride 2
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128),
    "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max + pass through", 0),  # stride 2
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


def module(n1x1: int, reduce: int, n3x3: int, double_reduce: int, double: int, pool: str, proj: int) -> list[Branch]:
    """One row of the figure; without a projection, its branches end in stride 2."""
    stride = 1 if proj else 2
    branches: list[Branch] = [
        [("1x1", n1x1, 1)],
        [("3x3_reduce", reduce, 1), ("3x3", n3x3, 3, stride)],
        [("double_3x3_reduce", double_reduce, 1), ("double_3x3_1", double, 3), ("double_3x3_2", double, 3, stride)],
        [("pool", pool), ("pool_proj", proj, 1)],
    ]
    return branches if proj else [*branches[1:3], [("pool", pool)]]


# ------------------------------------------------------------------------------------------------ blocks


def separable_conv1(x: Any, depth_multiplier: int, gamma: bool, use_bias: bool) -> Any:
    """7x7 depthwise and 1x1 convolution, batch norm, ReLU (Appendix)."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    settings = dict(depth_multiplier=depth_multiplier, use_bias=use_bias, name="conv1_conv")
    x = layers.SeparableConv2D(64, 7, 2, **settings)(x)
    return bn_relu(x, name="conv1", epsilon=1e-5, scale=gamma)


def pass_through(x: Any, name: str) -> Any:
    """Max pooling whose map has the size of the strided convolutions beside it, odd sizes included."""
    x = layers.ZeroPadding2D(((0, 2), (0, 2)), name=f"{name}_pad")(x)  # of the two, an even size uses one
    return layers.MaxPooling2D(3, 2, name=name)(x)


POOLS: Mapping[str, Any] = {
    "avg": partial(average_pool, count_padding=True),
    "max": max_pool,
    "max + pass through": pass_through,
}

# ----------------------------------------------------------------------------------------- trunk and head


def trunk(
    x: Any, *, depth_multiplier: int | None, gamma: bool, use_bias: bool, after: Callable[..., Any] | None = None
) -> Any:
    """conv1 to inception_5b: `(n, 224, 224, 3) -> (n, 7, 7, 1024)`; ``after(x, name=)`` may follow each module."""
    conv = partial(conv_bn_relu, epsilon=1e-5, padding="both", scale=gamma, use_bias=use_bias)
    if depth_multiplier is None:
        x = conv(x, 64, 7, 2, name="conv1")
    else:
        x = separable_conv1(x, depth_multiplier, gamma, use_bias)
    x = ceil_max_pool(x, 3, 2, name="pool1")
    x = conv(x, 64, 1, name="conv2_reduce")
    x = conv(x, 192, 3, name="conv2")
    x = ceil_max_pool(x, 3, 2, name="pool2")
    for number, widths in WIDTHS.items():
        name = f"inception_{number}"
        x = inception(x, module(*widths), name, conv, POOLS)
        x = after(x, name=name) if after else x
    return x


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, 7, 7, 1024) -> (n, classes)`."""
    return average_classifier(x, classes, activation, pool="pool5", name="predictions")


# ------------------------------------------------------------------------------------------------ weights


def convs() -> Iterator[str]:
    """Names of all convolutions in the order of the table."""
    yield from ("conv1", "conv2_reduce", "conv2")
    for number, widths in WIDTHS.items():
        yield from (f"inception_{number}_{part}" for part in conv_names(module(*widths)))


def torch_modules(**settings: Any) -> Iterator[tuple[str, str]]:
    """The public PyTorch file's module of each layer; its names are those of the Caffe network before it."""
    first = {"conv1": "conv1_7x7_s2", "conv2_reduce": "conv2_3x3_reduce", "conv2": "conv2_3x3"}
    for own in convs():
        theirs = first.get(own, own)
        yield from ((theirs, f"{own}_conv"), (f"{theirs}_bn", f"{own}_bn"))
    yield from (("last_linear", "predictions"), ("fc", "predictions"))


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of the public PyTorch file to the paper's."""
    return from_channels_first(arrays, dict(torch_modules()))


CAFFE = Preprocessing((224, 224), resize_shorter=256, color="BGR", mean=(104.0, 117.0, 128.0))

CADENE = WeightsFile(
    name="imagenet",
    file="bn_inception-52deb4733.pth",
    url="http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
    hash="sha256:52deb4733",
    classes=1000,
    preprocessing=CAFFE,
    source="ImageNet, pretrained-models.pytorch, from Caffe",
    licence="BSD-3-Clause (pretrained-models.pytorch); ImageNet terms",
)

FAMILY = Family(
    name="bn_inception",
    paper=Paper(
        title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
        authors="Ioffe, Szegedy",
        year=2015,
        arxiv="1502.03167",
    ),
    table_in_paper="Figure 5",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("predictions",),
    preprocessing=CAFFE,
    weights={"BNInception": (CADENE,)},
    convert=convert,
    deviations=(
        "4c and 4d give 608 channels and 4e 1056, as their widths add up; the figure prints 576 and 1024",
        "conv1 is plain, as in the public weights; BNInceptionSeparable has the paper's",
        "11.3 million parameters, which the figure's widths give; the text states 13.6 million",
    ),
)

BNInception = FAMILY.constructor("BNInception")
BNInceptionSeparable = FAMILY.constructor("BNInceptionSeparable")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
