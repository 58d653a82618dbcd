"""Objects with masks on photographs: handwritten digits and cut-out regions, pasted where they hide little."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from keras_vision.data.annotated_images import EdgeImages
from keras_vision.data.labelled_images import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import open_image

CLASS_NAMES = (*map(str, range(10)), "region")
_REGION = 10
_SIZES = (0.2, 0.4)  # of an object, over the image's shorter side
_HIDDEN = 0.2  # greatest share of an earlier object that a later one may hide
_TRIES = 20


@dataclasses.dataclass(frozen=True, eq=False)
class PastedObjects:
    """One image with the objects in it, in the order in which they were pasted.

    Attributes:
        image: uint8 `(h, w, 3)`.
        masks: what is seen of each, bool `(objects, h, w)`.
        labels: 0 to 9 for digits, 10 for a region: `(objects,)`, named by `CLASS_NAMES`.
        boxes: around each mask, left, top, right, bottom: `(objects, 4)`.
    """

    image: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def pasted_objects(
    digits: LabelledImages, backgrounds: EdgeImages, count: int, *, objects: tuple[int, int] = (2, 4), seed: int = 0
) -> Iterator[PastedObjects]:
    """Photographs of BSDS500 with MNIST's digits, coloured, and regions that people cut out of other photographs.

    Objects are 0.2 to 0.4 of the image's shorter side; each hides at most a fifth of an earlier one. One that finds no
    place is left out. Digits and regions are equally likely.

    Args:
        digits: of `mnist`.
        backgrounds: of `bsds500`; the regions come from the same photographs.
        count: images.
        objects: least and greatest number that is tried for each image.
        seed: the same seed gives the same images.

    Raises:
        KerasVisionError: no digits or photographs, or numbers out of range.
    """
    if not len(digits) or not len(backgrounds) or count < 0 or not 1 <= objects[0] <= objects[1]:
        raise KerasVisionError(
            f"{len(digits)} digits, {len(backgrounds)} photographs, count={count}, objects={objects}; give at least "
            "one of both, and at least one object for each image."
        )
    rng = np.random.default_rng(seed)
    return (_scene(rng, digits, backgrounds, int(rng.integers(objects[0], objects[1] + 1))) for _ in range(count))


def _scene(rng: np.random.Generator, digits: LabelledImages, photographs: EdgeImages, number: int) -> PastedObjects:
    image = photographs.image(int(rng.integers(len(photographs)))).copy()
    masks: list[np.ndarray] = []
    labels: list[int] = []
    for _ in range(number):
        side = int(rng.uniform(*_SIZES) * min(image.shape[:2]))
        pixels, alpha, label = _digit(rng, digits, side) if rng.random() < 0.5 else _region(rng, photographs, side)
        if (place := _place(rng, masks, alpha > 0.5, image.shape[:2])) is None:
            continue
        whole = np.zeros(image.shape[:2], bool)
        here = np.s_[place[0] : place[0] + alpha.shape[0], place[1] : place[1] + alpha.shape[1]]
        whole[here] = alpha > 0.5
        share = alpha[..., None]
        image[here] = np.rint(share * pixels + (1 - share) * image[here]).astype(np.uint8)
        masks = [*(mask & ~whole for mask in masks), whole]
        labels.append(label)
    return PastedObjects(image, np.array(masks), np.array(labels), np.array([_box(mask) for mask in masks]))


def _place(
    rng: np.random.Generator, masks: Sequence[np.ndarray], ink: np.ndarray, size: tuple[int, ...]
) -> tuple[int, int] | None:
    """Top and left of an object, or None where all tries hide too much of another."""
    for _ in range(_TRIES):
        top, left = (int(rng.integers(whole - own + 1)) for whole, own in zip(size, ink.shape, strict=True))
        here = np.s_[top : top + ink.shape[0], left : left + ink.shape[1]]
        if ink.any() and all((mask[here] & ink).sum() <= _HIDDEN * mask.sum() for mask in masks):
            return top, left
    return None


def _digit(rng: np.random.Generator, digits: LabelledImages, side: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Colours `(3,)`, share of ink `(side, side)` and class of a digit."""
    position = int(rng.integers(len(digits)))
    ink = np.asarray(open_image(digits.sources[position]).convert("L").resize((side, side), Image.Resampling.BILINEAR))
    return rng.integers(0, 256, 3), ink / 255.0, int(digits.labels[position])


def _region(rng: np.random.Generator, photographs: EdgeImages, side: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Pixels `(h, w, 3)`, the mask `(h, w)` of 0 and 1, longer side `side`, and the class of somebody's region."""
    position = int(rng.integers(len(photographs)))
    person = photographs.segmentations(position)[0]
    sizes = np.bincount(person.ravel())
    chosen = np.flatnonzero((sizes > 0.01 * person.size) & (sizes < 0.5 * person.size))
    mask = person == (rng.choice(chosen) if len(chosen) else sizes.argmax())
    left, top, right, bottom = _box(mask)
    scale = side / max(right - left, bottom - top)
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))
    cut = Image.fromarray(photographs.image(position)[top:bottom, left:right]).resize(size, Image.Resampling.BILINEAR)
    small = Image.fromarray(mask[top:bottom, left:right]).resize(size, Image.Resampling.NEAREST)
    return np.asarray(cut), np.asarray(small, float), _REGION


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    (y, x) = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
