"""PReLU-nets (He et al., 2015), Table 3, and the 14-layer network of the study before them, Table 1.

A, B and C are VGG's design on smaller maps, with a spatial pyramid before the classifier. Each convolution, fc6 and fc7
end in a PReLU; `activation` compares it with one whose slope all channels share and with ReLU. Kernels start from a
Gaussian of variance ``2 / ((1 + a^2) n)`` (Equation 15), where n counts a kernel's inputs or, with `fan="fan_out"`, its
outputs (Equation 14).

Deviations: the tables are from memory, where they were not in the abstract. The pyramid's windows are those of
`SpatialPyramidPooling2D`, not strides of whole cells, which at 14 x 14 differ for the level of 3 x 3. The 2x2
convolutions are padded in turn by a cell on all sides and not at all, which keeps their maps in the middle; the paper
does not say how. fc8 starts from a deviation of 0.01, of which the paper says nothing.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import TORCH
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D, rectified, rectifier_start
from keras_vision.registry import Paper

# ------------------------------------------------------------------------------------------------ tables

DEFAULTS = dict(activation="prelu", fan="fan_in")

TABLE: Mapping[str, Mapping[str, Any]] = {  # convolutions per stage and their filters (Table 3)
    "PReLUNetA": dict(convs=(5, 5, 5), widths=(256, 512, 512), pyramid=(7, 3, 2, 1), **DEFAULTS),
    "PReLUNetB": dict(convs=(6, 6, 6), widths=(256, 512, 512), pyramid=(7, 3, 2, 1), **DEFAULTS),
    "PReLUNetC": dict(convs=(6, 6, 6), widths=(384, 768, 896), pyramid=(7, 3, 2, 1), **DEFAULTS),
}
STUDY_TABLE: Mapping[str, Mapping[str, Any]] = {  # 2x2 convolutions (Table 1)
    "PReLUStudyNet14": dict(convs=(4, 6), widths=(128, 256), pyramid=(6, 3, 2, 1), **DEFAULTS),
}

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: int, strides: int = 1, *, name: str, padding: str, **kind: Any) -> Any:
    """Convolution and activation; the last takes the name."""
    x = layers.Conv2D(
        filters, kernel, strides, padding, kernel_initializer=rectifier_start(**kind), name=f"{name}_conv"
    )(x)
    return rectified(x, kind["kind"], name=name)


def check(stages: int, **columns: Any) -> None:
    """Refuse what no row could have."""
    for name, numbers in columns.items():
        whole = isinstance(numbers, tuple | list) and all(isinstance(n, int) and n > 0 for n in numbers)
        if not whole or len(numbers) != stages:
            raise KerasVisionError(f"{name}={numbers!r}; give {stages} whole numbers, one for each stage.")


# --------------------------------------------------------------------------------------- trunks and head


def trunk(
    x: Any, *, convs: tuple[int, ...], widths: tuple[int, ...], activation: str, fan: str, **settings: Any
) -> Any:
    """conv1 to conv4: `(n, 224, 224, 3) -> (n, 14, 14, 512)`, with a 2x2 pooling between the stages."""
    check(3, convs=convs, widths=widths)
    kind: dict[str, Any] = dict(kind=activation, fan=fan)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = conv(x, 96, 7, 2, name="conv1", padding="valid", **kind)
    for stage, (count, width) in enumerate(zip(convs, widths, strict=True), 2):
        x = layers.MaxPooling2D(2, 2, name=f"pool{stage - 1}")(x)
        for position in range(1, count + 1):
            x = conv(x, width, 3, name=f"conv{stage}_{position}", padding="same", **kind)
    return x


def study_trunk(
    x: Any, *, convs: tuple[int, ...], widths: tuple[int, ...], activation: str, fan: str, **settings: Any
) -> Any:
    """conv1 to conv3: `(n, 224, 224, 3) -> (n, 18, 18, 256)`."""
    check(2, convs=convs, widths=widths)
    kind: dict[str, Any] = dict(kind=activation, fan=fan)
    x = conv(x, 64, 7, 2, name="conv1", padding="valid", **kind)
    for stage, (count, width) in enumerate(zip(convs, widths, strict=True), 2):
        x = layers.MaxPooling2D(5 - stage, name=f"pool{stage - 1}")(x)  # 3x3, then 2x2
        for position in range(1, count + 1):
            name = f"conv{stage}_{position}"
            if position % 2:
                x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
            x = conv(x, width, 2, name=name, padding="valid", **kind)
    return x


def head(
    x: Any, classes: int, activation_of_fc8: str | None, *, pyramid: tuple[int, ...], activation: str, fan: str,
    **settings: Any,
) -> Any:  # fmt: skip
    """Spatial pyramid and fc6 to fc8: `(n, h, w, c) -> (n, classes)`, of maps of any size."""
    x = SpatialPyramidPooling2D(pyramid, name="spp")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, kernel_initializer=rectifier_start(activation, fan), name=f"{name}_dense")(x)
        x = rectified(x, activation, name=name)
        x = layers.Dropout(0.5, name=name.replace("fc", "drop"))(x)
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(classes, activation_of_fc8, kernel_initializer=small, dtype="float32", name="fc8")(x)


PAPER = Paper(
    title="Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
    authors="He, Zhang, Ren, Sun",
    year=2015,
    arxiv="1502.01852",
)
COMMON: Mapping[str, Any] = dict(
    name="prelu_net",
    paper=PAPER,
    head=head,
    head_layers=("fc",),
    classifiers=("fc8",),
    preprocessing=TORCH,
    open_size=True,
    deviations=(
        "the tables are from memory; pixels are normalised by channel, where the paper subtracts their mean",
        "the pyramid's windows cover the map evenly, where the paper's are strides of whole cells",
    ),
)
FAMILY = Family(table_in_paper="Table 3", table=TABLE, trunk=trunk, **COMMON)
STUDY_FAMILY = Family(table_in_paper="Table 1", table=STUDY_TABLE, trunk=study_trunk, **COMMON)

PReLUNetA = FAMILY.constructor("PReLUNetA")
PReLUNetB = FAMILY.constructor("PReLUNetB")
PReLUNetC = FAMILY.constructor("PReLUNetC")
PReLUStudyNet14 = STUDY_FAMILY.constructor("PReLUStudyNet14")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
