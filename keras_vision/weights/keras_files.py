"""Reader of Keras' own weight files: legacy `.h5`, `.weights.h5` and `.keras`. Only arrays are read, no code runs."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights.limits import check_archive, check_contents

_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
_RECORD = "model.weights.h5"  # the member of a `.keras` archive that holds the weights


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a Keras weight file by "layer/variable".

    Files in the older layout name their variables ("conv1/kernel"); the others only number them ("conv1/0").

    Raises:
        WeightsError: the file is truncated, not HDF5, holds no weights, or claims to be far larger than it is.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                check_archive(path, archive)
                stream: Path | io.BytesIO = io.BytesIO(archive.read(_RECORD))
        else:
            stream = path
        with h5py.File(stream, "r") as file:
            check_contents(path, _bytes(file))
            group = file.get("model_weights", file)
            read = _legacy if "layer_names" in group.attrs else _numbered
            arrays = dict(read(group))
    except WeightsError:
        raise
    except (OSError, KeyError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: damaged, or not a Keras weight file ({error}).") from error
    if not arrays:
        raise WeightsError(f"{path}: holds no weights.")
    return arrays


def _bytes(file: h5py.Group) -> int:
    """What all arrays of the file would take."""
    total = 0

    def visit(path: str, item: h5py.HLObject) -> None:
        nonlocal total
        total += item.nbytes if isinstance(item, h5py.Dataset) else 0

    file.visititems(visit)
    return total


def _legacy(file: h5py.Group) -> Iterator[tuple[str, np.ndarray]]:
    for layer in map(_text, file.attrs["layer_names"]):
        for name in map(_text, file[layer].attrs["weight_names"]):
            variable = name.rsplit("/", 1)[-1].removesuffix(":0")
            yield f"{layer}/{_of_today(layer, variable)}", np.asarray(file[layer][name])


def _of_today(layer: str, variable: str) -> str:
    """A variable's name since Keras 2; Keras 1, which wrote some public files, has "conv1_W_1" in a layer "conv1"."""
    own = re.sub(r"_\d+$", "", variable.removeprefix(f"{layer}_"))
    return _KERAS_1.get(own, own) if variable.startswith(f"{layer}_") else variable


def _numbered(file: h5py.Group) -> Iterator[tuple[str, np.ndarray]]:
    found: list[tuple[str, np.ndarray]] = []

    def visit(path: str, item: h5py.HLObject) -> None:
        head, _, number = path.rpartition("/")
        if isinstance(item, h5py.Dataset) and "layers/" in path and "seed_generator" not in path:
            found.append((f"{_text(file[head].attrs['name'])}/{number}", np.asarray(item)))

    file.visititems(visit)
    yield from found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
