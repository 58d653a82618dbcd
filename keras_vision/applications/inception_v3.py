"""Inception-v3 (Szegedy et al., 2015), Figures 5–7 and section 9, in the layout of the public weights.

Deviations: the released network, whose layout this is, differs from the paper's Table 1 (its
stem has a 1x1 and five 3x3 convolutions, and the modules have widths of their own). `gamma=True` gives batch norm a
scale, as in torchvision's files; Keras' files have none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from keras import layers

from keras_vision.applications._family import Family, layer_output
from keras_vision.applications._public_files import keras_file, name_numbered_layers
from keras_vision.errors import KerasVisionError
from keras_vision.registry import Paper
from keras_vision.runtime.preprocessing import Preprocessing

# ------------------------------------------------------------------------------------------------- table

Conv = tuple  # (filters, kernel) or (filters, kernel, stride); a stride makes the convolution "valid"
Branch = tuple[str, list]  # name and steps; a step is a Conv, "avg", "max", or a list of Convs side by side


def _grid35(pool: int) -> list[Branch]:
    """Figure 5: 35 x 35."""
    return [
        ("1x1", [(64, 1)]),
        ("5x5", [(48, 1), (64, 5)]),
        ("3x3dbl", [(64, 1), (96, 3), (96, 3)]),
        ("pool", ["avg", (pool, 1)]),
    ]


def _grid17(c: int) -> list[Branch]:
    """Figure 6 with n = 7: 17 x 17."""
    return [
        ("1x1", [(192, 1)]),
        ("7x7", [(c, 1), (c, (1, 7)), (192, (7, 1))]),
        ("7x7dbl", [(c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))]),
        ("pool", ["avg", (192, 1)]),
    ]


def _grid8() -> list[Branch]:
    """Figure 7: 8 x 8, with the outputs of two branches expanded."""
    return [
        ("1x1", [(320, 1)]),
        ("3x3", [(384, 1), [(384, (1, 3)), (384, (3, 1))]]),
        ("3x3dbl", [(448, 1), (384, 3), [(384, (1, 3)), (384, (3, 1))]]),
        ("pool", ["avg", (192, 1)]),
    ]


MODULES: Mapping[str, list[Branch]] = {
    "mixed0": _grid35(pool=32),
    "mixed1": _grid35(pool=64),
    "mixed2": _grid35(pool=64),
    "mixed3": [
        ("3x3", [(384, 3, 2)]),
        ("3x3dbl", [(64, 1), (96, 3), (96, 3, 2)]),
        ("pool", ["max"]),
    ],  # Figure 10
    "mixed4": _grid17(128),
    "mixed5": _grid17(160),
    "mixed6": _grid17(160),
    "mixed7": _grid17(192),
    "mixed8": [
        ("3x3", [(192, 1), (320, 3, 2)]),
        ("7x7", [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)]),
        ("pool", ["max"]),
    ],
    "mixed9": _grid8(),
    "mixed10": _grid8(),
}

OPTIONS = dict(gamma=False, auxiliary=None)

TABLE: Mapping[str, Mapping[str, Any]] = {  # Table 2: equal cost at three sizes of the receptive field
    "InceptionV3": dict(size=299, first_stride=2, first_pool=True, **OPTIONS),
    "InceptionV3_151": dict(size=151, first_stride=1, first_pool=True, **OPTIONS),
    "InceptionV3_79": dict(size=79, first_stride=1, first_pool=False, **OPTIONS),
}

# ------------------------------------------------------------------------------------------------ blocks


def conv(x: Any, filters: int, kernel: Any, stride: int = 1, *, name: str, gamma: bool, padding: str = "same") -> Any:
    """Convolution without bias, batch norm, ReLU; the last takes the name."""
    x = layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, scale=gamma, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=name)(x)


def conv_names(module: str, branches: list[Branch]) -> Iterator[tuple[str, Conv]]:
    """Each convolution of a module with its name, in the order of the table."""
    for branch, steps in branches:
        convs = [c for step in steps for c in (step if isinstance(step, list) else [step]) if isinstance(c, tuple)]
        for number, spec in enumerate(convs, 1):
            yield f"{module}_{branch}" + (f"_{number}" if len(convs) > 1 else ""), spec


def inception(x: Any, branches: list[Branch], name: str, gamma: bool) -> Any:
    """One module: branches side by side, concatenated along the channels."""
    names = iter(conv_names(name, branches))

    def step(x: Any, what: Any, branch: str) -> Any:
        if isinstance(what, list):
            parts = [step(x, part, branch) for part in what]
            return layers.Concatenate(name=f"{name}_{branch}")(parts)
        if what == "avg":
            return layers.AveragePooling2D(3, 1, "same", name=f"{name}_avg")(x)
        if what == "max":
            return layers.MaxPooling2D(3, 2, name=f"{name}_max")(x)
        own, (filters, kernel, *stride) = next(names)
        return conv(x, filters, kernel, *stride, name=own, gamma=gamma, padding="valid" if stride else "same")

    outputs = []
    for branch, steps in branches:
        y = x
        for what in steps:
            y = step(y, what, branch)
        outputs.append(y)
    return layers.Concatenate(name=name)(outputs)


# ----------------------------------------------------------------------------------------- trunk and head


def trunk(x: Any, *, first_stride: int, first_pool: bool, gamma: bool, **settings: Any) -> Any:
    """conv1 to mixed10: `(n, 299, 299, 3) -> (n, 8, 8, 2048)`."""
    x = conv(x, 32, 3, first_stride, name="conv1", gamma=gamma, padding="valid")
    x = conv(x, 32, 3, name="conv2", gamma=gamma, padding="valid")
    x = conv(x, 64, 3, name="conv3", gamma=gamma)
    if first_pool:
        x = layers.MaxPooling2D(3, 2, name="pool3")(x)
    x = conv(x, 80, 1, name="conv4", gamma=gamma, padding="valid")
    x = conv(x, 192, 3, name="conv5", gamma=gamma, padding="valid")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    for name, branches in MODULES.items():
        x = inception(x, branches, name, gamma)
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
    x = layers.GlobalAveragePooling2D(name="aux_avg_pool")(x)
    return layers.Dense(classes, activation=activation, dtype="float32", name="aux_predictions")(x)


def head(x: Any, classes: int, activation: str | None, *, auxiliary: str | None, gamma: bool, **settings: Any) -> Any:
    """Global average and classifier: `(n, 8, 8, 2048) -> (n, classes)`; with `auxiliary`, a list of both outputs."""
    mixed7 = None if auxiliary is None else layer_output(x, "mixed7")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(classes, activation=activation, dtype="float32", name="predictions")(x)
    return x if auxiliary is None else [x, auxiliary_head(mixed7, classes, activation, auxiliary, gamma)]


# ------------------------------------------------------------------------------------------------ weights


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Keras Applications' files (conv2d_17, counted in the order of creation) to this table's."""
    stem = [f"conv{number}" for number in range(1, 6)]
    ours = stem + [own for name, branches in MODULES.items() for own, _ in conv_names(name, branches)]
    kinds = {"conv2d": [f"{own}_conv" for own in ours], "batch_normalization": [f"{own}_bn" for own in ours]}
    return name_numbered_layers(arrays, kinds)


TF = Preprocessing(size=(299, 299), resize_shorter=342, mean=(127.5,) * 3, std=(127.5,) * 3)

WEIGHTS = {
    "InceptionV3": (
        keras_file("inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564", TF),
        keras_file("inception_v3", "bcbd6486424b2319ff4ef7d526e38f63", TF, part="_notop"),
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
    preprocessing=TF,
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
