"""Finding weight files and reading them: an explicit path, the local store, or the public address."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.registry import WeightsFile
from keras_vision.weights.caffe_files import read_caffemodel
from keras_vision.weights.download import fetch, has_hash
from keras_vision.weights.keras_files import read_keras
from keras_vision.weights.npz import read_npz
from keras_vision.weights.onnx_files import read_onnx
from keras_vision.weights.safetensors_files import read_safetensors
from keras_vision.weights.torch_files import read_torch

Reader = Callable[[Path], dict[str, np.ndarray]]

READERS: Mapping[str, Reader] = {
    ".h5": read_keras,
    ".keras": read_keras,
    ".npz": read_npz,
    ".caffemodel": read_caffemodel,
    ".onnx": read_onnx,
    ".safetensors": read_safetensors,
    **dict.fromkeys((".pt", ".pth", ".th"), read_torch),
}


def home() -> Path:
    """Folder of downloaded weights: `$KERAS_VISION_HOME`, by default `~/.keras_vision`."""
    return Path(os.environ.get("KERAS_VISION_HOME") or "~/.keras_vision").expanduser()


def resolve(weights: str | os.PathLike, known: Sequence[WeightsFile]) -> tuple[Path, WeightsFile | None]:
    """The file behind `weights=`: a name of `known`, fetched once and verified, or an existing path.

    A path that ends in the name of a known file is that file, with its preprocessing.

    Raises:
        WeightsError: no such name and no such file, the file can be had neither locally nor from its address, or it is
            not what its name says.
    """
    found = next((file for file in known if file.answers_to(weights)), None)
    if found is not None and weights == found.name:
        return _named(found), found
    if isinstance(weights, str | os.PathLike) and Path(weights).expanduser().is_file():
        path = Path(weights).expanduser()
        if found is not None and not verify(path, found.hash):
            raise WeightsError(f"{path} has not the hash of {found.file}, {found.hash}: damaged, or to be renamed.")
        return path, found
    names = ", ".join(repr(f.name) for f in known) or "none for this model"
    raise WeightsError(
        f"weights={str(weights)!r} is neither a file nor a known name. Accepted: None (random weights), the path of a "
        f"{', '.join(READERS)} file, or a name (here: {names})."
    )


def read(path: Path, readers: Mapping[str, Reader]) -> dict[str, np.ndarray]:
    """Arrays of a weight file by "layer/variable"; the suffix picks the reader.

    Raises:
        WeightsError: unknown suffix, or a file its reader refuses.
    """
    known = {**READERS, **readers}
    if path.suffix not in known:
        raise WeightsError(f"{path}: no reader for {path.suffix!r} files of this model; accepted: {', '.join(known)}.")
    return known[path.suffix](path)


def verify(path: Path, expected: str) -> bool:
    """Whether the file has this hash ("sha256:...", or another of hashlib's): the first eight digits will do."""
    kind = expected.partition(":")[0]
    with path.open("rb") as stream:
        return has_hash(f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}", expected)


def _named(file: WeightsFile) -> Path:
    path = home() / file.file
    by_hand = f"Or put the file there yourself: {path} ({file.hash}), from {file.url}."
    try:
        if not path.exists():
            fetch(file.url, path, file.hash)
        elif not verify(path, file.hash):
            raise WeightsError(f"{path} does not have the hash {file.hash}: delete it and call again. {by_hand}")
    except OSError as error:
        raise WeightsError(
            f"weights={file.name!r} could not be fetched ({error}). Pass weights=None for random weights. {by_hand}"
        ) from error
    return path
