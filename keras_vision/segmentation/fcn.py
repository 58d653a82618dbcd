"""Fully convolutional networks (Long et al., 2015), sections 3 and 4, and the authors' released definitions.

A classifier becomes convolutional, a 1x1 convolution scores each cell, and transposed convolutions that start as
bilinear interpolation bring the scores to the size of the image, on the way adding the scores of finer maps.

Two geometries: "crop" is the release's, which pads the image by 100 pixels, leaves fc6 unpadded and crops what comes
out; its weights load. "same" pads only what unpadded convolutions need, has one score for every `stride` pixels begun,
and keeps the scores' values up to the image's edge.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from keras import initializers, layers

from keras_vision import applications
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel
from keras_vision.registry import Paper
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.segmentation._backbone import Arrays, Backbone, load_fully_connected, tap_of, widest_taps
from keras_vision.segmentation._family import Family, Heads
from keras_vision.upsampling import Placed, aligned, cropped, edged, image_grid, interpolated, placed, upsampled
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

COMMON = dict(skips=None, scales=None, geometry=None, fc=4096, dropout=0.5)
AT_ONCE = {16: 0.01, 8: 0.0001}  # by which the release multiplies pool4 and pool3, by stride

TABLE: Mapping[str, Mapping[str, Any]] = {
    "FCN32s": dict(backbone="VGG16", finest=32, **COMMON),
    "FCN16s": dict(backbone="VGG16", finest=16, **COMMON),
    "FCN8s": dict(backbone="VGG16", finest=8, **COMMON),
    "FCN8sAtOnce": dict(backbone="VGG16", finest=8, **{**COMMON, "scales": AT_ONCE}),
    "FCNCaffeNet": dict(backbone="CaffeNet", finest=32, **COMMON),
    "FCNGoogLeNet": dict(backbone="GoogLeNet", finest=32, **{**COMMON, "dropout": 0.4}),
}

VGGS = applications.vgg.TABLE
# The release scores the pooled maps of VGG; of other networks the widest map of a stride.
SKIPS = {row: {16: "pool4", 8: "pool3", 4: "pool2", 2: "pool1"} for row in VGGS}
# Before the first convolution in the release: enough for fc6 to find a cell under the smallest image. The release pads
# by 100, of which conv1_1 of VGG does 1 itself.
PADDING = dict.fromkeys(VGGS, 99) | dict.fromkeys(applications.alexnet.TABLE, 100)

# ------------------------------------------------------------------------------------------------ blocks


def fully_connected(x: Any, size: int | None, filters: int, dropout: float, padding: str) -> Any:
    """fc6 and fc7 as convolutions, of `size` x `size` and 1 x 1 cells; a classifier without them has the dropout alone.

    `(n, h, w, c) -> (n, h', w', filters)`, where h' is h for the padding "same" and h - size + 1 for "valid".
    """
    if size is None:
        return layers.Dropout(dropout, name="drop_fr")(x)
    x = layers.Conv2D(filters, size, padding=padding, activation="relu", name="fc6")(x)
    x = layers.Dropout(dropout, name="drop6")(x)
    x = layers.Conv2D(filters, 1, activation="relu", name="fc7")(x)
    return layers.Dropout(dropout, name="drop7")(x)


def score(x: Placed, classes: int, *, name: str) -> Placed:
    """One logit for each class and cell, at first 0: `(n, h, w, c) -> (n, h, w, classes)`."""
    conv = layers.Conv2D(classes, 1, kernel_initializer=initializers.Zeros(), name=name)
    return dataclasses.replace(x, map=conv(x.map))


def released_fusion(x: Placed, skip: Placed, *, upscore: str, crop: str) -> tuple[Placed, Placed]:
    """Both maps on the finer one's grid, where the map that begins earlier is cropped."""
    return aligned(upsampled(x, skip, name=upscore), skip, name=crop)


def same_size_fusion(x: Placed, skip: Placed, *, upscore: str, crop: str) -> tuple[Placed, Placed]:
    """Both maps on the finer one's grid and of its size."""
    up = upsampled(edged(x, name=f"{upscore}_pad"), skip, name=upscore)
    return cropped(up, skip, name=crop), skip


def released_scores(x: Placed, grid: Placed, *, upscore: str, name: str) -> Placed:
    """The logits of the image's pixels: a transposed convolution with fixed weights, cropped."""
    return cropped(upsampled(x, grid, name=upscore, learned=False), grid, name=name)


def same_size_scores(x: Placed, grid: Placed, *, upscore: str, name: str) -> Placed:
    """The logits of the image's pixels by bilinear interpolation."""
    return interpolated(x, grid, name=name)


FUSIONS = {"crop": (released_fusion, released_scores), "same": (same_size_fusion, same_size_scores)}


# ---------------------------------------------------------------------------------------- trunk and heads


def checked_geometry(geometry: str | None, backbone: Backbone) -> str:
    """The geometry, by default that of the release for the classifiers it has."""
    released = backbone.entry.name in PADDING
    if geometry not in (None, *FUSIONS) or (geometry == "crop" and not released):
        raise KerasVisionError(
            f"geometry={geometry!r} for {backbone.entry.name}; accepted: 'same', and 'crop' for {', '.join(PADDING)}."
        )
    return geometry or ("crop" if released else "same")


