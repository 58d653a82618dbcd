"""Holistically-nested edge detection (Xie & Tu, 2015), Figure 3 and the authors' release.

Each stage of a classifier has a side output: a 1x1 convolution to one channel, brought onto the image's pixels by
fixed bilinear interpolation. A 1x1 convolution over all of them fuses them. The default is the release's network:
VGG-16 up to conv5_3 with Caffe's pooling, and an image padded so widely (35 pixels for conv1_1) that no side output
begins or ends within it. On another trunk the padding is the least with which the cells of every tap reach beyond the
corners.

Deviations: learning rates of biases are those of their kernels, where the release's are twice as high. Layers of a
trunk with both a stride and padding "same" (Xception) are placed as on sizes that the stride divides.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

import keras
from keras import layers

from keras_vision import graph
from keras_vision.applications import create_model
from keras_vision.edges.padding import checked_padding, least_padding
from keras_vision.errors import KerasVisionError, WeightsError
from keras_vision.model import VisionModel, counts
from keras_vision.registry import Entry, ModelCard, Paper, find, register
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.upsampling import Placed, cropped, image_grid, placed, upsampled
from keras_vision.weights import from_channels_first, read, read_torch, resolve
from keras_vision.weights.loading import load
from keras_vision.weights.pretrained import adapt_first_kernel

Output = str | Collection[str]

# ------------------------------------------------------------------------------------------------- table

TRUNKS: dict[str, dict[str, Any]] = {"VGG16": dict(padding=34, pool="ceil")}  # as released; others by their graph
SIZE = (321, 481)  # of BSDS500, which a photograph is shown at where the network leaves it open
RELEASED = Preprocessing(SIZE, None, color="BGR", mean=(104.00698793, 116.66876762, 122.67891434))

PAPER = Paper(
    title="Holistically-Nested Edge Detection",
    authors="Xie, Tu",
    year=2015,
    arxiv="1504.06375",
)
DEVIATIONS = ("one learning rate for kernel and bias of a layer, where the release doubles the bias's",)

# ------------------------------------------------------------------------------------------------ blocks


def side_output(x: Placed, image: Placed, number: int) -> Any:
    """Logits of one stage on the image's pixels: `(n, h, w, c) -> (n, image h, image w, 1)`."""
    score = layers.Conv2D(1, 1, kernel_initializer="zeros", name=f"score_dsn{number}")(x.map)
    x = dataclasses.replace(x, map=score)
    if x.stride > 1:
        x = upsampled(x, image, name=f"upsample_dsn{number}", learned=False)
    return cropped(x, image, name=f"side{number}").map


def fused(sides: list[Any]) -> Any:
    """Logits of all side outputs, weighted: at first their mean."""
    x = layers.Concatenate(name="sides")(sides)
    mean = keras.initializers.Constant(1 / len(sides))
    return layers.Conv2D(1, 1, kernel_initializer=mean, name="fuse")(x)


# ----------------------------------------------------------------------------------------------- network


def HED(
    weights: str | os.PathLike | None = None,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    name: str | None = None,
    *,
    trunk: str = "VGG16",
    trunk_weights: str | os.PathLike | None = None,
    taps: Collection[str] | None = None,
    padding: int | tuple[int, int] | None = None,
    output: Output = "fuse",
    **settings: Any,
) -> VisionModel:
    """Edges of an image from all stages of a classifier: `(n, h, w, 3) -> (n, h, w, 1)`.

    Args:
        weights: None, or the path of a file: the authors' `hed_pretrained_bsds.caffemodel`, the PyTorch
            re-implementation's `network-bsds500.pytorch`, or one of this package's.
        input_shape: (height, width, channels); height and width may be None.
        name: of the model.
        trunk: name of a classifier.
        trunk_weights: what its `weights` accepts; the classifier's own layers are left out of it.
        taps: feature maps with a side output, by name; by default the last of each stride, but for a pooling.
        padding: zeros around the image, in pixels: on each side, or (before, after); None for the release's 34 on
            VGG16, and on others the least with which the cells of every tap reach beyond any image's corners.
        output: what `with_output` takes.
        **settings: of the trunk.

    Raises:
        KerasVisionError: unknown trunk, taps or outputs, or a padding that leaves pixels without side outputs.
        WeightsError: the file does not fit.

    Source: Xie & Tu, 2015, Figure 3 and section 3.
    """
    if weights is not None and trunk_weights is not None:
        raise KerasVisionError("weights hold the trunk's, too; give weights or trunk_weights.")
    trunk = find(trunk).name
    settings = {**TRUNKS.get(trunk, {}), **settings}
    pixels = settings.pop("padding", None) if padding is None else padding
    settings.pop("padding", None)
    plan = _plan(trunk, taps, _checked(input_shape)[2], settings)
    margin = least_padding(plan) if pixels is None else checked_padding(pixels, plan)
    image = keras.Input(input_shape, name="image")
    padded = layers.ZeroPadding2D((margin, margin), name="image_pad")(image)
    features = create_model(
        trunk, features_only=True, taps=list(plan.output), weights=trunk_weights, input_tensor=padded, **settings
    )
    grid = image_grid(features.input)
    sides = [side_output(placed(x), grid, number) for number, x in enumerate(features.output.values(), 1)]
    model = VisionModel(features.input, fused(sides), name=name or "hed")
    if weights is not None:
        _load(model, weights)
    spec = RELEASED if trunk == "VGG16" and trunk_weights is None else features.card.preprocessing
    return with_output(model.with_card(_card(model, spec, weights, features.card)), output)


