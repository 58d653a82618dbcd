"""Residual Attention Network (Wang et al., 2017), Table 2: residual units, and modules that weigh what they compute.

An attention module computes a trunk T and, going down and up again, a mask M; its features are ``(1 + M) * T``, or
with `learning="naive"` ``M * T`` (section 3.1). `attention` is what makes a mask of the last convolution: a sigmoid
("mixed"), each cell divided by its norm over the channels ("channel"), or a sigmoid of what each channel is above its
mean, in deviations ("spatial") (section 3.2). The ImageNet rows are the released definitions, layer by layer.

Deviations: a mask is interpolated at the places of the cells it was pooled from; the released networks stretch it from
corner to corner. For CIFAR the paper prints depths and numbers of parameters: widths of 64, 128, 256 and 256, and masks
that go down twice, once and once, are a choice that comes within 9 % of them (1.9, 5.1 and 8.6 million for 92, 236 and
452 layers, from memory). He's initial weights are drawn uniformly, at the same variance.
"""

from collections.abc import Mapping
from typing import Any

from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TORCH
from keras_vision.applications.densenet import CIFAR
from keras_vision.errors import KerasVisionError
from keras_vision.layers import BilinearLike2D, average_classifier, bn_relu, ceil_max_pool, conv_bn_relu
from keras_vision.registry import Paper

EPSILON = 1e-5

# ------------------------------------------------------------------------------------------------- tables

IMAGENET_WIDTHS, CIFAR_WIDTHS = (256, 512, 1024, 2048), (64, 128, 256, 256)
MASKS, LEARNINGS = ("mixed", "channel", "spatial"), ("residual", "naive")
DEFAULTS = dict(attention="mixed", learning="residual")

TABLE: Mapping[str, Mapping[str, Any]] = {  # attention modules of each stage (Table 2)
    "ResidualAttention56": dict(modules=(1, 1, 1), downs=(3, 2, 1), **DEFAULTS),
    "ResidualAttention92": dict(modules=(1, 2, 3), downs=(3, 2, 1), **DEFAULTS),
}
CIFAR_TABLE: Mapping[str, Mapping[str, Any]] = {  # 36m + 20 layers with m modules in each stage (section 4.1)
    "ResidualAttention56CIFAR": dict(m=1, downs=(2, 1, 1), **DEFAULTS),
    "ResidualAttention92CIFAR": dict(m=2, downs=(2, 1, 1), **DEFAULTS),
    "ResidualAttention236CIFAR": dict(m=6, downs=(2, 1, 1), **DEFAULTS),
    "ResidualAttention452CIFAR": dict(m=12, downs=(2, 1, 1), **DEFAULTS),
}

# ------------------------------------------------------------------------------------------------- blocks


def conv(x: Any, filters: int, kernel: int, stride: int = 1, *, name: str) -> Any:
    """Convolution without bias, padded alike on both sides."""
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(
        filters, kernel, stride, padding, use_bias=False, kernel_initializer="he_uniform", name=f"{name}_conv"
    )(x)  # fmt: skip


