"""All-CNN (Springenberg et al., 2014), Tables 1 and 2: what replaces max pooling in three small networks.

A, B and C are the base networks. Strided: no pooling, the convolution before it has the stride. ConvPool: one more 3x3
convolution before each pooling. All: a 3x3 convolution with a stride of 2 in the place of each pooling.

Deviations: pixels are normalised by channel, where the paper's have their contrast normalised and are whitened. The
paper gives no initial weights: here He's. Counts are of the tables; the sizes that the paper prints are rounded, and
base network C's, 1.3 million, is not what its table gives (0.95).
"""

from collections.abc import Mapping
from typing import Any

from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications.densenet import CIFAR
from keras_vision.errors import KerasVisionError
from keras_vision.registry import Paper

# ------------------------------------------------------------------------------------------------- table

WIDTHS = (96, 192)  # of the convolutions before the first and the second pooling
DOWNSAMPLINGS = ("max", "strided", "conv_max", "conv")
A, B, C = (5,), (5, 1), (3, 3)  # kernels of the convolutions before each pooling (Table 1)
DROPOUT = (0.2, 0.5)  # of the image; after each pooling or what is in its place (section 3.1)

TABLE: Mapping[str, Mapping[str, Any]] = {
    "BaseCNNA": dict(kernels=A, downsampling="max", dropout=DROPOUT),  # Table 1
    "BaseCNNB": dict(kernels=B, downsampling="max", dropout=DROPOUT),
    "BaseCNNC": dict(kernels=C, downsampling="max", dropout=DROPOUT),
    "StridedCNNA": dict(kernels=A, downsampling="strided", dropout=DROPOUT),  # Table 2
    "StridedCNNB": dict(kernels=B, downsampling="strided", dropout=DROPOUT),
    "StridedCNNC": dict(kernels=C, downsampling="strided", dropout=DROPOUT),
    "ConvPoolCNNA": dict(kernels=A, downsampling="conv_max", dropout=DROPOUT),
    "ConvPoolCNNB": dict(kernels=B, downsampling="conv_max", dropout=DROPOUT),
    "ConvPoolCNNC": dict(kernels=C, downsampling="conv_max", dropout=DROPOUT),
    "AllCNNA": dict(kernels=A, downsampling="conv", dropout=DROPOUT),
    "AllCNNB": dict(kernels=B, downsampling="conv", dropout=DROPOUT),
    "AllCNNC": dict(kernels=C, downsampling="conv", dropout=DROPOUT),
}

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: int, stride: int = 1, *, name: str, padding: str = "same") -> Any:
    """Convolution and ReLU: `(n, h, w, c) -> (n, h / stride, w / stride, filters)`."""
    return layers.Conv2D(
        filters, kernel, stride, padding, activation="relu", kernel_initializer="he_uniform", name=name
    )(x)  # fmt: skip


def stage(x: Any, width: int, kernels: tuple[int, ...], downsampling: str, *, name: str) -> Any:
    """Convolutions `conv{name}_1` and so on, then `pool{name}`: `(n, h, w, c) -> (n, h/2, w/2, width)`.

    In a strided network the last convolution has the stride, and there is no layer `pool{name}`.
    """
    more = (3,) if downsampling == "conv_max" else ()
    for position, kernel in enumerate(kernels + more, 1):
        stride = 2 if downsampling == "strided" and position == len(kernels) else 1
        x = conv(x, width, kernel, stride, name=f"conv{name}_{position}")
    if downsampling == "conv":
        return conv(x, width, 3, 2, name=f"pool{name}")
    return x if downsampling == "strided" else layers.MaxPooling2D(3, 2, "same", name=f"pool{name}")(x)


# ----------------------------------------------------------------------------------------- trunk and head


def check(kernels: Any, downsampling: Any, dropout: Any) -> None:
    """Refuse what no row could have."""
    if downsampling not in DOWNSAMPLINGS:
        raise KerasVisionError(f"downsampling={downsampling!r}; accepted: {', '.join(map(repr, DOWNSAMPLINGS))}.")
    sizes = kernels if isinstance(kernels, tuple | list) else ()
    if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise KerasVisionError(f"kernels={kernels!r}; give the sizes of kernels before a pooling, such as (3, 3).")
    rates = dropout if isinstance(dropout, tuple | list) else ()
    if len(rates) != 2 or any(not isinstance(rate, int | float) or not 0 <= rate < 1 for rate in rates):
        raise KerasVisionError(f"dropout={dropout!r}; give two rates, of image and maps, from 0 to below 1.")


def trunk(x: Any, *, kernels: tuple[int, ...], downsampling: str, dropout: tuple[float, float]) -> Any:
    """conv1_1 to conv3_2: `(n, 32, 32, 3) -> (n, 6, 6, 192)`."""
    check(kernels, downsampling, dropout)
    x = layers.Dropout(dropout[0], name="drop0")(x)
    for number, width in enumerate(WIDTHS, 1):
        x = stage(x, width, tuple(kernels), downsampling, name=str(number))
        x = layers.Dropout(dropout[1], name=f"drop{number}")(x)
    x = conv(x, WIDTHS[-1], 3, name="conv3_1", padding="valid")
    return conv(x, WIDTHS[-1], 1, name="conv3_2")


def head(x: Any, classes: int, activation: str | None, **settings: Any) -> Any:
    """1x1 convolution conv3_3 with ReLU, and global average: `(n, h, w, 192) -> (n, classes)`."""
    x = conv(x, classes, 1, name="conv3_3")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Activation(activation, dtype="float32", name="predictions")(x)


FAMILY = Family(
    name="all_cnn",
    paper=Paper(
        title="Striving for Simplicity: The All Convolutional Net",
        authors="Springenberg, Dosovitskiy, Brox, Riedmiller",
        year=2014,
        arxiv="1412.6806",
    ),
    table_in_paper="Tables 1 and 2",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("conv3_3",),
    preprocessing=CIFAR,
    classes=10,
    deviations=("pixels are normalised by channel; the paper normalises contrast and whitens",),
)

BaseCNNA = FAMILY.constructor("BaseCNNA")
BaseCNNB = FAMILY.constructor("BaseCNNB")
BaseCNNC = FAMILY.constructor("BaseCNNC")
StridedCNNA = FAMILY.constructor("StridedCNNA")
StridedCNNB = FAMILY.constructor("StridedCNNB")
StridedCNNC = FAMILY.constructor("StridedCNNC")
ConvPoolCNNA = FAMILY.constructor("ConvPoolCNNA")
ConvPoolCNNB = FAMILY.constructor("ConvPoolCNNB")
ConvPoolCNNC = FAMILY.constructor("ConvPoolCNNC")
AllCNNA = FAMILY.constructor("AllCNNA")
AllCNNB = FAMILY.constructor("AllCNNB")
AllCNNC = FAMILY.constructor("AllCNNC")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
