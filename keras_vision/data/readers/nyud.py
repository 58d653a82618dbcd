"""NYU Depth v2, the labelled part (Silberman et al., ECCV 2012; https://cs.nyu.edu/~silberman/datasets)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.data.listings import PathLike, one_of
from keras_vision.data.mat_files import check_stored, hdf5_file, mat_variable, whole_numbers
from keras_vision.errors import KerasVisionError

VOID = 255
_PARTS = ("train", "test")
_MOST_PIXELS = 1 << 24  # of one photograph; the published ones have 640 x 480


class Hdf5Images(Sequence[np.ndarray]):
    """Photographs in a MATLAB 7.3 file, each read when it is asked for: uint8 `(h, w, 3)`."""

    def __init__(self, path: PathLike, positions: Iterable[int]):
        self.path, self.positions = Path(path), tuple(positions)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return Hdf5Images(self.path, self.positions[position])
        with hdf5_file(self.path, "images") as file:
            return np.ascontiguousarray(file["images"][self.positions[position]].transpose(2, 1, 0))


def nyud(
    file: PathLike,
    mapping: PathLike | Sequence[int],
    class_names: Sequence[str] | None = None,
    splits: PathLike | None = None,
    part: str | None = None,
) -> SegmentedImages:
    """1,449 photographs of rooms with a class for each pixel; what has none is void (255).

    Args:
        file: `nyu_depth_v2_labeled.mat`.
        mapping: class, from 1, of each of the 894 labels, 0 for none; or a file of it: Gupta's `classMapping40.mat`
            (`mapClass`, `className`).
        class_names: names of the classes (40, 13 or others). None: from the file of the mapping.
        splits: the authors' `splits.mat`, with `part`. None: all photographs.
        part: "train" (795) or "test" (654), with `splits`.

    Raises:
        KerasVisionError: a missing or damaged file, a mapping, names or splits that do not fit, or a part without
            splits, or splits without a part.
    """
    if part is not None:
        one_of("part", part, _PARTS)
    if (splits is None) != (part is None):
        raise KerasVisionError(f"splits={splits!r} with part={part!r}; give both, or neither for all photographs.")
    numbers, names = _mapping(mapping, class_names)
    with hdf5_file(file, "images", "labels") as contents:
        images, labels = contents["images"].shape, contents["labels"].shape
        types = (contents["images"].dtype, contents["labels"].dtype)
        for name in ("images", "labels"):
            check_stored(contents[name])
    right = len(images) == 4 and len(labels) == 3 and images[1] == 3 and images[2:] == labels[1:]
    if not right or images[0] != labels[0] or types != (np.uint8, np.uint16) or images[2] * images[3] > _MOST_PIXELS:
        raise KerasVisionError(
            f"{file}: images {images} and labels {labels} of {types}; NYUDv2 has (n, 3, w, h), (n, w, h)."
        )
    positions = range(images[0]) if splits is None or part is None else _positions(splits, part, images[0])
    lookup = np.concatenate([[VOID], np.where(numbers == 0, VOID, numbers - 1)])
    return SegmentedImages(
        Hdf5Images(file, positions), positions, names, VOID, partial(_labels, Path(file)), lookup=lookup
    )


def _labels(file: Path, position: int) -> np.ndarray:
    with hdf5_file(file, "labels") as contents:
        return contents["labels"][position].T


def _mapping(mapping: Any, class_names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if isinstance(mapping, PathLike):
        numbers = np.ravel(whole_numbers(mat_variable(mapping, "mapClass"), mapping))
        if class_names is None:
            class_names = [
                str(np.ravel(cell)[0]) for cell in np.ravel(mat_variable(mapping, "className")) if np.size(cell)
            ]
    else:
        numbers = whole_numbers(mapping, "the mapping")
    if class_names is None:
        raise KerasVisionError("a mapping without names; give class_names in the order of the classes.")
    if (
        numbers.ndim != 1
        or numbers.min(initial=0) < 0
        or numbers.max(initial=0) > len(class_names)
        or len(class_names) >= VOID
    ):
        raise KerasVisionError(
            f"a mapping to {numbers.min(initial=0)} to {numbers.max(initial=0)} for {len(class_names)} names; expected "
            "the class of each label, from 1 to the number of names, and 0 for none."
        )
    return numbers, tuple(class_names)


def _positions(splits: PathLike, part: str, count: int) -> list[int]:
    numbers = np.ravel(whole_numbers(mat_variable(splits, f"{part}Ndxs"), splits))
    wrong = numbers[(numbers < 1) | (numbers > count)]
    if wrong.size or not numbers.size:
        raise KerasVisionError(f"{splits}: photographs {wrong[:5].tolist()} of {part}; expected 1 to {count}.")
    return (numbers - 1).tolist()
