"""GoogLeNet (Szegedy et al., 2014), Table 1, and the batch-norm network that torchvision and TF-slim call by its name.

Deviations: local response normalisation and the order of the first layers are those of Caffe's release, which the paper
only draws. GoogLeNetBN has 3x3 convolutions in place of 5x5, batch norm in place of biases and of response
normalisation, and a 2x2 pooling before 5a, as in torchvision; TF-slim's has no side classifiers. `auxiliary` adds both
side classifiers as further outputs. Their losses count 0.3 each in training: `loss_weights=[1, 0.3, 0.3]`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family, layer_output
from keras_vision.applications._public_files import BVLC, TF, caffe_file, torchvision_file
from keras_vision.errors import KerasVisionError
from keras_vision.layers import (
    AdaptiveAveragePool2D,
    average_classifier,
    ceil_max_pool,
    conv_bn_relu,
    conv_names,
    conv_relu,
    inception,
    local_response_norm,
    max_pool,
)
from keras_vision.layers.inception import Branch
from keras_vision.registry import Paper
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

TABLE: Mapping[str, Mapping[str, Any]] = {
    "GoogLeNet": dict(largest=5, batch_norm=False, lrn="caffe", pool4=3, dropout=0.4, auxiliary=None),
    "GoogLeNetBN": dict(largest=3, batch_norm=True, lrn=None, pool4=2, dropout=0.2, auxiliary=None),
}

WIDTHS: Mapping[str, tuple[int, ...]] = {
    #     1x1  3x3_reduce  3x3  5x5_reduce  5x5  pool_proj
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"aux1": "inception_4a", "aux2": "inception_4d"}  # side classifier: the map it looks at


def module(widths: tuple[int, ...], largest: int) -> list[Branch]:
    """Figure 2b; `largest` is the kernel of the branch that the paper calls 5x5."""
    n1x1, reduce3x3, n3x3, reduce5x5, n5x5, proj = widths
    return [
        [("1x1", n1x1, 1)],
        [("3x3_reduce", reduce3x3, 1), ("3x3", n3x3, 3)],
        [("5x5_reduce", reduce5x5, 1), ("5x5", n5x5, largest)],
        [("pool", "max"), ("pool_proj", proj, 1)],
    ]


# ----------------------------------------------------------------------------------------- trunk and head


def conv_of(batch_norm: bool) -> Any:
    """What a convolution is: with batch norm and ReLU, or with a bias, which starts at 0.2, and ReLU."""
    return partial(conv_bn_relu, epsilon=1e-3) if batch_norm else partial(conv_relu, bias=0.2)


def trunk(x: Any, *, largest: int, batch_norm: bool, lrn: str | None, pool4: int, **settings: Any) -> Any:
    """conv1 to inception_5b: `(n, 224, 224, 3) -> (n, 7, 7, 1024)`; `pool4` is the window before 5a."""
    conv = conv_of(batch_norm)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = conv(x, 64, 7, 2, name="conv1", padding="valid")
    x = ceil_max_pool(x, 3, 2, name="pool1")
    x = local_response_norm(x, lrn, name="norm1")
    x = conv(x, 64, 1, name="conv2_reduce")
    x = conv(x, 192, 3, name="conv2")
    x = local_response_norm(x, lrn, name="norm2")
    x = ceil_max_pool(x, 3, 2, name="pool2")
    for number, widths in WIDTHS.items():
        x = inception(x, module(widths, largest), f"inception_{number}", conv, {"max": max_pool})
        if number in ("3b", "4e"):
            x = ceil_max_pool(x, 3 if number == "3b" else pool4, 2, name=f"pool{number[0]}")
    return x


def side_classifier(x: Any, classes: int, activation: str | None, pool: Any, batch_norm: bool, name: str) -> Any:
    """Average to 4 x 4, 1x1 convolution and two dense layers: `(n, 14, 14, c) -> (n, classes)`."""
    x = pool(x, name=f"{name}_pool")
    x = conv_of(batch_norm)(x, 128, 1, name=f"{name}_1x1")
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(1024, activation="relu", name=f"{name}_fc")(x)
    x = layers.Dropout(0.7, name=f"{name}_drop")(x)
    return layers.Dense(classes, activation=activation, dtype="float32", name=f"{name}_predictions")(x)


def strided_pool(x: Any, name: str) -> Any:
    """The paper's average over 5 x 5 cells, every third: `(n, 14, 14, c) -> (n, 4, 4, c)`."""
    if min(x.shape[1:3]) < 5:
        raise KerasVisionError(
            f"auxiliary='strided' averages 5 x 5 cells and finds a map of {x.shape[1]} x {x.shape[2]}: "
            "give larger images, or auxiliary='adaptive'."
        )
    return layers.AveragePooling2D(5, 3, name=name)(x)


