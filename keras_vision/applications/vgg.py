"""VGG (Simonyan & Zisserman, 2014), Table 1.

Deviations: the batch-norm rows are torchvision's, not the paper's. The convolutions start from Glorot's initialisation,
which section 3.1 found to need no pre-training; weight decay is left to the optimiser.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import CAFFE, keras_file, torchvision_file
from keras_vision.errors import KerasVisionError
from keras_vision.layers import MAX_POOLINGS, LocalResponseNormalization, conv_bn_relu, fc6_to_fc8
from keras_vision.registry import Paper, WeightsFile
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

POOLS = dict(pools=((2, 2),) * 5, pool="floor", dilations=(1,) * 5)
PLAIN = dict(last_kernel=3, lrn=False, batch_norm=False, **POOLS)
NORMALIZED = {**PLAIN, "batch_norm": True}
WIDTHS = (64, 128, 256, 512, 512)

TABLE: Mapping[str, Mapping[str, Any]] = {  # convolutions per stage; each stage ends in a 2x2 max-pool
    "VGG11": dict(convs=(1, 1, 2, 2, 2), **PLAIN),  # A
    "VGG11LRN": dict(convs=(1, 1, 2, 2, 2), **{**PLAIN, "lrn": True}),  # A-LRN
    "VGG13": dict(convs=(2, 2, 2, 2, 2), **PLAIN),  # B
    "VGG16C": dict(convs=(2, 2, 3, 3, 3), **{**PLAIN, "last_kernel": 1}),  # C
    "VGG16": dict(convs=(2, 2, 3, 3, 3), **PLAIN),  # D
    "VGG19": dict(convs=(2, 2, 4, 4, 4), **PLAIN),  # E
    "VGG11BN": dict(convs=(1, 1, 2, 2, 2), **NORMALIZED),
    "VGG13BN": dict(convs=(2, 2, 2, 2, 2), **NORMALIZED),
    "VGG16BN": dict(convs=(2, 2, 3, 3, 3), **NORMALIZED),
    "VGG19BN": dict(convs=(2, 2, 4, 4, 4), **NORMALIZED),
}

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: int, *, batch_norm: bool, **settings: Any) -> Any:
    """Convolution, ReLU; with batch norm between them, the last of the three takes the name."""
    if not batch_norm:
        return layers.Conv2D(filters, kernel, padding="same", activation="relu", **settings)(x)
    return conv_bn_relu(x, filters, kernel, epsilon=1e-5, use_bias=True, **settings)


def floor_max_pool(x: Any, pool_size: int, strides: int, name: str) -> Any:
    """Max pooling that leaves out what does not fill a window."""
    return layers.MaxPooling2D(pool_size, strides, name=name)(x)


POOLINGS = {"floor": floor_max_pool, **MAX_POOLINGS}


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(
    x: Any,
    *,
    convs: tuple[int, ...],
    last_kernel: int,
    lrn: bool,
    batch_norm: bool,
    pools: tuple[tuple[int, int], ...],
    pool: str,
    dilations: tuple[int, ...],
) -> Any:
    """conv1_1 to pool5: `(n, 224, 224, 3) -> (n, 7, 7, 512)`.

    `last_kernel` is of the third convolution of a stage, `pools` are (window, stride), and `dilations` of a stage's
    convolutions. `pool` says what happens at the edge: "floor", or "ceil" and "padded" as in `MAX_POOLINGS`.
    """
    if pool not in POOLINGS:
        raise KerasVisionError(f"pool={pool!r}; accepted: {', '.join(POOLINGS)}.")
    for stage, (count, filters) in enumerate(zip(convs, WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            kernel = last_kernel if number == 3 else 3
            name, holes = f"conv{stage}_{number}", dilations[stage - 1]
            x = conv(x, filters, kernel, batch_norm=batch_norm, dilation_rate=holes, name=name)
        if lrn and stage == 1:
            x = LocalResponseNormalization(name="norm1")(x)
        x = POOLINGS[pool](x, *pools[stage - 1], name=f"pool{stage}")
    return x


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """fc6 to fc8: `(n, 7, 7, 512) -> (n, classes)`."""
    return fc6_to_fc8(x, classes, activation)


# ------------------------------------------------------------------------------------------------ weights


def torch_modules(*, convs: tuple[int, ...], batch_norm: bool, **settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer: it numbers convolution, batch norm, ReLU and pooling in one row."""
    position = 0
    for stage, count in enumerate(convs, 1):
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            yield f"features.{position}", f"{name}_conv" if batch_norm else name
            if batch_norm:
                yield f"features.{position + 1}", f"{name}_bn"
            position += 3 if batch_norm else 2
        position += 1
    yield from zip(("classifier.0", "classifier.3", "classifier.6"), ("fc6", "fc7", "fc8"), strict=True)


