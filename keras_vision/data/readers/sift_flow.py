"""SIFT Flow (Liu, Yuen, Torralba, 2009; from LabelMe): 2,688 outdoor scenes, 33 classes and 3 of geometry."""

from __future__ import annotations

from pathlib import PureWindowsPath

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.data.listings import PathLike, check_present, existing_folder, one_of, read_lines
from keras_vision.data.mat_files import class_map, mat_variable
from keras_vision.errors import KerasVisionError

VOID = 255
_SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
_FOLDERS = {"semantic": "SemanticLabels", "geometric": "GeoLabels"}


def sift_flow(folder: PathLike, listing: PathLike, labels: str = "semantic") -> SegmentedImages:
    """Scenes of 256 x 256 pixels with a class for each; unlabelled pixels (0, or -1 in the geometry) are void (255).

    Args:
        folder: holds `Images`, `SemanticLabels` and `GeoLabels`, each with the folder of the scenes.
        listing: text with one scene per line, as the authors' TestSet1.txt (paths with backslashes) or the id alone.
        labels: "semantic" (33 classes) or "geometric" (3).

    Raises:
        KerasVisionError: a missing folder, list, scene or mask.
    """
    root = existing_folder(folder, "SIFT Flow's folder, with Images and SemanticLabels")
    kind = _FOLDERS[one_of("labels", labels, _FOLDERS)]
    ids = [PureWindowsPath(line.strip()).stem for line in read_lines(listing)]
    sources = [root / "Images" / _SCENES / f"{name}.jpg" for name in ids]
    masks = [root / kind / _SCENES / f"{name}.mat" for name in ids]
    check_present([*sources, *masks], listing)
    if not masks:
        raise KerasVisionError(f"{listing}: names no scenes; give one per line.")
    names = _class_names(masks[0])
    lookup = np.array([VOID, *range(len(names))])
    return SegmentedImages(sources, masks, names, VOID, scene_mask, lookup=lookup)


def scene_mask(path: PathLike) -> np.ndarray:
    """The numbers in `S`, `(h, w)`, from 1; 0 where there is no label.

    Raises:
        KerasVisionError: missing or damaged.
    """
    numbers = class_map(mat_variable(path, "S"), path)
    return np.where(numbers.astype(np.int32) == -1, 0, numbers)


def _class_names(mask: PathLike) -> tuple[str, ...]:
    """Every mask holds the names of all classes."""
    cells = np.ravel(mat_variable(mask, "names"))
    names = tuple(str(np.ravel(cell)[0]) if np.size(cell) else "" for cell in cells)
    if not names or cells.dtype != object or not all(names):
        raise KerasVisionError(f"{mask}: `names` holds no list of class names.")
    return names
