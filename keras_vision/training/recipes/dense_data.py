"""Training, validation and test images with masks or boundaries, of a folder whose layout is found out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from keras_vision.data import EdgeImages, SegmentedImages, bsds500, camvid, voc_segmentation
from keras_vision.data.listings import existing_folder
from keras_vision.errors import KerasVisionError

SEGMENTATIONS = (
    "CamVid with train/, val/ and test/, each with images/ and masks/; SegNet's CamVid; or one year of VOC, such as "
    "VOCdevkit/VOC2012, with SBD's masks in its folder SBD if there are some"
)
SBD = "SBD"
BOUNDARIES = "BSDS500, with images/ and groundTruth/"
DenseImages = SegmentedImages | EdgeImages


class DenseParts(NamedTuple):
    """Of a data set: what is trained on, what is looked at while training, and what is measured at the end."""

    training: DenseImages
    validation: DenseImages
    test: DenseImages


def dense_parts(task: str, folder: str | os.PathLike) -> DenseParts:
    """The parts of a data set; the validation images are the test images of a set whose test is not public (VOC).

    HED is trained on BSDS500's training and validation images, and looks at the test images at the end only.

    Args:
        task: "segmentation" or "edges".
        folder: in one of the layouts of `SEGMENTATIONS` or `BOUNDARIES`.

    Raises:
        KerasVisionError: no such folder, or none of the layouts.
    """
    accepted = BOUNDARIES if task == "edges" else SEGMENTATIONS
    root = existing_folder(folder, accepted)
    if task == "edges":
        first, second, test = (bsds500(root, split) for split in ("train", "val", "test"))
        both = EdgeImages([*first.sources, *second.sources], [*first.annotations, *second.annotations], first.decode)
        return DenseParts(both, second, test)
    if (root / "ImageSets").is_dir():
        held_out, more = voc_segmentation(root, "val"), root / SBD
        training = voc_segmentation(root, "train", more if more.is_dir() else None)
        return DenseParts(training, held_out, held_out)
    if not (root / "train").is_dir():
        raise KerasVisionError(f"{root}: no data set. Give {accepted}.")
    return DenseParts(camvid(root, "train"), camvid(root, "val"), camvid(root, "test"))


def fingerprint(parts: DenseParts) -> str:
    """A hash of the names, the classes and the order of all images."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(getattr(part, "class_names", ())).encode())
        for source in part.sources:
            digest.update(Path(source).name.encode() + b"\0")
    return digest.hexdigest()