def unit(x: Any, filters: int, stride: int = 1, *, name: str) -> Any:
    """Bottleneck with norms and ReLUs before its convolutions: `(n, h, w, c) -> (n, h/stride, w/stride, filters)`."""
    y = bn_relu(x, name=f"{name}_1_relu", epsilon=EPSILON)
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = conv(y, filters, 1, stride, name=f"{name}_shortcut")
    y = conv(y, filters // 4, 1, name=f"{name}_1")
    y = bn_relu(y, name=f"{name}_2_relu", epsilon=EPSILON)
    y = conv(y, filters // 4, 3, stride, name=f"{name}_2")
    y = bn_relu(y, name=f"{name}_3_relu", epsilon=EPSILON)
    y = conv(y, filters, 1, name=f"{name}_3")
    return layers.Add(name=name)([shortcut, y])  # shortcut first: Keras walks along the first inputs by recursion


def soft_mask(x: Any, downs: int, attention: str, *, name: str) -> Any:
    """Down `downs` times and up again (Figure 2, r = 1): `(n, h, w, c) -> (n, h, w, c)`."""
    fine, filters, skips = x, x.shape[-1], []
    for level in range(1, downs + 1):
        x = ceil_max_pool(x, 3, 2, name=f"{name}_pool{level}", negative=True)
        x = unit(x, filters, name=f"{name}_down{level}")
        skips.append(x)
    x = unit(x, filters, name=f"{name}_bottom")
    for level in range(downs - 1, 0, -1):
        skip = unit(skips[level - 1], filters, name=f"{name}_skip{level}")
        x = resized(x, skip, name=f"{name}_resize{level + 1}")
        x = layers.Add(name=f"{name}_sum{level}")([skip, x])
        x = unit(x, filters, name=f"{name}_up{level}")
    x = resized(x, fine, name=f"{name}_resize1")
    for number in (1, 2):
        x = bn_relu(x, name=f"{name}_{number}_relu", epsilon=EPSILON)
        x = conv(x, filters, 1, name=f"{name}_{number}")
    return activate(x, attention, name=name)


def resized(x: Any, like: Any, *, name: str) -> Any:
    """Bilinear interpolation at the cells of the map that `x` was pooled from, whose cell 2i + 1 has `x`'s cell i."""
    return BilinearLike2D(2, (1, 1), name=name)([x, like])


def activate(x: Any, attention: str, *, name: str) -> Any:
    """f1, f2 and f3 of section 3.2."""
    if attention == "channel":
        return layers.UnitNormalization(axis=-1, name=name)(x)
    if attention == "spatial":
        norm = dict(groups=-1, epsilon=EPSILON, center=False, scale=False)
        x = layers.GroupNormalization(**norm, name=f"{name}_bn")(x)
    return layers.Activation("sigmoid", name=name)(x)


def attention_module(x: Any, downs: int, attention: str, learning: str, *, name: str) -> Any:
    """Figure 2 with p = 1, t = 2: `(n, h, w, c) -> (n, h, w, c)`."""
    filters = x.shape[-1]
    x = unit(x, filters, name=f"{name}_first")
    mask = soft_mask(x, downs, attention, name=f"{name}_mask")
    trunk = unit(x, filters, name=f"{name}_trunk1")
    trunk = unit(trunk, filters, name=f"{name}_trunk2")
    x = layers.Multiply(name=f"{name}_product")([trunk, mask])
    if learning == "residual":
        x = layers.Add(name=f"{name}_attended")([trunk, x])
    return unit(x, filters, name=name)


# ---------------------------------------------------------------------------------------- trunks and head


def check(modules: Any, downs: Any, **choices: tuple[Any, tuple[str, ...]]) -> None:
    """Refuse what no row could have."""
    for name, (value, accepted) in choices.items():
        if value not in accepted:
            raise KerasVisionError(f"{name}={value!r}; accepted: {', '.join(map(repr, accepted))}.")
    for name, numbers in (("modules", modules), ("downs", downs)):
        whole = isinstance(numbers, tuple | list) and all(isinstance(n, int) and n > 0 for n in numbers)
        if not whole or len(numbers) != 3:
            raise KerasVisionError(f"{name}={numbers!r}; give 3 whole numbers, one for each stage, at least 1.")


def stages(
    x: Any, modules: tuple[int, ...], downs: tuple[int, ...], widths: tuple[int, ...], attention: str, learning: str
) -> Any:  # fmt: skip
    """unit1 to unit4_3: three stages with attention modules, and three units without, norm and ReLU."""
    for stage, (count, down) in enumerate(zip(modules, downs, strict=True), 1):
        x = unit(x, widths[stage - 1], 1 if stage == 1 else 2, name=f"unit{stage}")
        for number in range(1, count + 1):
            x = attention_module(x, down, attention, learning, name=f"attention{stage}_{number}")
    for number in (1, 2, 3):
        x = unit(x, widths[3], 2 if number == 1 else 1, name=f"unit4_{number}")
    return bn_relu(x, name="norm", epsilon=EPSILON)


def trunk(x: Any, *, modules: tuple[int, ...], downs: tuple[int, ...], attention: str, learning: str) -> Any:
    """conv1 to unit4_3: `(n, 224, 224, 3) -> (n, 7, 7, 2048)`."""
    check(modules, downs, attention=(attention, MASKS), learning=(learning, LEARNINGS))
    x = conv_bn_relu(x, 64, 7, 2, name="conv1", epsilon=EPSILON, padding="both", kernel_initializer="he_uniform")
    x = ceil_max_pool(x, 3, 2, name="pool1")
    return stages(x, modules, downs, IMAGENET_WIDTHS, attention, learning)


def cifar_trunk(x: Any, *, m: int, downs: tuple[int, ...], attention: str, learning: str) -> Any:
    """conv1 to unit4_3: `(n, 32, 32, 3) -> (n, 4, 4, 256)`."""
    if not isinstance(m, int) or m < 1:
        raise KerasVisionError(f"m={m!r}; a net of 36m + 20 layers has m attention modules in each stage, at least 1.")
    check((m,) * 3, downs, attention=(attention, MASKS), learning=(learning, LEARNINGS))
    x = conv_bn_relu(x, 16, 3, name="conv1", epsilon=EPSILON, kernel_initializer="he_uniform")
    return stages(x, (m,) * 3, downs, CIFAR_WIDTHS, attention, learning)


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """Global average and classifier: `(n, h, w, c) -> (n, classes)`."""
    return average_classifier(x, classes, activation, name="fc")


COMMON: Mapping[str, Any] = dict(
    name="residual_attention",
    paper=Paper(
        title="Residual Attention Network for Image Classification",
        authors="Wang, Jiang, Qian, Yang, Li, Zhang, Wang, Tang",
        year=2017,
        arxiv="1704.06904",
    ),
    head=head,
    classifiers=("fc",),
)
PLACES = "masks are interpolated at the places of the pooled cells, not from corner to corner"
FAMILY = Family(
    table_in_paper="Table 2", table=TABLE, trunk=trunk, preprocessing=TORCH, deviations=(PLACES,), **COMMON
)  # fmt: skip
CIFAR_FAMILY = Family(
    table_in_paper="section 4.1",
    table=CIFAR_TABLE,
    trunk=cifar_trunk,
    preprocessing=CIFAR,
    classes=10,
    deviations=(PLACES, "widths and the depth of the masks are a choice; the paper prints neither"),
    **COMMON,
)

ResidualAttention56 = FAMILY.constructor("ResidualAttention56")
ResidualAttention92 = FAMILY.constructor("ResidualAttention92")
ResidualAttention56CIFAR = CIFAR_FAMILY.constructor("ResidualAttention56CIFAR")
ResidualAttention92CIFAR = CIFAR_FAMILY.constructor("ResidualAttention92CIFAR")
ResidualAttention236CIFAR = CIFAR_FAMILY.constructor("ResidualAttention236CIFAR")
ResidualAttention452CIFAR = CIFAR_FAMILY.constructor("ResidualAttention452CIFAR")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
