"""SENet (Hu et al., 2017), Table 1 and the appendix on SENet-154, as released: ResNet, ResNeXt and their 2017 entry.

Deviations: the layers that squeeze and excite have biases, as in the authors' files. SE-Inception is not here. A
squeeze takes the mean over the whole map, so `output_stride` and cropping change the gates a little. Keras compiles
grouped convolutions with XLA, anew at every call outside a graph: `predict` is faster than `model(x)`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TORCH, torchvision_file
from keras_vision.errors import KerasVisionError
from keras_vision.layers import ceil_max_pool, recalibrated_residual
from keras_vision.registry import Paper, WeightsFile
from keras_vision.weights import from_channels_first

Conv = tuple[int, int, int]  # filters, kernel, stride

# ------------------------------------------------------------------------------------------------- table

ONE = ((64, 7, 2),)
THREE = ((64, 3, 2), (64, 3, 1), (128, 3, 1))
SE = dict(reduction=16, placement="standard")

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

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: int, stride: int = 1, *, groups: int = 1, name: str, relu: bool = True) -> Any:
    """Convolution without bias, padded alike on both sides, batch norm, ReLU; the last takes the name."""
    if kernel > 1 and stride > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters, kernel, stride, "same" if stride == 1 else "valid",
        groups=groups, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv",
    )(x)  # fmt: skip
    x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=name)(x) if relu else x


def bottleneck(
    x: Any, widths: tuple[int, ...], stride: int, *, groups: int, stride_in: int, projection: int, name: str, **se: Any
) -> Any:
    """1x1, 3x3 in groups and 1x1 around a shortcut: `(n, h, w, c) -> (n, h/stride, w/stride, widths[-1])`."""

    def branch(y: Any) -> Any:
        for number, (filters, kernel) in enumerate(zip(widths, (1, 3, 1), strict=True), 1):
            y = conv(
                y, filters, kernel, stride if number == stride_in else 1,
                groups=groups if number == 2 else 1, name=f"{name}_{number}", relu=number < len(widths),
            )  # fmt: skip
        return y

    def shortcut(y: Any) -> Any:
        if stride == 1 and y.shape[-1] == widths[-1]:
            return y
        kernel = projection if stride > 1 else 1
        return conv(y, widths[-1], kernel, stride, name=f"{name}_shortcut", relu=False)

    return recalibrated_residual(x, branch, shortcut, name=name, **se)


def stem_names(stem: tuple[Conv, ...]) -> list[str]:
    """The first convolutions: conv1 alone, or conv1_1 to conv1_3."""
    return [f"conv1_{number}" if len(stem) > 1 else "conv1" for number in range(1, len(stem) + 1)]


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(
    x: Any, *, blocks: tuple[int, ...], stem: tuple[Conv, ...], widths: tuple[int, ...], dropout: float, **block: Any
) -> Any:
    """conv1 to conv5_x: `(n, 224, 224, 3) -> (n, 7, 7, 2048)`; the widths double from stage to stage."""
    check(blocks, widths, **block)
    for name, spec in zip(stem_names(stem), stem, strict=True):
        x = conv(x, *spec, name=name)
    x = ceil_max_pool(x, 3, 2, name="pool1")
    for stage, count in enumerate(blocks):
        wider = tuple(width << stage for width in widths)
        for position in range(1, count + 1):
            stride = 2 if stage and position == 1 else 1
            x = bottleneck(x, wider, stride, name=f"conv{stage + 2}_{position}", **block)
    return x


def check(blocks: Any, widths: Any, *, groups: int, stride_in: int, projection: int, **se: Any) -> None:
    """Refuse what no row could have."""
    counts = blocks if isinstance(blocks, tuple | list) else ()
    if len(counts) != 4 or any(not isinstance(count, int) or count < 1 for count in counts):
        raise KerasVisionError(f"blocks={blocks!r}; give four whole numbers of blocks, each at least 1.")
    if stride_in not in (1, 2) or projection not in (1, 3):
        raise KerasVisionError(
            f"stride_in={stride_in!r}, projection={projection!r}; accepted: the 1st or 2nd convolution; kernel 1 or 3."
        )
    if not isinstance(groups, int) or groups < 1 or len(widths) != 3 or any(width % groups for width in widths[:2]):
        raise KerasVisionError(f"widths={widths!r}; give three, the first two divisible by groups={groups!r}.")


def head(x: Any, classes: int, activation: str | None, *, dropout: float, **settings: Any) -> Any:
    """Global average, dropout and classifier: `(n, 7, 7, 2048) -> (n, classes)`."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="drop")(x)
    return layers.Dense(classes, activation=activation, dtype="float32", name="fc")(x)


