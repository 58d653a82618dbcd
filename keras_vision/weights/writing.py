"""A model's weights to a file that every constructor reads back by path."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.files import whole_file
from keras_vision.weights.loading import variables


def save(model: keras.Model, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Write weights by "layer/variable", as `.npz`, `.safetensors` or `.weights.h5`, or the whole model, as `.keras`.

    Raises:
        WeightsError: another suffix.
        KerasVisionError: the path exists and `overwrite` is off, or cannot be written.
    """
    write = next((write for suffix, write in _WRITERS.items() if Path(path).name.endswith(suffix)), None)
    if write is None:
        raise WeightsError(f"{path}: nothing writes files of this suffix; accepted: {', '.join(_WRITERS)}.")
    with whole_file(path, overwrite) as temporary:
        write(model, temporary)


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Every weight of a model by "layer/variable"."""
    return {path: keras.ops.convert_to_numpy(variable) for path, _, variable in variables(model, {})}


def _save_npz(model: keras.Model, path: Path) -> None:
    keywords: Mapping[str, Any] = arrays_of(model)
    np.savez(path, **keywords)


def _save_safetensors(model: keras.Model, path: Path) -> None:
    header, start = {}, 0
    arrays = arrays_of(model)
    for name, array in arrays.items():
        place = [start, start := start + array.nbytes]
        header[name] = {"dtype": f"F{8 * array.itemsize}", "shape": array.shape, "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the arrays start at a multiple of 8 bytes
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            stream.write(np.ascontiguousarray(array).data)


_WRITERS: Mapping[str, Callable[[keras.Model, Path], None]] = {
    ".npz": _save_npz,
    ".safetensors": _save_safetensors,
    ".weights.h5": lambda model, path: model.save_weights(path),
    ".keras": lambda model, path: model.save(path),
}