def adaptive_pool(x: Any, name: str) -> Any:
    """torchvision's average to 4 x 4 cells: `(n, h, w, c) -> (n, 4, 4, c)`."""
    return AdaptiveAveragePool2D(4, name=name)(x)


AUXILIARY_POOLS = {"strided": strided_pool, "adaptive": adaptive_pool}


def head(
    x: Any,
    classes: int,
    activation: str | None,
    *,
    dropout: float,
    auxiliary: str | None,
    batch_norm: bool,
    **rest: Any,
) -> Any:
    """Global average and classifier: `(n, 7, 7, 1024) -> (n, classes)`; with `auxiliary`, a list of three outputs.

    `auxiliary` says how the side classifiers average: "strided" as in the paper, "adaptive" as in torchvision.
    """
    if auxiliary not in (None, *AUXILIARY_POOLS):
        raise KerasVisionError(f"auxiliary={auxiliary!r}; accepted: None, 'strided', 'adaptive'.")
    sides = {} if auxiliary is None else {name: layer_output(x, source) for name, source in AUXILIARY.items()}
    x = average_classifier(x, classes, activation, pool="pool5", dropout=dropout, name="predictions")
    pool = AUXILIARY_POOLS.get(auxiliary or "")
    outputs = [side_classifier(y, classes, activation, pool, batch_norm, name) for name, y in sides.items()]
    return [x, *outputs] if outputs else x


# ------------------------------------------------------------------------------------------------ weights


def torch_convs() -> Iterator[tuple[str, str]]:
    """torchvision's module of each convolution."""
    yield from (("conv1", "conv1"), ("conv2", "conv2_reduce"), ("conv3", "conv2"))
    parts = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    for number, widths in WIDTHS.items():
        for part, own in zip(parts, conv_names(module(widths, largest=3)), strict=True):
            yield f"inception{number}.{part}", f"inception_{number}_{own}"
    yield from ((f"{side}.conv", f"{side}_1x1") for side in AUXILIARY)


def torch_modules(**settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer of GoogLeNetBN."""
    for torch_name, own in torch_convs():
        yield from ((f"{torch_name}.conv", f"{own}_conv"), (f"{torch_name}.bn", f"{own}_bn"))
    for side in AUXILIARY:
        yield from ((f"{side}.fc1", f"{side}_fc"), (f"{side}.fc2", f"{side}_predictions"))
    yield "fc", "predictions"


def caffe_layers() -> Iterator[tuple[str, str]]:
    """Caffe's name of each layer of GoogLeNet."""
    yield from (("conv1/7x7_s2", "conv1"), ("conv2/3x3_reduce", "conv2_reduce"), ("conv2/3x3", "conv2"))
    for number, widths in WIDTHS.items():
        for own in conv_names(module(widths, largest=5)):
            yield f"inception_{number}/{own}", f"inception_{number}_{own}"
    for loss, side in zip(("loss1", "loss2"), AUXILIARY, strict=True):
        yield from ((f"{loss}/conv", f"{side}_1x1"), (f"{loss}/fc", f"{side}_fc"))
        yield f"{loss}/classifier", f"{side}_predictions"
    yield "loss3/classifier", "predictions"


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Caffe's and torchvision's names to the paper's."""
    names = dict(torch_modules()) | dict(caffe_layers())
    return from_channels_first(arrays, names, flattened={f"{side}_fc": 128 for side in AUXILIARY})


WEIGHTS = {
    "GoogLeNet": (caffe_file("bvlc_googlenet.caffemodel", "405fc5acd08a3bb12de8ee5e23a96bec22f08204", BVLC),),
    "GoogLeNetBN": (torchvision_file("imagenet", "googlenet-1378be20.pth", TF),),
}

FAMILY = Family(
    name="googlenet",
    paper=Paper(
        title="Going Deeper with Convolutions",
        authors="Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich",
        year=2014,
        arxiv="1409.4842",
    ),
    table_in_paper="Table 1 and Figure 3",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("predictions", "aux"),
    classifiers=("predictions", "aux1_predictions", "aux2_predictions"),
    preprocessing=BVLC,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "response normalisation as in Caffe's release: the paper draws it and gives no values",
        "GoogLeNetBN is torchvision's and TF-slim's: batch norm, and 3x3 in place of 5x5",
    ),
)

GoogLeNet = FAMILY.constructor("GoogLeNet")
GoogLeNetBN = FAMILY.constructor("GoogLeNetBN")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