def timm_modules() -> Iterator[tuple[str, str]]:
    """Modules of timm and of Cadene that torchvision calls otherwise."""
    yield from zip(("pre_logits.fc1", "pre_logits.fc2", "head.fc"), ("fc6", "fc7", "fc8"), strict=True)
    yield from zip(("linear0", "linear1", "last_linear"), ("fc6", "fc7", "fc8"), strict=True)


def keras_layers(convs: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Keras Applications' name of each layer."""
    for stage, count in enumerate(convs, 1):
        yield from ((f"block{stage}_conv{n}", f"conv{stage}_{n}") for n in range(1, count + 1))
    yield from zip(("fc1", "fc2", "predictions"), ("fc6", "fc7", "fc8"), strict=True)


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Keras Applications, torchvision, timm and Cadene to the paper's, which Caffe's files have already."""
    names = dict(torch_modules(**settings)) | dict(timm_modules()) | dict(keras_layers(settings["convs"]))
    converted = from_channels_first(arrays, names, flattened={"fc6": WIDTHS[-1]})
    convolutions = [
        key for key in ("fc6/kernel", "fc7/kernel") if key in converted and converted[key].ndim == 4
    ]  # timm
    return converted | {key: converted[key].reshape(-1, converted[key].shape[-1]) for key in convolutions}


def authors_file(folder: str, md5: str, part: str = "") -> WeightsFile:
    """The paper's own weights, as Keras Applications stores them."""
    source = "ImageNet, by the authors, in the file of Keras Applications"
    return keras_file(folder, md5, CAFFE, part=part, source=source, licence="CC BY 4.0 (authors); ImageNet terms")


WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "VGG16": (
        authors_file("vgg16", "64373286793e3c8b2b4e3219cbf3544b"),
        authors_file("vgg16", "6d6bbae143d832006294945121d1f1fc", part="_notop"),
        torchvision_file("torchvision", "vgg16-397923af.pth"),
    ),
    "VGG19": (
        authors_file("vgg19", "cbe5617147190e668d6c5d5026f83318"),
        authors_file("vgg19", "253f8cb515780f3b799900260a226db6", part="_notop"),
        torchvision_file("torchvision", "vgg19-dcbb9e9d.pth"),
    ),
    "VGG11BN": (torchvision_file("imagenet", "vgg11_bn-6002323d.pth"),),
    "VGG13BN": (torchvision_file("imagenet", "vgg13_bn-abd245e5.pth"),),
    "VGG16BN": (torchvision_file("imagenet", "vgg16_bn-6c64b313.pth"),),
    "VGG19BN": (torchvision_file("imagenet", "vgg19_bn-c79401a0.pth"),),
}

FAMILY = Family(
    name="vgg",
    paper=Paper(
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        authors="Simonyan, Zisserman",
        year=2014,
        arxiv="1409.1556",
    ),
    table_in_paper="Table 1",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("fc",),
    classifiers=("fc8",),
    preprocessing=CAFFE,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "the rows with batch norm are torchvision's, which keep the convolutions' biases",
        "all layers start from Glorot's initialisation, in place of net A's weights (section 3.1)",
    ),
)

VGG11 = FAMILY.constructor("VGG11")
VGG11LRN = FAMILY.constructor("VGG11LRN")
VGG13 = FAMILY.constructor("VGG13")
VGG16C = FAMILY.constructor("VGG16C")
VGG16 = FAMILY.constructor("VGG16")
VGG19 = FAMILY.constructor("VGG19")
VGG11BN = FAMILY.constructor("VGG11BN")
VGG13BN = FAMILY.constructor("VGG13BN")
VGG16BN = FAMILY.constructor("VGG16BN")
VGG19BN = FAMILY.constructor("VGG19BN")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
