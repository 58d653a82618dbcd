"""Berkeley Segmentation Data Set, BSDS500 (Arbelaez et al., TPAMI 2011; BSR/BSDS500/data)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.annotated_images import EdgeImages
from keras_vision.data.listings import PathLike, check_present, first_existing, images_in
from keras_vision.data.mat_files import class_map, field, mat_variable
from keras_vision.errors import KerasVisionError


def bsds500(folder: PathLike, split: str = "train") -> EdgeImages:
    """Photographs with the boundaries and regions that four to nine people drew.

    Args:
        folder: holds `images/<split>` and `groundTruth/<split>`; or `BSR`, or `BSDS500`, as published.
        split: "train" (200), "val" (100) or "test" (200).

    Raises:
        KerasVisionError: a missing folder, or a photograph without its annotation.
    """
    accepted = "the folder `data` of BSDS500, with images and groundTruth"
    root = first_existing(folder, ("groundTruth", "data/groundTruth", "BSDS500/data/groundTruth"), accepted).parent
    sources = images_in(root / "images" / split)
    annotations = [root / "groundTruth" / split / f"{source.stem}.mat" for source in sources]
    check_present(annotations, root / "images" / split)
    return EdgeImages(sources, annotations, human_boundaries)


def human_boundaries(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Boundaries, uint8 of 0 and 1, and regions, uint16 from 1: each `(people, h, w)`, from a file of `groundTruth`.

    Raises:
        KerasVisionError: missing or damaged.
    """
    people = np.ravel(mat_variable(path, "groundTruth"))
    drawn = [
        [class_map(field(person, name, path), path) for person in people] for name in ("Boundaries", "Segmentation")
    ]
    if not len(people) or len({each.shape for maps in drawn for each in maps}) != 1:
        raise KerasVisionError(f"{path}: maps of {len(people)} people, of different sizes or none.")
    boundaries, regions = (np.stack(maps) for maps in drawn)
    if boundaries.max() > 1 or regions.max() >= 1 << 16 or regions.min() < 0:
        raise KerasVisionError(f"{path}: boundaries up to {boundaries.max()}, regions up to {regions.max()}.")
    return boundaries.astype(np.uint8), regions.astype(np.uint16)