def trunk(image: Any, backbone: Backbone, geometry: str) -> VisionModel:
    """The backbone's trunk; VGG's poolings round up, as in Caffe, and those of the others are what they are."""
    settings = {"pool": "ceil"} if backbone.entry.name in VGGS else {}
    if geometry == "same":
        return backbone.padded_trunk(image, centred=True, **settings)
    padded = layers.ZeroPadding2D(PADDING[backbone.entry.name], name="image_pad")(image)
    return backbone.trunk(padded, **settings)


def skip_names(backbone: Backbone, built: VisionModel, finest: int, given: Collection[str] | None) -> list[str]:
    """Names of the maps that are scored besides the last."""
    if given is not None:
        return [given] if isinstance(given, str) else list(given)
    own = {stride: tap.name for stride, tap in widest_taps(built).items()} | SKIPS.get(backbone.entry.name, {})
    last = placed(built.output).stride
    return [name for stride, name in own.items() if finest <= stride < last]


def head(
    x: Placed, skips: Mapping[str, Placed], grid: Placed, classes: int, prefix: str, geometry: str
) -> Any:  # fmt: skip
    """Scores of all maps, summed from the coarsest to the finest, and brought to the image's size."""
    fuse, finish = FUSIONS[geometry]
    x, upscore = score(x, classes, name=f"{prefix}score_fr"), "upscore2" if skips else "upscore"
    for number, (name, skip) in enumerate(skips.items(), 1):
        scored = score(skip, classes, name=f"{prefix}score_{name}")
        a, b = fuse(x, scored, upscore=f"{prefix}{upscore}", crop=f"{prefix}score_{name}c")
        x = dataclasses.replace(a, map=layers.Add(name=f"{prefix}fuse_{name}")([a.map, b.map]))
        upscore = f"upscore{skip.stride}" if number == len(skips) else f"upscore_{name}"
    out = finish(x, grid, upscore=f"{prefix}{upscore}", name=f"{prefix}score")
    return layers.Activation("linear", dtype="float32", name=f"{prefix}logits")(out.map)


def network(
    image: Any,
    backbone: Backbone,
    heads: Heads,
    *,
    finest: int,
    skips: Collection[str] | None,
    scales: Mapping[int, float] | None,
    geometry: str | None,
    fc: int,
    dropout: float,
) -> dict[str, Any]:
    """Logits of each head, `(n, h, w, c) -> (n, h, w, classes)`; the columns of the table are its arguments.

    Args:
        image: symbolic batch of images.
        backbone: of the trunk.
        heads: number of classes by the name of each output.
        finest: smallest stride of the maps that are scored, in pixels.
        skips: names of the maps to score besides the last, in place of those of the strides down to `finest`.
        scales: factor of a map before it is scored, by its stride.
        geometry: "crop" or "same"; None is "crop" for VGG and AlexNet, and "same" for all others.
        fc: filters of fc6 and fc7, for a backbone that has them.
        dropout: after each of the two, or before the score.
    """
    geometry = checked_geometry(geometry, backbone)
    built = trunk(image, backbone, geometry)
    padding = "valid" if geometry == "crop" else "same"
    x = placed(fully_connected(built.output, backbone.fc6_size, fc, dropout, padding))
    maps = {name.replace("/", "_"): tap_of(built, name) for name in skip_names(backbone, built, finest, skips)}
    maps = dict(sorted(maps.items(), key=lambda item: -item[1].stride))
    for name, skip in maps.items():
        if scale := dict(scales or {}).get(skip.stride):
            maps[name] = dataclasses.replace(skip, map=layers.Rescaling(scale, name=f"scale_{name}")(skip.map))
    load_fully_connected(x.map, backbone)
    grid = image_grid(built.input)
    return {name: head(x, maps, grid, classes, f"{name}_" if name else "", geometry) for name, classes in heads.items()}


# ------------------------------------------------------------------------------------------------ weights


def convert(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Caffe's files and PyTorch's of the same layer names; fixed scales, which some files hold, are left out."""
    return {key: a for key, a in from_channels_first(arrays, {}).items() if not key.startswith("scale_")}


RELEASE = Preprocessing((500, 500), resize_shorter=None, color="BGR", mean=(104.00698793, 116.66876762, 122.67891434))

FAMILY = Family(
    name="fcn",
    paper=Paper(
        title="Fully Convolutional Networks for Semantic Segmentation",
        authors="Long, Shelhamer, Darrell",
        year=2015,
        arxiv="1411.4038",
    ),
    table_in_paper="Tables 1 and 2",
    table=TABLE,
    network=network,
    head_layers=("score", "upscore"),
    classifiers=("score", "upscore"),
    preprocessing=dict.fromkeys(("VGG16", "CaffeNet", "GoogLeNet"), RELEASE),
    convert=convert,
    deviations=(
        "FCNGoogLeNet has no public definition: it is GoogLeNet without its average pooling, scored and upsampled; "
        "Table 1 prints the receptive field with that pooling, 907 pixels, of which 715 are left",
        "geometry='same' is this package's: no padding of 100 pixels, and interpolation that holds at the edges",
    ),
)

FCN32s = FAMILY.constructor("FCN32s")
FCN16s = FAMILY.constructor("FCN16s")
FCN8s = FAMILY.constructor("FCN8s")
FCN8sAtOnce = FAMILY.constructor("FCN8sAtOnce")
FCNCaffeNet = FAMILY.constructor("FCNCaffeNet")
FCNGoogLeNet = FAMILY.constructor("FCNGoogLeNet")
