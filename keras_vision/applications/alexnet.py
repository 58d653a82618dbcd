"""AlexNet (Krizhevsky et al., 2012), Figure 2, and CaffeNet, the network of Caffe's authors after it.

Deviations: AlexNet is one column, without the split over two GPUs; `groups=2` splits conv2, conv4 and conv5 as they are
there. CaffeNet has that split, pools before it normalises, and Caffe's constants of normalisation. The input is 227, of
which the 55 x 55 map follows; the paper prints 224. Pooling rounds up, as in Caffe, which at 227 changes nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import BVLC, caffe_file
from keras_vision.layers import ceil_max_pool, fc6_to_fc8, local_response_norm
from keras_vision.registry import Paper
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

TABLE: Mapping[str, Mapping[str, Any]] = {
    "AlexNet": dict(groups=1, lrn="paper", lrn_first=True),
    "CaffeNet": dict(groups=2, lrn="caffe", lrn_first=False),
}

# ------------------------------------------------------------------------------------------------ blocks


def gaussian() -> Any:
    """Start of every kernel (section 5)."""
    return keras.initializers.RandomNormal(stddev=0.01)


def conv(x: Any, filters: int, kernel: int, *, name: str, bias: int, **settings: Any) -> Any:
    """Convolution and ReLU; `bias` is what the biases start from (section 5)."""
    start = dict(kernel_initializer=gaussian(), bias_initializer=keras.initializers.Constant(bias))
    return layers.Conv2D(filters, kernel, activation="relu", name=name, **start, **settings)(x)


def pool_and_normalize(x: Any, number: int, lrn: str | None, lrn_first: bool) -> Any:
    """Overlapping max pooling (section 3.4) and response normalisation (section 3.3), in either order."""
    if lrn_first:
        x = local_response_norm(x, lrn, name=f"norm{number}")
        return ceil_max_pool(x, 3, 2, name=f"pool{number}")
    x = ceil_max_pool(x, 3, 2, name=f"pool{number}")
    return local_response_norm(x, lrn, name=f"norm{number}")


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, groups: int, lrn: str | None, lrn_first: bool) -> Any:
    """conv1 to pool5: `(n, 227, 227, 3) -> (n, 6, 6, 256)`."""
    x = conv(x, 96, 11, strides=4, bias=0, name="conv1")
    x = pool_and_normalize(x, 1, lrn, lrn_first)
    x = conv(x, 256, 5, groups=groups, bias=1, padding="same", name="conv2")
    x = pool_and_normalize(x, 2, lrn, lrn_first)
    x = conv(x, 384, 3, bias=0, padding="same", name="conv3")
    x = conv(x, 384, 3, groups=groups, bias=1, padding="same", name="conv4")
    x = conv(x, 256, 3, groups=groups, bias=1, padding="same", name="conv5")
    return ceil_max_pool(x, 3, 2, name="pool5")


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """fc6 to fc8: `(n, 6, 6, 256) -> (n, classes)`."""
    return fc6_to_fc8(x, classes, activation, kernel=gaussian, bias="ones")


# ------------------------------------------------------------------------------------------------ weights


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Caffe's files have the paper's names already."""
    return from_channels_first(arrays, {}, flattened={"fc6": 256})


CAFFE_227 = dataclasses.replace(BVLC, size=(227, 227))

WEIGHTS = {
    "CaffeNet": (
        caffe_file("bvlc_reference_caffenet.caffemodel", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46", CAFFE_227),
    ),
}

FAMILY = Family(
    name="alexnet",
    paper=Paper(
        title="ImageNet Classification with Deep Convolutional Neural Networks",
        authors="Krizhevsky, Sutskever, Hinton",
        year=2012,
        arxiv="",
    ),
    table_in_paper="Figure 2",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("fc",),
    classifiers=("fc8",),
    preprocessing=CAFFE_227,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "AlexNet is one column, without the split over two GPUs",
        "CaffeNet is that of Caffe's authors: two groups, pooling before response normalisation, Caffe's constants",
        "input 227 where the paper prints 224",
    ),
)

AlexNet = FAMILY.constructor("AlexNet")
CaffeNet = FAMILY.constructor("CaffeNet")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
