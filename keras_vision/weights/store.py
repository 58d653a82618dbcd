"""Finding weight files and reading them: an explicit path, the local store, or the public address."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.registry import WeightsFile
from keras_vision.weights.keras_files import read_keras
from keras_vision.weights.npz import read_npz

Reader = Callable[[Path], dict[str, np.ndarray]]

READERS: Mapping[str, Reader] = {".h5": read_keras, ".keras": read_keras, ".npz": read_npz}


def home() -> Path:
    """Folder of downloaded weights: `$KERAS_VISION_HOME`, by default `~/.keras_vision`."""
    return Path(os.environ.get("KERAS_VISION_HOME", "~/.keras_vision")).expanduser()


def resolve(weights: str | os.PathLike, known: Sequence[WeightsFile]) -> tuple[Path, WeightsFile | None]:
    """The file behind `weights=`: an existing path, or a name of `known`, fetched once and verified.

    Raises:
        WeightsError: no such name and no such file, or the file can be had neither locally nor from its address.
    """
    for file in known:
        if weights == file.name:
            return _named(file), file
    if isinstance(weights, str | os.PathLike) and Path(weights).expanduser().is_file():
        return Path(weights).expanduser(), None
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
    """Whether the file's hash is `expected` ("sha256:..." or "md5:...")."""
    kind, _, digest = expected.partition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == digest


def _named(file: WeightsFile) -> Path:
    path = home() / file.file
    by_hand = f"Or put the file there yourself: {path} ({file.hash}), from {file.url}."
    if path.exists():
        if verify(path, file.hash):
            return path
        raise WeightsError(f"{path} does not have the hash {file.hash}: delete it and call again. {by_hand}")
    try:
        fetched = keras.utils.get_file(
            file.file,
            file.url,
            file_hash=file.hash.partition(":")[2],
            cache_dir=str(home()),
            cache_subdir=".",
        )
    except Exception as error:  # Keras wraps every network failure in a bare Exception
        path.unlink(missing_ok=True)  # what arrived is not the file
        raise WeightsError(
            f"weights={file.name!r} could not be fetched ({error}). Pass weights=None for random weights. {by_hand}"
        ) from error
    return Path(fetched)
