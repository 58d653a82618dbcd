"""Inception-v3 (Szegedy et al., 2015), Figures 5–7 and section 9, in the layout of the public weights.

Deviations: the released network, whose layout this is, differs from the paper's Table 1 (its
stem has a 1x1 and five 3x3 convolutions, and the modules have widths of their own). `gamma=True` gives batch norm a
scale, as in torchvision's file; Keras' files have none. `count_padding=True` divides average pools by nine at the edge
too, as torchvision does. torchvision turns its own normalisation into this one inside the network; here the images come
so already. `auxiliary` adds a second output, whose loss torchvision weighs with 0.4.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family, layer_output
from keras_vision.applications._public_files import TF, keras_file, name_numbered_layers, torchvision_file
from keras_vision.errors import KerasVisionError
from keras_vision.layers import average_classifier, average_pool, conv_bn_relu, conv_names, inception
from keras_vision.layers.inception import Branch
from keras_vision.registry import Paper
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table


def _grid35(pool: int) -> list[Branch]:
    """Figure 5: 35 x 35."""
    return [
        [("1x1", 64, 1)],
        [("5x5_1", 48, 1), ("5x5_2", 64, 5)],
        [("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3)],
        [("avg", "average"), ("pool", pool, 1)],
    ]


def _grid17(c: int) -> list[Branch]:
    """Figure 6 with n = 7: 17 x 17."""
    double = [("7x7dbl_2", c, (7, 1)), ("7x7dbl_3", c, (1, 7)), ("7x7dbl_4", c, (7, 1)), ("7x7dbl_5", 192, (1, 7))]
    return [
        [("1x1", 192, 1)],
        [("7x7_1", c, 1), ("7x7_2", c, (1, 7)), ("7x7_3", 192, (7, 1))],
        [("7x7dbl_1", c, 1), *double],
        [("avg", "average"), ("pool", 192, 1)],
    ]


def _grid8() -> list[Branch]:
    """Figure 7: 8 x 8, with the outputs of two branches expanded."""
    return [
        [("1x1", 320, 1)],
        [("3x3_1", 384, 1), ("3x3", [("3x3_2", 384, (1, 3)), ("3x3_3", 384, (3, 1))])],
        [
            ("3x3dbl_1", 448, 1),
            ("3x3dbl_2", 384, 3),
            ("3x3dbl", [("3x3dbl_3", 384, (1, 3)), ("3x3dbl_4", 384, (3, 1))]),
        ],
        [("avg", "average"), ("pool", 192, 1)],
    ]


MODULES: Mapping[str, list[Branch]] = {  # a convolution with a stride is "valid"
    "mixed0": _grid35(pool=32),
    "mixed1": _grid35(pool=64),
    "mixed2": _grid35(pool=64),
    "mixed3": [  # Figure 10
        [("3x3", 384, 3, 2)],
        [("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3, 2)],
        [("max", "maximum")],
    ],
    "mixed4": _grid17(128),
    "mixed5": _grid17(160),
    "mixed6": _grid17(160),
    "mixed7": _grid17(192),
    "mixed8": [
        [("3x3_1", 192, 1), ("3x3_2", 320, 3, 2)],
        [("7x7_1", 192, 1), ("7x7_2", 192, (1, 7)), ("7x7_3", 192, (7, 1)), ("7x7_4", 192, 3, 2)],
        [("max", "maximum")],
    ],
    "mixed9": _grid8(),
    "mixed10": _grid8(),
}

OPTIONS = dict(gamma=False, count_padding=False, auxiliary=None)

TABLE: Mapping[str, Mapping[str, Any]] = {  # Table 2: equal cost at three sizes of the receptive field
    "InceptionV3": dict(size=299, first_stride=2, first_pool=True, **OPTIONS),
    "InceptionV3_151": dict(size=151, first_stride=1, first_pool=True, **OPTIONS),
    "InceptionV3_79": dict(size=79, first_stride=1, first_pool=False, **OPTIONS),
}

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: Any, *strides: int, name: str, gamma: bool, padding: str = "same") -> Any:
    """Convolution without bias, batch norm, ReLU; one with strides is "valid"."""
    padding = "valid" if strides else padding
    return conv_bn_relu(
        x, filters, kernel, *strides, name=name, epsilon=1e-3, padding=padding, scale=gamma, momentum=0.99
    )


def reduction_pool(x: Any, name: str) -> Any:
    """Max pooling that halves the map (Figure 10)."""
    return layers.MaxPooling2D(3, 2, name=name)(x)


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, first_stride: int, first_pool: bool, gamma: bool, count_padding: bool, **settings: Any) -> Any:
    """conv1 to mixed10: `(n, 299, 299, 3) -> (n, 8, 8, 2048)`."""
    x = conv(x, 32, 3, first_stride, name="conv1", gamma=gamma)
    x = conv(x, 32, 3, name="conv2", gamma=gamma, padding="valid")
    x = conv(x, 64, 3, name="conv3", gamma=gamma)
    if first_pool:
        x = layers.MaxPooling2D(3, 2, name="pool3")(x)
    x = conv(x, 80, 1, name="conv4", gamma=gamma, padding="valid")
    x = conv(x, 192, 3, name="conv5", gamma=gamma, padding="valid")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    pools: dict[str, Any] = {"average": partial(average_pool, count_padding=count_padding), "maximum": reduction_pool}
    for name, branches in MODULES.items():
        x = inception(x, branches, name, partial(conv, gamma=gamma), pools)
    return x


def auxiliary_head(x: Any, classes: int, activation: str | None, kind: str, gamma: bool) -> Any:
    """Side classifier on mixed7 (Figure 8): `(n, 17, 17, 768) -> (n, classes)`.

    `kind` says how its 768-wide layer is regularised (section 4): "batch_norm" (the paper's BN-auxiliary) or "dropout".
    """
    if kind not in ("batch_norm", "dropout"):
        raise KerasVisionError(f"auxiliary={kind!r}; accepted: None, 'batch_norm', 'dropout'.")
    x = layers.AveragePooling2D(5, 3, name="aux_pool")(x)
    x = conv(x, 128, 1, name="aux_1x1", gamma=gamma)
    if kind == "batch_norm":
        x = conv(x, 768, 5, name="aux_5x5", gamma=gamma, padding="valid")
    else:
        x = layers.Conv2D(768, 5, activation="relu", name="aux_5x5")(x)
        x = layers.Dropout(0.7, name="aux_drop")(x)
    return average_classifier(x, classes, activation, pool="aux_avg_pool", name="aux_predictions")


def head(x: Any, classes: int, activation: str | None, *, auxiliary: str | None, gamma: bool, **settings: Any) -> Any:
    """Global average and classifier: `(n, 8, 8, 2048) -> (n, classes)`; with `auxiliary`, a list of both outputs."""
    mixed7 = None if auxiliary is None else layer_output(x, "mixed7")
    x = average_classifier(x, classes, activation, name="predictions")
    return x if auxiliary is None else [x, auxiliary_head(mixed7, classes, activation, auxiliary, gamma)]


# ------------------------------------------------------------------------------------------------ weights


def layer_names() -> Iterator[str]:
    """All convolutions of the trunk in the order of the table."""
    yield from (f"conv{number}" for number in range(1, 6))
    for module, branches in MODULES.items():
        yield from (f"{module}_{part}" for part in conv_names(branches))


TORCH_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
TORCH_MIXED = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
TORCH_GRID8 = {"3x3_2": "3x3_2a", "3x3_3": "3x3_2b", "3x3dbl_3": "3x3dbl_3a", "3x3dbl_4": "3x3dbl_3b"}
TORCH_BRANCHES = {  # where torchvision calls them differently
    "mixed8": {f"7x7_{number}": f"7x7x3_{number}" for number in range(1, 5)},
    "mixed9": TORCH_GRID8,
    "mixed10": TORCH_GRID8,
}


def torch_convs() -> Iterator[tuple[str, str]]:
    """torchvision's module of each convolution."""
    yield from ((module, f"conv{number}") for number, module in enumerate(TORCH_STEM, 1))
    for place, (module, branches) in zip(TORCH_MIXED, MODULES.items(), strict=True):
        other = {"pool": "_pool", **TORCH_BRANCHES.get(module, {})}
        for part in conv_names(branches):
            yield f"Mixed_{place}.branch{other.get(part, part)}", f"{module}_{part}"
    yield from (("AuxLogits.conv0", "aux_1x1"), ("AuxLogits.conv1", "aux_5x5"))


def torch_modules(**settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer."""
    for module, own in torch_convs():
        yield from ((f"{module}.conv", f"{own}_conv"), (f"{module}.bn", f"{own}_bn"))
    yield from (("AuxLogits.fc", "aux_predictions"), ("fc", "predictions"))


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Keras Applications' names (conv2d_17, counted in the order of creation) and torchvision's to this table's."""
    ours = list(layer_names())
    kinds = {"conv2d": [f"{own}_conv" for own in ours], "batch_normalization": [f"{own}_bn" for own in ours]}
    return name_numbered_layers(from_channels_first(arrays, dict(torch_modules())), kinds)


TF_299 = TF.for_input(299, 299, 3)

WEIGHTS = {
    "InceptionV3": (
        keras_file("inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564", TF_299),
        keras_file("inception_v3", "bcbd6486424b2319ff4ef7d526e38f63", TF_299, part="_notop"),
        torchvision_file("torchvision", "inception_v3_google-1a9a5a14.pth", TF_299, gamma=True, count_padding=True),
    ),
}

FAMILY = Family(
    name="inception_v3",
    paper=Paper(
        title="Rethinking the Inception Architecture for Computer Vision",
        authors="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna",
        year=2015,
        arxiv="1512.00567",
    ),
    table_in_paper="Figures 5 to 8 and Table 2",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("predictions", "aux"),
    classifiers=("predictions", "aux_predictions"),
    preprocessing=TF_299,
    weights=WEIGHTS,
    convert=convert,
    deviations=(
        "layout of the released network, whose stem and module widths differ from the paper's Table 1",
        "batch norm without scale, as in Keras' files; gamma=True adds it, as in torchvision's",
    ),
)

InceptionV3 = FAMILY.constructor("InceptionV3")
InceptionV3_151 = FAMILY.constructor("InceptionV3_151")
InceptionV3_79 = FAMILY.constructor("InceptionV3_79")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
