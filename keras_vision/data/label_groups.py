"""The labels of images that have several, which of them exclude each other, and splits that keep rare ones."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from keras_vision.data.annotated_images import MultiLabelImages
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.runtime.images import open_image

_NAMED = 5  # images in a message


@dataclasses.dataclass(frozen=True)
class LabelGroups:
    """The labels in the order of the columns, and the groups of them of which an image has exactly one.

    In "Understanding the Amazon from Space" the weather is such a group: `LabelGroups(names, [("clear", "cloudy",
    "haze", "partly_cloudy")])`.

    Attributes:
        names: all labels.
        exclusive: groups of at least two names each; a label is in one of them at most.

    Raises:
        KerasVisionError: no labels, one given twice, a group of fewer than two, a label of a group that is not known,
            or one that is in two groups.
    """

    names: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.names, "names"))
        object.__setattr__(self, "exclusive", tuple(_names(group, "exclusive") for group in self.exclusive))
        if twice := _repeated(self.names):
            raise KerasVisionError(f"label {twice!r} is given twice; each names one column.")
        if not self.names:
            raise KerasVisionError("no labels; give the name of each column.")
        grouped = [name for group in self.exclusive for name in group]
        if unknown := [name for name in grouped if name not in self.names]:
            raise KerasVisionError(f"{unknown[0]!r} of an exclusive group is no label; known: {', '.join(self.names)}.")
        if twice := _repeated(grouped):
            raise KerasVisionError(f"label {twice!r} is in the exclusive groups twice; it can be in one, once.")
        if small := [group for group in self.exclusive if len(group) < 2]:
            raise KerasVisionError(f"exclusive group {small[0]}; give at least two labels that exclude each other.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def positions(self) -> tuple[tuple[int, ...], ...]:
        """The columns of each exclusive group, as layers and losses take them."""
        return tuple(tuple(self.names.index(name) for name in group) for group in self.exclusive)

    def fits(self, labels: Any) -> np.ndarray:
        """Whether an image has exactly one label of each exclusive group: 0 and 1 `(n, labels)` to bool `(n,)`.

        Raises:
            KerasVisionError: another shape, or other values.
        """
        labels = binary_labels(labels, len(self))
        fitting = np.ones(len(labels), bool)
        for group in self.positions:
            fitting &= labels[:, list(group)].sum(1) == 1
        return fitting

    def check(self, labels: Any, images: Sequence[Any] | None = None) -> np.ndarray:
        """The labels as uint8 `(n, labels)`, if each image has exactly one of each exclusive group.

        Args:
            labels: 0 and 1, `(n, labels)`.
            images: what a message calls them; None for their numbers.

        Raises:
            KerasVisionError: another shape, other values, no images, or images with none or several of a group.
        """
        labels = binary_labels(labels, len(self))
        if not len(labels):
            raise KerasVisionError(f"no images; give labels (n, {len(self)}) of at least one.")
        for group, positions in zip(self.exclusive, self.positions, strict=True):
            counts = labels[:, list(positions)].sum(1)
            if (wrong := np.flatnonzero(counts != 1)).size:
                named = "; ".join(
                    f"{i if images is None else images[i]} has {' and '.join(self._of(labels[i], positions)) or 'none'}"
                    for i in wrong[:_NAMED]
                )
                raise KerasVisionError(
                    f"{wrong.size} of {len(labels)} images do not have exactly one of {', '.join(group)}: {named}. "
                    "Correct them or leave them out."
                )
        return labels

    def _of(self, row: np.ndarray, positions: Sequence[int]) -> list[str]:
        return [self.names[p] for p in positions if row[p]]


def binary_labels(labels: Any, count: int | None = None) -> np.ndarray:
    """Labels as uint8 `(n, labels)`.

    Raises:
        KerasVisionError: another shape or number of labels, or values other than 0 and 1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or (count is not None and labels.shape[1] != count):
        raise KerasVisionError(f"labels of shape {labels.shape}; expected (n, {count or 'labels'}).")
    if not np.isin(labels, (0, 1)).all():
        raise KerasVisionError("labels must be 0 or 1.")
    return labels.astype(np.uint8)


def split_multi_label(
    images: MultiLabelImages, fraction: float, seed: int = 0
) -> tuple[MultiLabelImages, MultiLabelImages]:
    """Two disjoint parts; the second has `fraction` of the images, and of those of each rare label.

    An image counts to the rarest of its labels, and these classes are split in equal proportion.

    Raises:
        KerasVisionError: too few images, or a fraction that leaves a part empty.
    """
    labels = binary_labels(images.labels)
    if not len(labels):
        raise KerasVisionError("no images to split.")
    counts = labels.sum(0, dtype=np.int64)
    rarest = np.where(labels.any(1), np.where(labels, counts, counts.max(initial=0) + 1).argmin(1), -1)
    names, found = np.unique(rarest, return_counts=True)
    common = names[found.argmax()]  # takes the images that are alone in their class, which cannot be split
    rarest = np.where(np.isin(rarest, names[found < 2]), common, rarest)
    try:
        parts = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=rarest, random_state=seed)
    except ValueError as error:
        raise KerasVisionError(f"{len(labels)} images are too few to hold {fraction:.0%} out: {error}") from error
    first, second = (take_images(images, np.sort(part)) for part in parts)
    return first, second


def take_images(images: MultiLabelImages, positions: np.ndarray) -> MultiLabelImages:
    """The images at these positions."""
    ignored = None if images.ignored is None else images.ignored[positions]
    sources = [images.sources[i] for i in positions]
    return dataclasses.replace(images, sources=sources, labels=images.labels[positions], ignored=ignored)


def readable_images(images: MultiLabelImages) -> MultiLabelImages:
    """The images that can be decoded; the others are in `skipped`, with the reason. Opens every file once.

    Raises:
        KerasVisionError: none can be decoded.
    """

    def reason(source: Any) -> str | None:
        try:
            open_image(source)
        except ImageError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = list(pool.map(reason, images.sources))
    kept = np.array([i for i, found in enumerate(reasons) if found is None], int)
    skipped = tuple((str(s), r) for s, r in zip(images.sources, reasons, strict=True) if r is not None)
    if not kept.size:
        raise KerasVisionError(f"none of {len(images)} images can be read; the first: {skipped[:1]}.")
    return dataclasses.replace(take_images(images, kept), skipped=(*images.skipped, *skipped))


def _names(names: Any, what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise KerasVisionError(f"{what}={names!r}; give a list of names, or for exclusive a list of lists of names.")
    return tuple(names)


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for position, name in enumerate(names) if name in names[:position]), None)
