"""Test protocols: which views of an image a classifier sees, and what is averaged.

Sources: AlexNet (Krizhevsky et al., 2012), section 4.1: ten crops. GoogLeNet (Szegedy et al., 2014), section 7: 144
crops; twelve are its six mirrored crops of one square. VGG (Simonyan & Zisserman, 2014), sections 3.2 and 4.1–4.3: 50
crops per scale, dense application, both together.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing
from keras_vision.runtime.preprocessing import resized_size

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the source image
Crop = tuple[float, float] | None

UNITS = ("pixels", "pixels beyond the weights' resize", "pixels at a crop of 224")
_CROP = 224  # of the networks whose scales the papers print

CENTRE: tuple[Crop, ...] = ((0.5, 0.5),)
CORNERS: tuple[Crop, ...] = tuple(itertools.product((0.0, 1.0), (0.0, 1.0)))
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
GRID: tuple[Crop, ...] = tuple(itertools.product(_PLACES, _PLACES))
WHOLE: tuple[Crop, ...] = (None,)


def _three_squares(height: int, width: int) -> list[tuple[int, int, int, int]]:
    side, slack = min(height, width), abs(height - width)
    starts = (0, slack // 2, slack)
    return [(start if height > width else 0, start if width > height else 0, side, side) for start in starts]


REGIONS = {  # of a resized image of (height, width): (top, left, height, width) of each
    "image": lambda height, width: [(0, 0, height, width)],
    "centre square": lambda height, width: _three_squares(height, width)[1:2],
    "three squares": _three_squares,
}


@dataclasses.dataclass(frozen=True)
class Views:
    """Views of an image, whose class posteriors are averaged.

    Attributes:
        crops: of the network's native size, each by its (vertical, horizontal) place in the region from 0 (top, left)
            to 1 (bottom, right), offsets rounded down; None for the whole region, squashed to that size. With no
            crops at all, the one view of the weights' own preprocessing.
        regions: what the crops are cut from: "image", "centre square", or "three squares" (left, centre, right, or
            top, centre, bottom).
        mirror: each view a second time, left and right exchanged.
        dense: in place of crops, the whole image at each scale, through the fully convolutional network: logits
            averaged over positions, then softmax.
        scales: lengths that the image's shorter side is resized to, in the unit `unit`.
        unit: "pixels", "pixels beyond the weights' resize", or "pixels at a crop of 224" (for another native size,
            scaled in proportion). The latter two never go below the native size.
    """

    crops: tuple[Crop, ...] = ()
    regions: str = "image"
    mirror: bool = False
    dense: bool = False
    scales: tuple[int, ...] = (0,)
    unit: str = UNITS[1]

    def __post_init__(self) -> None:
        if self.regions not in REGIONS or self.unit not in UNITS or not self.scales:
            raise KerasVisionError(
                f"regions={self.regions!r}, unit={self.unit!r}, scales={self.scales}; accepted are the regions "
                f"{', '.join(REGIONS)}, the units {', '.join(UNITS)}, and at least one scale."
            )
        if any(not 0 <= place <= 1 for crop in self.crops if crop is not None for place in crop):
            raise KerasVisionError(f"crops={self.crops}; each is a pair of numbers between 0 and 1, or None.")
        if self.dense and self.crops:
            raise KerasVisionError("a dense view is the whole image: give either dense=True or crops.")

    @property
    def own(self) -> bool:
        """Whether this is the weights' own preprocessing."""
        return not (self.crops or self.dense)

    @property
    def count(self) -> int:
        """Number of views of one image."""
        crops = len(self.crops) * len(REGIONS[self.regions](1, 1)) if self.crops else 1
        return crops * (1 if self.own else len(self.scales)) * (1 + self.mirror)

    def shorter_sides(self, spec: Preprocessing) -> list[int]:
        """The scales in pixels, for a network with this preprocessing.

        Raises:
            KerasVisionError: a scale in pixels below the native size; or scales that refer to the weights' resize, of
                weights that squash the whole image.
        """
        native = max(spec.size)
        if self.unit == UNITS[0]:
            if min(self.scales) < native:
                raise KerasVisionError(f"scales={self.scales}; the network takes {spec.size}: give at least {native}.")
            return list(self.scales)
        if self.unit == UNITS[2]:
            return [max(round(scale * min(spec.size) / _CROP), native) for scale in self.scales]
        if spec.resize_shorter is None:
            if self.crops == WHOLE and self.regions == "image":
                return [native]
            raise KerasVisionError(
                "these weights squash the whole image and so have no scale of their own; give scales."
            )
        return [max(spec.resize_shorter + scale, native) for scale in self.scales]

    def boxes(self, spec: Preprocessing, height: int, width: int) -> Iterator[Box]:
        """The crops as parts of the `height` x `width` source image, as `Preprocessing.source_box` gives one."""
        if self.own:
            yield spec.source_box(height, width)
            return
        for shorter in self.shorter_sides(spec):
            resized_h, resized_w = resized_size(height, width, shorter)
            scale_y, scale_x = height / resized_h, width / resized_w
            for region, crop in itertools.product(REGIONS[self.regions](resized_h, resized_w), self.crops):
                top, left, crop_h, crop_w = _cut(region, crop, spec.size)
                yield left * scale_x, top * scale_y, (left + crop_w) * scale_x, (top + crop_h) * scale_y


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A named test protocol: the class posteriors of its parts are averaged.

    Attributes:
        name: as it is reported.
        parts: sets of views, each with the same share in the average.
    """

    name: str
    parts: tuple[Views, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise KerasVisionError(f"protocol {self.name!r} has no views.")

    @property
    def count(self) -> int:
        """Number of views of one image."""
        return sum(part.count for part in self.parts)

    @property
    def dense(self) -> bool:
        """Whether a part applies the network densely."""
        return any(part.dense for part in self.parts)

    def at(self, scales: Iterable[int]) -> Protocol:
        """This protocol with the shorter side resized to these lengths, in pixels.

        The crop of "single" becomes a centre crop at each scale.

        Raises:
            KerasVisionError: no scales, not positive ones, or a protocol of whole images, which has none.
        """
        scales = tuple(scales)
        if not scales or min(scales) < 1:
            raise KerasVisionError(f"scales={scales}; give lengths of the shorter side in pixels.")
        if any(part.crops == WHOLE and part.regions == "image" for part in self.parts):
            raise KerasVisionError(f"{self.name!r} squashes the whole image; it has no scales.")
        parts = [dataclasses.replace(p, crops=CENTRE) if p.own else p for p in self.parts]
        return Protocol(self.name, tuple(dataclasses.replace(p, scales=scales, unit=UNITS[0]) for p in parts))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


_SIX = CORNERS + CENTRE + WHOLE
_GOOGLENET = Views(_SIX, "three squares", mirror=True, scales=(256, 288, 320, 352), unit=UNITS[2])
_FIFTY = Views(GRID, mirror=True)
_DENSE = Views(dense=True, mirror=True)

PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("single", (Views(),)),
        Protocol("squash", (Views(WHOLE),)),
        Protocol("ten", (Views(CORNERS + CENTRE, mirror=True),)),
        Protocol("twelve", (Views(_SIX, "centre square", mirror=True),)),
        Protocol("fifty", (_FIFTY,)),
        Protocol("144", (_GOOGLENET,)),
        Protocol("dense", (_DENSE,)),
        Protocol("dense_multi_scale", (dataclasses.replace(_DENSE, scales=(-32, 0, 32)),)),
        Protocol("dense_and_fifty", (_DENSE, _FIFTY)),
    )
}


def protocol(name: str | Protocol, scales: Sequence[int] = ()) -> Protocol:
    """A protocol by name, as it is or at other scales: ``protocol("fifty", (256, 384, 512))``.

    Raises:
        KerasVisionError: no such protocol (the message suggests the nearest names), or see `Protocol.at`.
    """
    if isinstance(name, Protocol):
        found = name
    elif str(name) in PROTOCOLS:
        found = PROTOCOLS[str(name)]
    else:
        near = difflib.get_close_matches(str(name).lower(), PROTOCOLS, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(PROTOCOLS)}."
        raise KerasVisionError(f"no protocol is called {name!r}. {hint}")
    return found.at(scales) if scales else found


def _cut(region: tuple[int, int, int, int], crop: Crop, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop, in pixels of the resized image."""
    top, left, height, width = region
    if crop is None:
        return region
    return top + int(crop[0] * (height - size[0])), left + int(crop[1] * (width - size[1])), *size