def with_output(model: keras.Model, output: Output = "fuse") -> VisionModel:
    """The network with other outputs over the same layers, so that training one form trains all.

    Args:
        model: made by `HED`, or read from its file.
        output: "fuse", or the name of a side output, "side1" and so on: its probability `(n, h, w, 1)`. Several names:
            the mean of their probabilities; the release's two are "average", of all, and of sides 2 to 4 and "fuse".
            "all": logits by name, for training.

    Raises:
        KerasVisionError: no such output, or no such network.
    """
    found = {x.name: graph.call_of(x)[1] for x in model.layers if re.fullmatch(r"side\d+|fuse", x.name)}
    if "fuse" not in found or not isinstance(model, VisionModel):
        raise KerasVisionError(f"{model.name} has no fused side outputs: give a network made by HED, of this output.")
    logits = {name: found[name] for name in sorted(found, key=lambda name: (name == "fuse", len(name), name))}
    names = [output] if isinstance(output, str) else list(output)
    names = list(logits) if output in ("all", "average") else names
    if not names or not set(names) <= set(logits):
        raise KerasVisionError(
            f"output={output!r}; accepted: 'all', 'average', {', '.join(map(repr, logits))}, or several of the names."
        )
    outputs = logits if output == "all" else _probability([logits[x] for x in names], names)
    changed = VisionModel(model.input, outputs, name=model.name)
    kind = "logit" if output == "all" else "probability"
    return changed.with_card(dataclasses.replace(model.card, output=kind, **counts(changed)))


def _probability(logits: list[Any], names: list[str]) -> Any:
    maps = [
        layers.Activation("sigmoid", dtype="float32", name=f"{name}_probability")(x)
        for x, name in zip(logits, names, strict=True)
    ]
    return layers.Average(dtype="float32", name="probability")(maps) if len(maps) > 1 else maps[0]


def _checked(shape: Any) -> tuple[int | None, int | None, int]:
    if not isinstance(shape, tuple | list) or len(shape) != 3 or not isinstance(shape[2], int):
        raise KerasVisionError(f"input_shape={shape}; give (height, width, channels), channels last.")
    return shape[0], shape[1], shape[2]


def _plan(trunk: str, names: Collection[str] | None, channels: int, settings: dict[str, Any]) -> VisionModel:
    """The trunk for an open size, random, with the taps as outputs by name."""
    model = create_model(
        trunk, features_only=True, taps=names, weights=None, input_shape=(None, None, channels), **settings
    )
    if names is not None:
        return model
    pools = (layers.MaxPooling2D, layers.AveragePooling2D)
    kept = {tap: x for tap, x in model.output.items() if not isinstance(x._keras_history.operation, pools)}
    return VisionModel(model.input, kept, name=model.name)


# ------------------------------------------------------------------------------------------------ weights


def release_layers() -> Iterator[tuple[str, str]]:
    """Names of the authors' layers and of the PyTorch re-implementation's modules, and this package's."""
    yield from (("new-score-weighting", "fuse"), ("netCombine.0", "fuse"), ("moduleCombine.0", "fuse"))
    words, convs = ("One", "Two", "Thr", "Fou", "Fiv"), (2, 2, 3, 3, 3)
    for number, (word, count) in enumerate(zip(words, convs, strict=True), 1):
        yield f"score-dsn{number}", f"score_dsn{number}"
        yield f"upsample_{2 ** (number - 1)}", f"upsample_dsn{number}"
        for prefix in ("net", "module"):  # the file's older names, and those that its reader gives them
            yield f"{prefix}Score{word}", f"score_dsn{number}"
            for conv in range(count):
                yield f"{prefix}Vgg{word}.{2 * conv + (number > 1)}", f"conv{number}_{conv + 1}"


def _load(model: VisionModel, weights: str | os.PathLike) -> None:
    path, _ = resolve(weights, ())
    arrays = from_channels_first(read(path, {".pytorch": read_torch}), dict(release_layers()))
    report = load(model, adapt_first_kernel(model, arrays), ("missing",), str(path))
    if lost := [name for name in report.missing if not name.startswith("upsample_dsn")]:  # fixed: few files hold them
        raise WeightsError(f"{path} does not fit {model.name}: {len(lost)} missing: {', '.join(lost[:5])}.")


def _card(model: VisionModel, spec: Preprocessing, weights: str | os.PathLike | None, trunk: ModelCard) -> ModelCard:
    height, width, channels = model.input.shape[1:]
    spec = dataclasses.replace(spec, size=SIZE, resize_shorter=None)
    return ModelCard(
        name="HED",
        family="hed",
        paper=PAPER,
        table="Figure 3",
        **counts(model),
        input_shape=(height, width, channels),
        output="logit",
        preprocessing=spec.for_input(height or SIZE[0], width or SIZE[1], channels),
        loaded=trunk.loaded if weights is None else os.path.basename(weights),
        deviations=DEVIATIONS + trunk.deviations,
        task="edges",
    )


register(Entry("HED", HED, (), ("score_dsn", "upsample_dsn", "fuse"), task="edges"))
