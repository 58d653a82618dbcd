"""SPP-net (He et al., 2014), Table 1: four networks of the time whose last pooling is a spatial pyramid.

The pyramid makes a vector of one length of a map of any size, so that the classifier takes any image;
`pyramid=(4, 3, 2, 1)` is the smaller one of the paper, and `pyramid=None` the network it is compared to, with a pooling
to 6 x 6 in its place.

Sizes: ZF-5 and Convnet*-5 pool as Caffe does, whose last window may hang over (`ceil_mode`); the maps of Table 1, of 55
and 13 cells for 224 pixels, need that and a padding of one and of two pixels before conv1. Overfeat's pool rounds down,
as PyTorch does, or its 36 would be 37. The pyramid's window i of n along a cells is from ``floor(i a / n)`` up to
``ceil((i + 1) a / n)``, as in Appendix A and in PyTorch's adaptive pooling. Section 2.2 slides windows of
``ceil(a / n)`` by ``floor(a / n)`` instead, which is the same for these maps (13, 18), but at 10 cells and six bins
leaves out the last three. Caffe's own layer of this name has 1, 2, 4 and so on bins, with padding (from memory).

Deviations: layers and sizes are from memory of the table. The paper gives no initial weights: here Xavier's.
"""

from collections.abc import Mapping
from typing import Any

from keras import layers

from keras_vision.applications._family import Family
from keras_vision.applications._public_files import BVLC
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D, ceil_max_pool, conv_relu, fc6_to_fc8, local_response_norm
from keras_vision.registry import Paper

Conv = tuple[int, int, int, int]  # filters, kernel, stride, padding on each side

# ------------------------------------------------------------------------------------------------- table

BINS = (6, 3, 2, 1)
OVERFEAT = dict(
    pools={1: (3, 3), 2: (2, 2)}, last_pool=(3, 3), norms=(1,), norm_first=False, ceil_mode=False, pyramid=BINS
)
OVERFEAT_BELOW: tuple[Conv, ...] = ((96, 7, 2, 0), (256, 5, 1, 2))

TABLE: Mapping[str, Mapping[str, Any]] = {  # poolings (window, stride) and norms by the number of the convolution
    "SPPNetZF5": dict(
        convs=((96, 7, 2, 1), (256, 5, 2, 0), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1)),
        pools={1: (3, 2), 2: (3, 2)}, last_pool=(3, 2), norms=(1, 2), norm_first=True, ceil_mode=True, pyramid=BINS,
    ),
    "SPPNetConvnet5": dict(
        convs=((96, 11, 4, 2), (256, 5, 1, 2), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1)),
        pools={2: (3, 2), 3: (3, 2)}, last_pool=(3, 2), norms=(1, 2), norm_first=True, ceil_mode=True, pyramid=BINS,
    ),
    "SPPNetOverfeat5": dict(convs=(*OVERFEAT_BELOW, *[(512, 3, 1, 1)] * 3), **OVERFEAT),
    "SPPNetOverfeat7": dict(convs=(*OVERFEAT_BELOW, *[(512, 3, 1, 1)] * 5), **OVERFEAT),
}  # fmt: skip

# ----------------------------------------------------------------------------------------- trunk and head


def conv(x: Any, filters: int, kernel: int, stride: int, padding: int, *, name: str) -> Any:
    """Padding on all sides, convolution, ReLU."""
    if stride == 1:
        return conv_relu(x, filters, kernel, name=name)
    if padding:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return conv_relu(x, filters, kernel, stride, name=name, padding="valid")


def pool(x: Any, window: tuple[int, int], ceil_mode: bool, *, name: str) -> Any:
    """Max pooling, whose size is rounded up or down."""
    if ceil_mode:
        return ceil_max_pool(x, *window, name=name)
    return layers.MaxPooling2D(*window, name=name)(x)


def trunk(
    x: Any, *, convs: tuple[Conv, ...], pools: Mapping[int, tuple[int, int]], last_pool: tuple[int, int],
    norms: tuple[int, ...], norm_first: bool, ceil_mode: bool, pyramid: tuple[int, ...] | None,
) -> Any:  # fmt: skip
    """conv1 to conv5 or conv7: `(n, 224, 224, 3) -> (n, 13, 13, 256)`; of Overfeat `(n, 18, 18, 512)`."""
    for number, spec in enumerate(convs, 1):
        x = conv(x, *spec, name=f"conv{number}")
        steps = ["norm", "pool"] if norm_first else ["pool", "norm"]
        for step in steps:
            if step == "norm" and number in norms:
                x = local_response_norm(x, "caffe", name=f"norm{number}")
            if step == "pool" and number in pools:
                x = pool(x, pools[number], ceil_mode, name=f"pool{number}")
    return x if pyramid is not None else pool(x, last_pool, ceil_mode, name=f"pool{len(convs)}")


def head(x: Any, classes: int, activation: str | None, *, pyramid: tuple[int, ...] | None, **settings: Any) -> Any:
    """Spatial pyramid and fc6 to fc8: `(n, h, w, c) -> (n, classes)`."""
    if pyramid is None and None in x.shape[1:3]:
        raise KerasVisionError("pyramid=None needs a fixed size: give input_shape a height and a width, or a pyramid.")
    if pyramid is not None:
        x = SpatialPyramidPooling2D(pyramid, name="spp")(x)
    return fc6_to_fc8(x, classes, activation)


FAMILY = Family(
    name="spp_net",
    paper=Paper(
        title="Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition",
        authors="He, Zhang, Ren, Sun",
        year=2014,
        arxiv="1406.4729",
    ),
    table_in_paper="Table 1",
    table=TABLE,
    trunk=trunk,
    head=head,
    head_layers=("fc",),
    classifiers=("fc8",),
    preprocessing=BVLC,
    open_size=True,
    deviations=(
        "layers and sizes are from memory of the table",
        "the pyramid's windows are those of Appendix A; section 2.2 slides windows of whole cells",
    ),
)

SPPNetZF5 = FAMILY.constructor("SPPNetZF5")
SPPNetConvnet5 = FAMILY.constructor("SPPNetConvnet5")
SPPNetOverfeat5 = FAMILY.constructor("SPPNetOverfeat5")
SPPNetOverfeat7 = FAMILY.constructor("SPPNetOverfeat7")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions
