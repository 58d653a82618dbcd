"""PASCAL VOC (http://host.robots.ox.ac.uk/pascal/VOC) and its additional masks, SBD (Hariharan et al., ICCV 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.annotated_images import MultiLabelImages, SegmentedImages
from keras_vision.data.listings import PathLike, check_present, existing_folder, first_existing, read_lines
from keras_vision.data.masks import read_mask
from keras_vision.data.mat_files import class_map, field, mat_variable
from keras_vision.errors import KerasVisionError

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC_MASK_CLASSES = ("background", *VOC_CLASSES)
VOID = 255
_YEAR = "the folder of one year, such as VOCdevkit/VOC2012"
_DIFFICULT = "0"  # beside "1" and "-1"


def voc_classification(folder: PathLike, split: str = "train") -> MultiLabelImages:
    """Photographs with those of the 20 classes that they show; where all of a class are difficult, it is `ignored`.

    Args:
        folder: of one year: holds `JPEGImages` and `ImageSets/Main/<class>_<split>.txt`.
        split: "train", "val", "trainval" or "test".

    Raises:
        KerasVisionError: a missing folder, list or photograph, or lists that do not fit each other.
    """
    main = existing_folder(Path(folder) / "ImageSets/Main", _YEAR)
    columns = [_answers(main / f"{name}_{split}.txt") for name in VOC_CLASSES]
    ids = list(columns[0])
    if wrong := next((n for n, c in zip(VOC_CLASSES, columns, strict=True) if list(c) != ids), None):
        raise KerasVisionError(f"{main}: {wrong}_{split}.txt and {VOC_CLASSES[0]}_{split}.txt name other photographs.")
    answers = np.array([list(column.values()) for column in columns]).T
    paths = _photographs(folder, ids, main / f"{VOC_CLASSES[0]}_{split}.txt")
    return MultiLabelImages(paths, (answers == "1").astype(np.uint8), VOC_CLASSES, answers == _DIFFICULT)


def voc_segmentation(folder: PathLike, split: str = "train", sbd: PathLike | None = None) -> SegmentedImages:
    """Photographs with a class for each pixel: background, 20 classes, and 255 for void.

    Args:
        folder: of one year: holds `JPEGImages`, `SegmentationClass` and `ImageSets/Segmentation/<split>.txt`.
        split: "train", "val" or "trainval".
        sbd: folder of the SBD, for the training set of FCN and DeepLab: VOC's `train`, and all of SBD that is in
            neither VOC's `train` nor its `val` (10,582 photographs with VOC 2012). Only with split "train".

    Raises:
        KerasVisionError: a missing folder, list, photograph or mask.
    """
    root = existing_folder(folder, _YEAR)
    listing = root / f"ImageSets/Segmentation/{split}.txt"
    ids = _ids(listing)
    masks = [root / "SegmentationClass" / f"{name}.png" for name in ids]
    check_present(masks, listing)
    own = SegmentedImages(_photographs(root, ids, listing), masks, VOC_MASK_CLASSES, VOID)
    if sbd is None:
        return own
    if split != "train":
        raise KerasVisionError(f"split={split!r} with sbd: the additional masks are for training; give split='train'.")
    used = {*ids, *_ids(root / "ImageSets/Segmentation/val.txt")}
    parts = [sbd_segmentation(sbd, part) for part in ("train", "val")]
    more = [(s, m) for p in parts for s, m in zip(p.sources, p.masks, strict=True) if m.stem not in used]
    more_sources, more_masks = [s for s, _ in more], [m for _, m in more]
    return SegmentedImages([*own.sources, *more_sources], [*masks, *more_masks], VOC_MASK_CLASSES, VOID, voc_mask)


def sbd_segmentation(folder: PathLike, split: str = "train") -> SegmentedImages:
    """The Semantic Boundaries Dataset's photographs with a class for each pixel; it has no void.

    Args:
        folder: `benchmark_RELEASE`, or its `dataset`: holds `img`, `cls`, `train.txt` and `val.txt`.
        split: "train" (8,498 photographs) or "val" (2,857).

    Raises:
        KerasVisionError: a missing folder, list, photograph or mask.
    """
    root = first_existing(folder, ("dataset/cls", "cls"), "SBD's benchmark_RELEASE, with dataset/cls").parent
    listing = root / f"{split}.txt"
    ids = _ids(listing)
    sources, masks = (
        [root / kind / f"{n}{suffix}" for n in ids] for kind, suffix in (("img", ".jpg"), ("cls", ".mat"))
    )
    check_present([*sources, *masks], listing)
    return SegmentedImages(sources, masks, VOC_MASK_CLASSES, VOID, voc_mask)


def voc_mask(path: Path) -> np.ndarray:
    """The numbers in a mask of VOC (a palette image) or of SBD (`.mat`, GTcls), `(h, w)`.

    Raises:
        KerasVisionError: missing or damaged.
    """
    if Path(path).suffix != ".mat":
        return read_mask(path)
    return class_map(field(mat_variable(path, "GTcls"), "Segmentation", path), path)


def _answers(listing: Path) -> dict[str, str]:
    rows = [line.split() for line in read_lines(listing)]
    if wrong := next((row for row in rows if len(row) != 2 or row[1] not in ("1", "-1", _DIFFICULT)), None):
        raise KerasVisionError(f"{listing}: {' '.join(wrong)!r}; expected a photograph and 1, -1 or 0 on each line.")
    return {row[0]: row[1] for row in rows}


def _ids(listing: Path) -> list[str]:
    return [line.split()[0] for line in read_lines(listing)]


def _photographs(folder: PathLike, ids: list[str], listing: Path) -> list[Path]:
    paths = [Path(folder) / "JPEGImages" / f"{name}.jpg" for name in ids]
    check_present(paths, listing)
    return paths
