"""A classifier's trunk under a segmentation network, and its fully connected layers as convolutions."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import layers

from keras_vision import applications, graph
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.model import Tap, VisionModel, taps
from keras_vision.registry import Entry, ModelCard, find
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.upsampling import Placed, placed

Arrays = dict[str, np.ndarray]

FC6_SIZES = {  # cells of the last map that fc6 of a classifier sees, along each axis
    **dict.fromkeys(applications.vgg.TABLE, 7),
    **dict.fromkeys(applications.alexnet.TABLE, 6),
}


@dataclasses.dataclass
class Backbone:
    """A registered classifier and the weights it starts from; `trunk` builds it, after which `card` is that trunk's."""

    entry: Entry
    weights: str | Path | None
    released: Preprocessing | None = None
    built: VisionModel | None = None

    @classmethod
    def of(cls, name: str, weights: str | Path | None, released: Mapping[str, Preprocessing]) -> Backbone:
        """The backbone of this name; `released` is what a family's own weights expect, by backbone.

        Raises:
            KerasVisionError: no classifier is called so.
        """
        entry = find(name)
        if entry.task != "classification":
            raise KerasVisionError(f"backbone={name!r} is for {entry.task}; give the name of a classifier.")
        return cls(entry, weights, released.get(entry.name))

    @property
    def card(self) -> ModelCard:
        """The card of the built trunk."""
        if self.built is None:
            raise KerasVisionError("the trunk is not built yet.")
        return self.built.card

    @property
    def preprocessing(self) -> Preprocessing:
        """What the family's own weights expect, or those the backbone starts from."""
        return self.released if self.released and self.weights is None else self.card.preprocessing

    @property
    def fc6_size(self) -> int | None:
        """Cells along each axis that fc6 sees; None for a classifier without fc6."""
        return FC6_SIZES.get(self.entry.name)

    def trunk(self, x: Any, **settings: Any) -> VisionModel:
        """The classifier without its head on a symbolic image batch."""
        self.built = self.entry.construct(include_top=False, weights=self.weights, input_tensor=x, **settings)
        return self.built

    def padded_trunk(self, image: Any, centred: bool, **settings: Any) -> VisionModel:
        """The trunk with one cell of the last map for every `stride` pixels begun.

        A cell lies at the centre of its pixels, or else at the first of them, or up to a pixel before. For that the
        image is padded with zeros by what unpadded convolutions take away: by nothing under VGG.
        """
        plain = Backbone(self.entry, None).trunk(image, **settings)
        last = placed(plain.output)
        first = (last.stride - 1) / 2 if centred else 0
        before = [max(math.ceil(start - first), 0) for start in last.start]
        after = [max(n - 1 - b, 0) for n, b in zip(graph.minimum_size(plain), before, strict=True)]
        if not any(before + after):
            return self.trunk(image, **settings)
        padding = tuple(zip(before, after, strict=True))
        return self.trunk(layers.ZeroPadding2D(padding, name="image_pad")(image), **settings)


def tap_of(trunk: VisionModel, name: str) -> Placed:
    """A named feature map of a trunk.

    Raises:
        KerasVisionError: no such map.
    """
    known = taps(trunk)
    layer = name.replace("/", "_")
    if layer not in known:
        raise KerasVisionError(f"{trunk.name} has no tap {name!r}; known: {', '.join(known)}.")
    return placed(graph.call_of(trunk.get_layer(layer))[1])


def widest_taps(trunk: VisionModel) -> dict[int, Tap]:
    """Of each stride the feature map of most channels, and of several such the last."""
    widest: dict[int, Tap] = {}
    for tap in taps(trunk).values():
        if tap.stride[0] not in widest or tap.channels >= widest[tap.stride[0]].channels:
            widest[tap.stride[0]] = tap
    return widest


def load_fully_connected(output: Any, backbone: Backbone) -> None:
    """Weights of the backbone's fc6 and fc7 into the convolutions of these names that `output` was computed from.

    Warns:
        KerasVisionWarning: the weights hold no such layers, which then keep their random values.
    """
    own = {layer.name: layer for layer in graph.ancestors(output) if layer.name in ("fc6", "fc7")}
    if not own or backbone.fc6_size is None or backbone.weights is None or backbone.entry.read is None:
        return
    arrays = backbone.entry.read(backbone.weights)
    if not {"fc6/kernel", "fc6/bias", "fc7/kernel", "fc7/bias"} <= arrays.keys():
        warnings.warn(
            f"{backbone.weights} holds no fc6 and fc7: these start from random values.",
            KerasVisionWarning,
            stacklevel=6,
        )
        return
    size, filters = own["fc6"].kernel_size[0], own["fc6"].filters
    own["fc6"].set_weights(_decimated(arrays["fc6/kernel"], arrays["fc6/bias"], backbone.fc6_size, size, filters))
    arrays["fc7/kernel"] = arrays["fc7/kernel"][_spread(len(arrays["fc7/kernel"]), filters)]
    own["fc7"].set_weights(_decimated(arrays["fc7/kernel"], arrays["fc7/bias"], 1, 1, own["fc7"].filters))


def _decimated(kernel: np.ndarray, bias: np.ndarray, full: int, size: int, filters: int) -> list[np.ndarray]:
    """A dense kernel over `full` x `full` cells and its bias as a convolution of `size` x `size` cells.

    Kept are cells at equal distances, the outermost among them, and every so manieth filter: of 7 x 7 the rows and
    columns 0, 2, 4, 6 for 4 x 4 and 0, 3, 6 for 3 x 3. DeepLab (section 3.2) says "simple decimation" and not which
    cells: this choice is the package's own. With DeepLab's dilations of 8 and 12 cells of 8 pixels it leaves the taps
    where the classifier has them.
    """
    cells, kept = _spread(full, size), _spread(kernel.shape[-1], filters)
    kernel = kernel.reshape(full, full, -1, kernel.shape[-1])
    return [kernel[cells][:, cells][..., kept], bias[kept]]


def _spread(count: int, kept: int) -> np.ndarray:
    """`kept` of `count` positions at equal distances, the first among them, and the last where it fits."""
    step = (count - 1) // (kept - 1) if kept > 1 else count
    if count < kept:
        raise KerasVisionError(
            f"{kept} filters or cells cannot be taken from {count}; give at most {count}, or no weights."
        )
    return np.arange(kept) * max(step, 1)
