"""Reader of NumPy archives. Object arrays (pickles) are refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights.limits import check_archive

_VARIABLES = {"w": "kernel", "b": "bias"}


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive by "layer/variable", kernels in Keras' order (row, column, input, output).

    Keys may be "fire2/expand3x3/kernel" or, as some exporters write them, "fire2__expand3x3__kernel:0"; a kernel
    called "w" is in Caffe's order (output, input, row, column) and is transposed.

    Raises:
        WeightsError: the file is truncated, no archive, holds Python objects, or claims to be far larger than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except WeightsError:
        raise
    except (OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: damaged, or not a NumPy archive of arrays ({error}).") from error
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise WeightsError(f"{path}: holds no arrays, or something else than arrays.")
    return dict(_entry(key, array) for key, array in arrays.items())


def _entry(key: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    *layer, variable = key.removesuffix(":0").replace("__", "/").split("/")
    if variable == "w" and array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    return f"{'_'.join(layer)}/{_VARIABLES.get(variable, variable)}", array
