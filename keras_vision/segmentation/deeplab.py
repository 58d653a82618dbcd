"""DeepLab (Chen et al., 2015), section 3 and Table 2, and the authors' released definitions.

The last two poolings of VGG-16 keep their maps' size, conv5 and fc6 have holes in place of that, and fc6 is smaller.
Cell i of the scores lies at pixel 8 i: `labels[:, ::8, ::8]` are its targets, and bilinear interpolation gives the
pixels. As in the release, pool5 has no holes and sees neighbouring cells.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras import initializers, layers

from keras_vision import applications
from keras_vision.errors import KerasVisionError
from keras_vision.layers import DenseCRF
from keras_vision.model import VisionModel
from keras_vision.ops import Bilateral, Gaussian
from keras_vision.registry import Paper
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.segmentation._backbone import Arrays, Backbone, load_fully_connected, tap_of, widest_taps
from keras_vision.segmentation._family import Family, Heads
from keras_vision.upsampling import Placed, image_grid, interpolated, placed
from keras_vision.weights import from_channels_first

# ------------------------------------------------------------------------------------------------- table

COMMON = dict(backbone="VGG16", output_stride=8, dropout=0.5, msc=False, upsample=True, crf=False)

TABLE: Mapping[str, Mapping[str, Any]] = {  # Table 2
    #                          cells  filters  input stride
    "DeepLab7x7": dict(fc6=(7, 4096, 4), pool5a=False, **COMMON),
    "DeepLab": dict(fc6=(4, 4096, 4), pool5a=False, **COMMON),
    "DeepLab4x4": dict(fc6=(4, 4096, 8), pool5a=False, **COMMON),
    "DeepLabLargeFOV": dict(fc6=(3, 1024, 12), pool5a=True, **COMMON),
}

VGGS = applications.vgg.TABLE
BRANCHES = ("pool1", "pool2", "pool3", "pool4")  # of MSc, besides the image (section 4.2)

# Kernels of the CRF (section 5): w2 and theta_gamma are the paper's; w1, theta_alpha and theta_beta are where its
# search for the best on 100 images begins. Those of a trained network are to be searched anew.
W1, THETA_ALPHA, THETA_BETA, W2, THETA_GAMMA, ITERATIONS = 5.0, 50.0, 3.0, 3.0, 3.0, 10

# ------------------------------------------------------------------------------------------------ blocks


def average3x3(x: Any, name: str) -> Any:
    """Average over 3 x 3 cells, of which those outside the map count as 0, as in Caffe: `(n, h, w, c)` stays."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, 1, name=name)(x)


def fc6_and_fc7(x: Any, fc6: tuple[int, int, int] | None, dropout: float) -> Any:
    """fc6 with holes and fc7, with dropout after each: `(n, h, w, c) -> (n, h, w, filters)`."""
    if fc6 is None:
        return layers.Dropout(dropout, name="drop6")(x)
    size, filters, dilation = fc6
    x = layers.Conv2D(
        filters, size, padding="same", dilation_rate=dilation, activation="relu", name="fc6"
    )(x)  # fmt: skip
    x = layers.Dropout(dropout, name="drop6")(x)
    x = layers.Conv2D(filters, 1, activation="relu", name="fc7")(x)
    return layers.Dropout(dropout, name="drop7")(x)


def branch(x: Placed, output_stride: int, dropout: float, name: str) -> Placed:
    """MSc's features of an early map, 3x3 and 1x1 convolutions of 128 filters: `(n, h, w, c) -> (n, h', w', 128)`."""
    stride = output_stride // x.stride
    y = layers.ZeroPadding2D(1, name=f"msc_{name}_pad")(x.map)
    y = layers.Conv2D(128, 3, stride, activation="relu", name=f"msc_{name}_1")(y)
    y = layers.Dropout(dropout, name=f"msc_{name}_drop1")(y)
    y = layers.Conv2D(128, 1, activation="relu", name=f"msc_{name}_2")(y)
    return Placed(layers.Dropout(dropout, name=f"msc_{name}_drop2")(y), output_stride, x.start)


# ---------------------------------------------------------------------------------------- trunk and heads


