"""COCO (Lin et al., 2014; https://cocodataset.org): captions, and objects with boxes and masks."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.data.annotated_images import BoxedImages, CaptionedImages, SegmentedImages
from keras_vision.data.listings import PathLike, check_present, existing_folder
from keras_vision.data.masks import image_size
from keras_vision.data.run_lengths import object_mask
from keras_vision.errors import KerasVisionError

VOID = 255
LIMIT = 1 << 30  # bytes of a file of annotations; the largest published one has 470 MB
_MOST_PIXELS = 1 << 26  # of one image
_FARTHEST = 1 << 32  # pixels from the corner of an image to that of a box

Record = dict[str, Any]


def coco_captions(images: PathLike, annotations: PathLike) -> CaptionedImages:
    """Photographs with about five sentences each, in the order of the file. Those without a sentence are `skipped`.

    Args:
        images: the folder of the photographs, such as `train2017`.
        annotations: `captions_<split>.json`.

    Raises:
        KerasVisionError: a missing or damaged file, or photographs that are not there.
    """
    document = _read(annotations, ("images", "annotations"))
    captions: dict[int, list[str]] = defaultdict(list)
    for record in _records(annotations, document["annotations"], image_id=int, caption=str):
        captions[record["image_id"]].append(record["caption"].strip())
    found = _images(images, annotations, document["images"])
    kept = [(path, tuple(captions[record["id"]])) for record, path in found if record["id"] in captions]
    skipped = tuple((str(path), "no caption") for record, path in found if record["id"] not in captions)
    return CaptionedImages([path for path, _ in kept], tuple(sentences for _, sentences in kept), skipped)


def coco_boxes(images: PathLike, annotations: PathLike, crowds: bool = False) -> BoxedImages:
    """Photographs with a box and a class for each object; classes are the categories in the order of their ids.

    Args:
        images: the folder of the photographs, such as `val2017`.
        annotations: `instances_<split>.json`.
        crowds: also the boxes around crowds.

    Raises:
        KerasVisionError: a missing or damaged file, unknown categories, or photographs that are not there.
    """
    found, objects, names = _instances(images, annotations, box=True)
    kept = [[o for o in objects[record["id"]] if crowds or not o.get("iscrowd")] for record, _ in found]
    return BoxedImages([path for _, path in found], kept, names, _boxes)


def coco_masks(images: PathLike, annotations: PathLike) -> SegmentedImages:
    """Photographs with a class for each pixel: 0 background, then the categories in the order of their ids; 255 crowds.

    Where objects overlap the smaller one is seen.

    Args:
        images: the folder of the photographs, such as `val2017`.
        annotations: `instances_<split>.json`.

    Raises:
        KerasVisionError: a missing or damaged file, unknown categories, or photographs that are not there.
    """
    found, objects, names = _instances(images, annotations, box=False)
    entries = [(path, record["height"], record["width"], objects[record["id"]]) for record, path in found]
    return SegmentedImages([path for _, path in found], entries, ("background", *names), VOID, class_mask)


def class_mask(entry: tuple[Any, int, int, list[Record]]) -> np.ndarray:
    """Class of each pixel, `(h, w)`, from the photograph, height, width and the objects, each with its `class` from 0.

    Raises:
        KerasVisionError: another size than the photograph's, or damaged polygons or run lengths.
    """
    path, height, width, objects = entry
    if (height, width) != (size := image_size(path)) or height * width > _MOST_PIXELS:
        raise KerasVisionError(
            f"{path}: an image of {size} (height, width), and of {height} x {width} pixels by its annotation; they "
            f"must agree, and {_MOST_PIXELS} is the most."
        )
    labels = np.zeros((height, width), np.uint8)
    # Each mask is made twice, for its area and to be painted: together they may need a hundred times the memory.
    areas = [np.count_nonzero(object_mask(item.get("segmentation"), height, width)) for item in objects]
    for position in np.argsort(-np.array(areas, np.int64), kind="stable"):
        item = objects[position]
        mask = object_mask(item.get("segmentation"), height, width)
        labels[mask] = VOID if item.get("iscrowd") else item["class"] + 1
    return labels


def _boxes(objects: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([o["bbox"] for o in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]  # from width and height to the lower right corner
    return boxes, np.array([o["class"] for o in objects], np.int64)


def _instances(
    images: PathLike, annotations: PathLike, box: bool
) -> tuple[list[tuple[Record, Path]], dict[int, list[Record]], tuple[str, ...]]:
    document = _read(annotations, ("images", "annotations", "categories"))
    categories = sorted(_records(annotations, document["categories"], id=int, name=str), key=lambda c: c["id"])
    positions = {category["id"]: position for position, category in enumerate(categories)}
    if not 0 < len(positions) < VOID:
        raise KerasVisionError(f"{annotations}: {len(positions)} categories; expected 1 to {VOID - 1}.")
    objects: dict[int, list[Record]] = defaultdict(list)
    for record in _records(annotations, document["annotations"], image_id=int, category_id=int):
        if record["category_id"] not in positions:
            raise KerasVisionError(
                f"{annotations}: category {record['category_id']} is not among its {len(positions)}."
            )
        if box and not _is_box(record.get("bbox")):
            raise KerasVisionError(f"{annotations}: bbox {record.get('bbox')}; expected x, y, width, height.")
        record["class"] = positions[record["category_id"]]
        objects[record["image_id"]].append(record)
    return _images(images, annotations, document["images"]), objects, tuple(c["name"] for c in categories)


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(v, (int, float)) for v in box)
    return numbers and all(abs(v) <= _FARTHEST for v in box) and box[2] >= 0 and box[3] >= 0


def _images(folder: PathLike, annotations: PathLike, records: Any) -> list[tuple[Record, Path]]:
    root = existing_folder(folder, "the folder of COCO's photographs, such as val2017")
    found = _records(annotations, records, id=int, file_name=str, height=int, width=int)
    pairs = [(record, root / Path(record["file_name"]).name) for record in found]
    check_present([path for _, path in pairs], annotations)
    return pairs


def _read(file: PathLike, keys: tuple[str, ...]) -> Record:
    path = Path(file)
    try:
        if path.stat().st_size > LIMIT:
            raise KerasVisionError(f"{file}: more than {LIMIT >> 30} GiB; no file of annotations that COCO published.")
        document = json.loads(path.read_bytes())
    except KerasVisionError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # ValueError also of integers of thousands of digits
        raise KerasVisionError(f"{file}: damaged, or no JSON file of annotations ({error}).") from error
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in keys):
        raise KerasVisionError(f"{file}: expected lists of {', '.join(keys)}, as in COCO's annotations.")
    return document


def _records(file: PathLike, records: list[Any], **fields: type) -> list[Record]:
    """The records, if each has these fields, of these types."""
    wanted = tuple(fields.items())
    for record in records:
        for key, kind in wanted:
            if not isinstance(record, dict) or not isinstance(record.get(key), kind):
                raise KerasVisionError(f"{file}: {str(record)[:80]}; expected {', '.join(fields)} in each record.")
    return records