# ------------------------------------------------------------------------------------------------ weights


def torch_modules(*, blocks: tuple[int, ...], stem: tuple[Conv, ...], **settings: Any) -> Iterator[tuple[str, str]]:
    """Module of each layer in Cadene's conversions of the authors' files, which timm calls "legacy"."""
    yield "last_linear", "fc"
    parts = [(f"layer0.{{}}{number}", name) for number, name in enumerate(stem_names(stem), 1)]
    for stage, count in enumerate(blocks, 1):
        for position in range(count):
            module, own = f"layer{stage}.{position}", f"conv{stage + 1}_{position + 1}"
            parts += [(f"{module}.{{}}{number}", f"{own}_{number}") for number in (1, 2, 3)]
            yield from ((f"{module}.se_module.{fc}", f"{own}_se_{fc}") for fc in ("fc1", "fc2"))
            yield f"{module}.downsample.0", f"{own}_shortcut_conv"
            yield f"{module}.downsample.1", f"{own}_shortcut_bn"
    for module, own in parts:
        yield from ((module.format(part), f"{own}_{part}") for part in ("conv", "bn"))


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Cadene's and timm's names to the paper's; their layers that squeeze and excite are 1x1 convolutions."""
    converted = from_channels_first(arrays, dict(torch_modules(**settings)))
    ours = {f"{name}/kernel" for _, name in torch_modules(**settings) if name.endswith(("_se_fc1", "_se_fc2"))}
    return {key: a.reshape(a.shape[-2:]) if key in ours else a for key, a in converted.items()}


def timm_file(release: str, file: str) -> WeightsFile:
    """A release of timm: the authors' Caffe weights in PyTorch, or timm's own where they published none."""
    return dataclasses.replace(
        torchvision_file("imagenet", file),
        url=f"https://github.com/rwightman/pytorch-image-models/releases/download/{release}/{file}",
        source="ImageNet, by the authors, converted by Remi Cadene, at timm",
        licence="Apache-2.0 (authors and timm); ImageNet terms",
    )


WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "SEResNet50": (timm_file("v0.1-cadene", "se_resnet50-ce0d4300.pth"),),
    "SEResNet101": (timm_file("v0.1-cadene", "se_resnet101-7e38fcc6.pth"),),
    "SEResNet152": (timm_file("v0.1-cadene", "se_resnet152-d17c99b7.pth"),),
    "SEResNeXt50": (timm_file("v0.1-weights", "legacy_se_resnext50_32x4d-f3651bad.pth"),),
    "SEResNeXt101": (timm_file("v0.1-weights", "legacy_se_resnext101_32x4d-37725eac.pth"),),
    "SENet154": (timm_file("v0.1-weights", "legacy_senet154-e9eb9fe6.pth"),),
}

FAMILY = Family(
    name="senet",
    paper=Paper(
        title="Squeeze-and-Excitation Networks",
        authors="Hu, Shen, Albanie, Sun, Wu",
        year=2017,
        arxiv="1709.01507",
    ),
    table_in_paper="Table 1; SENet-154 in the appendix",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("fc",),
    classifiers=("fc",),
    preprocessing=TORCH,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "the layers of squeeze and excitation have biases, as in the released weights",
        "RGB pixels scaled as in PyTorch, which the converted weights take; the authors' Caffe files take BGR",
    ),
)

SEResNet50 = FAMILY.constructor("SEResNet50")
SEResNet101 = FAMILY.constructor("SEResNet101")
SEResNet152 = FAMILY.constructor("SEResNet152")
SEResNeXt50 = FAMILY.constructor("SEResNeXt50")
SEResNeXt101 = FAMILY.constructor("SEResNeXt101")
SENet154 = FAMILY.constructor("SENet154")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