def trunk(image: Any, backbone: Backbone, output_stride: int) -> VisionModel:
    """The backbone's trunk at the stride, its first cell at pixel 0; VGG's poolings see 3 x 3 cells, as released."""
    if backbone.entry.name not in VGGS:
        return backbone.padded_trunk(image, centred=False, output_stride=output_stride)
    strides = [2**stage for stage in range(1, 6)]
    if output_stride not in strides:
        raise KerasVisionError(f"output_stride={output_stride}; accepted: {', '.join(map(str, strides))}.")
    pools = tuple((3, 2 if stride <= output_stride else 1) for stride in strides)
    dilations = tuple(max(stride // 2 // output_stride, 1) for stride in strides)
    return backbone.trunk(image, pool="padded", pools=pools, dilations=dilations)


def branches(built: VisionModel, backbone: Backbone, output_stride: int, dropout: float) -> dict[str, Placed]:
    """MSc's features of the image and of maps on the way: VGG's first poolings, else the widest of each stride."""
    names: tuple[str, ...] = BRANCHES
    if backbone.entry.name not in VGGS:
        names = tuple(tap.name for stride, tap in widest_taps(built).items() if stride < output_stride)
    maps = {"image": image_grid(built.input)} | {name: tap_of(built, name) for name in names}
    return {name: branch(x, output_stride, dropout, name) for name, x in maps.items()}


def head(x: Placed, sides: Mapping[str, Placed], classes: int, prefix: str) -> Placed:
    """Scores of each cell: those of fc7 and of MSc's branches, summed; nearly equal at first, as in the release."""
    small = dict(kernel_initializer=initializers.RandomNormal(stddev=0.01))
    scores = [layers.Conv2D(classes, 1, name=f"{prefix}fc8", **small)(x.map)]
    for name, side in sides.items():
        scored = dataclasses.replace(side, map=layers.Conv2D(classes, 1, name=f"{prefix}fc8_{name}", **small)(side.map))
        if side.start != x.start:
            scored = interpolated(scored, x, name=f"{prefix}fc8_{name}_at_cells")
        scores.append(scored.map)
    total = layers.Add(name=f"{prefix}fc8_sum")(scores) if sides else scores[0]
    return dataclasses.replace(x, map=total)


def network(
    image: Any,
    backbone: Backbone,
    heads: Heads,
    *,
    fc6: tuple[int, int, int] | None,
    pool5a: bool,
    output_stride: int,
    dropout: float,
    msc: bool,
    upsample: bool,
    crf: bool,
) -> dict[str, Any]:
    """Logits of each head, `(n, h, w, c) -> (n, h, w, classes)`; the columns of the table are its arguments.

    Args:
        image: symbolic batch of images.
        backbone: of the trunk.
        heads: number of classes by the name of each output.
        fc6: its (cells, filters, dilation) on a classifier's last map, also if the classifier has none; None to score
            that map.
        pool5a: average over 3 x 3 cells before fc6.
        output_stride: distance between the cells, in pixels.
        dropout: after fc6 and fc7, and in MSc's branches.
        msc: whether early maps are scored, too.
        upsample: give pixels' logits; if not, cells' `(n, ceil(h / output_stride), ceil(w / output_stride), classes)`.
        crf: give marginals, probabilities, of the fully-connected CRF on the pixels' logits and the image.
    """
    if crf and not upsample:
        raise KerasVisionError("crf=True works on pixels: leave upsample=True.")
    built = trunk(image, backbone, output_stride)
    x = average3x3(built.output, name="pool5a") if pool5a else built.output
    cells = placed(fc6_and_fc7(x, fc6, dropout))
    load_fully_connected(cells.map, backbone)
    sides = branches(built, backbone, output_stride, dropout) if msc else {}
    outputs = {}
    for name, classes in heads.items():
        prefix = f"{name}_" if name else ""
        scores = head(cells, sides, classes, prefix)
        outputs[name] = finished(scores, built.input, prefix, upsample, crf_kernels(backbone) if crf else None)
    return outputs


def finished(scores: Placed, image: Any, prefix: str, upsample: bool, kernels: Any) -> Any:
    """The cells' logits, or the pixels', or their marginals under a CRF of these kernels."""
    if not upsample:
        return layers.Activation("linear", dtype="float32", name=f"{prefix}logits")(scores.map)
    logits = interpolated(scores, image_grid(image), name=f"{prefix}logits").map
    if kernels is None:
        return logits
    crf = DenseCRF(kernels, iterations=ITERATIONS, trainable=False, dtype="float32", name=f"{prefix}crf")
    return crf([logits, image])


def crf_kernels(backbone: Backbone) -> tuple[Bilateral, Gaussian]:
    """The kernels on the network's own input: theta_beta is in pixel values 0-255, which the normalisation divides."""
    beta = tuple(THETA_BETA / std for std in backbone.preprocessing.std)
    return Bilateral(W1, THETA_ALPHA, beta if len(set(beta)) > 1 else beta[0]), Gaussian(W2, THETA_GAMMA)


# ------------------------------------------------------------------------------------------------ weights


def convert(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Caffe's files; the release names the last layer after its data, "fc8_voc12"."""
    converted = from_channels_first(arrays, {})
    ours = {f"fc8_{name}" for name in ("image", *BRANCHES)}
    last = {key.partition("/")[0] for key in converted if key.startswith("fc8_")} - ours
    if len(last) > 1:
        return converted
    return {f"fc8/{k.partition('/')[2]}" if k.partition("/")[0] in last else k: a for k, a in converted.items()}


RELEASE = Preprocessing((513, 513), resize_shorter=None, color="BGR", mean=(104.008, 116.669, 122.675))

FAMILY = Family(
    name="deeplab",
    paper=Paper(
        title="Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
        authors="Chen, Papandreou, Kokkinos, Murphy, Yuille",
        year=2015,
        arxiv="1412.7062",
    ),
    table_in_paper="Tables 1 and 2",
    table=TABLE,
    network=network,
    head_layers=("fc", "msc_"),
    classifiers=("fc8",),
    preprocessing={"VGG16": RELEASE},
    convert=convert,
    deviations=(
        "which cells and filters of VGG's fc6 the smaller ones keep is this package's choice: the paper does not say",
        "w1, theta_alpha and theta_beta of crf=True are where the paper's search begins",
    ),
)

DeepLab = FAMILY.constructor("DeepLab")
DeepLab7x7 = FAMILY.constructor("DeepLab7x7")
DeepLab4x4 = FAMILY.constructor("DeepLab4x4")
DeepLabLargeFOV = FAMILY.constructor("DeepLabLargeFOV")
