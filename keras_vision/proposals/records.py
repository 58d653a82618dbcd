"""Regions and proposals for other programs: overlays to look at, and JSON with masks as COCO's run lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage.segmentation import find_boundaries

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.contours import colours
from keras_vision.proposals.hierarchy import Hierarchy, segment
from keras_vision.proposals.proposal_set import Proposals

_BORDER = np.array([1.0, 0.9, 0.0])


def coco_mask(mask: Any) -> dict[str, Any]:
    """A mask as COCO stores it, ready for JSON: compressed run lengths by columns.

    Args:
        mask: bool or 0 and 1, `(h, w)`.

    Raises:
        KerasVisionError: another shape, or pycocotools is not installed.
    """
    try:
        from pycocotools.mask import encode
    except ImportError as error:
        raise KerasVisionError("COCO's run lengths need pycocotools: pip install 'keras-vision[proposals]'.") from error
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or not pixels.size:
        raise KerasVisionError(f"a mask of shape {pixels.shape}; expected (h, w).")
    found = encode(np.asfortranarray(pixels != 0, np.uint8))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode("ascii")}


def region_records(ucm: Hierarchy, threshold: float) -> list[dict[str, Any]]:
    """The regions of a segmentation, in the order of `segment`'s numbers: for JSON.

    Each has its number, `area` in pixels, `bbox` as COCO has it (left, top, width, height) and `segmentation`.

    Args:
        ucm, threshold: as of `segment`.
    """
    labels = segment(ucm, threshold)
    each = Proposals(labels - 1, np.eye(int(labels.max()), dtype=bool), np.zeros((0, 2), int))
    return [{"region": number, **record} for number, record in enumerate(proposal_records(each), 1)]


def proposal_records(proposals: Proposals) -> list[dict[str, Any]]:
    """Proposals in their order, for JSON: `area`, `bbox` as COCO has it, `segmentation`, and `score` where ranked.

    Args:
        proposals: of one image.
    """
    records = []
    for position, (area, box) in enumerate(zip(proposals.areas.tolist(), proposals.boxes.tolist(), strict=True)):
        left, top, right, bottom = box
        record: dict[str, Any] = {"area": area, "bbox": [left, top, right - left, bottom - top]}
        if proposals.scores is not None:
            record["score"] = round(float(proposals.scores[position]), 6)
        records.append({**record, "segmentation": coco_mask(proposals.mask(position))})
    return records


def region_overlay(image: Any, labels: Any) -> np.ndarray:
    """The image half replaced by each region's mean colour, with borders between regions in yellow: uint8 `(h, w, 3)`.

    Args:
        image: as of `gradient_contours`.
        labels: regions of `segment`, `(h, w)`.

    Raises:
        KerasVisionError: another image, or regions of another size.
    """
    pixels, numbers = colours(image), np.asarray(labels)
    if numbers.shape != pixels.shape[:2]:
        raise KerasVisionError(f"regions of {numbers.shape} pixels for an image of {pixels.shape[:2]}.")
    flat = np.unique(numbers, return_inverse=True)[1].ravel()
    means = np.column_stack([np.bincount(flat, pixels[..., k].ravel()) / np.bincount(flat) for k in range(3)])
    drawn = (pixels + means[flat].reshape(pixels.shape)) / 2
    drawn[find_boundaries(numbers, mode="inner")] = _BORDER
    return np.rint(255 * drawn).astype(np.uint8)


def proposal_overlay(image: Any, proposals: Proposals, columns: int = 4, rows: int = 3) -> np.ndarray:
    """A sheet of the first proposals, each on the darkened image, row by row: uint8, `columns` images wide.

    Args:
        image: as of `gradient_contours`.
        proposals: of that image.
        columns, rows: of the sheet; rows that would be empty are left out.

    Raises:
        KerasVisionError: another image, proposals of another size, no proposals, or fewer than one column or row.
    """
    pixels = colours(image)
    if proposals.labels.shape != pixels.shape[:2] or not len(proposals) or min(columns, rows) < 1:
        raise KerasVisionError(
            f"{len(proposals)} proposals of {proposals.labels.shape} pixels for an image of {pixels.shape[:2]}, "
            f"columns={columns}, rows={rows}; give proposals of this image, and at least one column and row."
        )
    sheet = np.zeros((min(rows, -(-len(proposals) // columns)), columns, *pixels.shape))
    for position in range(min(len(proposals), rows * columns)):
        mask = proposals.mask(position)
        drawn = np.where(mask[..., None], pixels, pixels / 4)
        drawn[find_boundaries(mask, mode="inner")] = _BORDER
        sheet[divmod(position, columns)] = drawn
    joined = np.concatenate(list(np.concatenate(list(sheet.transpose(1, 0, 2, 3, 4)), 2)), 0)
    return np.rint(255 * joined).astype(np.uint8)
