"""A model to a packed file and back."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np

from keras_vision.compression.kernel_variables import check_finite, values_of
from keras_vision.compression.ledger import Ledger, Line
from keras_vision.compression.packed_array import Entry, encode
from keras_vision.compression.packed_file import assemble, parse, read_packed
from keras_vision.errors import KerasVisionError, WeightsError
from keras_vision.files import whole_file

__all__ = ["load_packed", "load_packed_weights", "pack", "read_packed"]


def pack(model: keras.Model, path: str | os.PathLike, *, overwrite: bool = False) -> Ledger:
    """Write a model's weights, bit by bit as they are, and its configuration to a packed file.

    A kernel of at most 256 different values is coded by codebook, Huffman-coded codes and, where that is smaller,
    Huffman-coded gaps between its weights other than 0; prune and share it before. Everything else is written plainly.
    The file is decoded again and compared before it is kept.

    Args:
        model: built; if Keras cannot write its configuration, `load_packed_weights` still reads the weights.
        path: file to write, usually `.kvpack`.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: NaN or infinite weights, the file exists or cannot be written.
    """
    check_finite(model)
    arrays = {name: values_of(variable) for name, variable in _named(model).items()}
    coded = [encode(name, array) for name, array in arrays.items()]
    config = keras.saving.serialize_keras_object(model)
    content = assemble([entry for entry, _, _ in coded], [body for _, body, _ in coded], config)
    decoded, _ = parse(content, str(path))
    for name, array in arrays.items():
        if decoded[name].tobytes() != array.tobytes():
            raise WeightsError(f"{path}: {name} does not decode to itself; the file is not written. Report this.")
    try:
        with whole_file(path, overwrite) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise KerasVisionError(f"{path} cannot be written: {error.strerror or error}. Make room, try again.") from error
    lines = tuple(_line(entry, arrays[entry.name], body, before) for entry, body, before in coded)
    return Ledger(lines, len(content) - sum(line.packed for line in lines), len(content))


def load_packed(path: str | os.PathLike) -> keras.Model:
    """The model of a packed file, with its weights; `safe_mode` is on.

    Raises:
        WeightsError: as `read_packed`, or the file's network is not one that Keras can build.
    """
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    if not content:
        raise WeightsError(f"{path}: no such file, or an empty one.")
    arrays, config = parse(content, str(path))
    if config is None:
        raise WeightsError(f"{path}: holds weights without their network; use load_packed_weights(model, path).")
    import keras_vision.layers  # registers what configurations name, as does the next
    import keras_vision.model  # noqa: F401

    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise TypeError(f"a {type(model).__name__}")
    except Exception as error:  # Keras raises many kinds on a configuration it cannot build
        raise WeightsError(f"{path}: its network cannot be built ({error}).") from error
    _assign(model, arrays, str(path))
    return model


def load_packed_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Copy the weights of a packed file into a model of the same layers. Nothing is copied unless all fit.

    Raises:
        WeightsError: as `read_packed`, or the file belongs to another network.
    """
    _assign(model, read_packed(path), str(path))


def _assign(model: keras.Model, arrays: dict[str, np.ndarray], where: str) -> None:
    """Copy by place: the path of a nested model's weights depends on the model around it, their order does not."""
    found = [(_last(name), array.shape, str(array.dtype)) for name, array in arrays.items()]
    named = _named(model).items()
    wanted = [(_last(name), tuple(v.shape), str(v.dtype)) for name, v in named]
    if found != wanted:
        wrong = [name for name, *_ in found if name not in {own for own, *_ in wanted}] or [
            f"{name} {shape}" for name, shape, _ in set(found) - set(wanted)
        ]
        raise WeightsError(
            f"{where} does not fit {model.name}: {len(found)} arrays for {len(wanted)} weights, such as "
            f"{', '.join(wrong[:3]) or 'in another order'}; it belongs to another network."
        )
    for (_, variable), array in zip(named, arrays.values(), strict=True):
        variable.assign(array)


def _last(name: str) -> str:
    """Layer and variable, without the models around them."""
    return "/".join(name.partition("#")[0].split("/")[-2:])


def _named(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its path; a second one of the same path has its number behind it."""
    named: dict[str, keras.Variable] = {}
    for variable in model.weights:
        taken = sum(name.partition("#")[0] == variable.path for name in named) if variable.path in named else 0
        named[f"{variable.path}#{taken}" if taken else variable.path] = variable
    return named


def _line(entry: Entry, array: np.ndarray, body: bytes, before: int) -> Line:
    sparse = entry.coding == "sparse"
    kept = int(np.count_nonzero(array))
    pruned = 4 * kept + -(-entry.entries * entry.gap_bits // 8) if sparse else array.nbytes
    return Line(entry.name, array.size, kept, entry.codebook, array.nbytes, pruned, before, len(body))
