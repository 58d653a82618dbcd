"""The models that this project trained: where they lie, fetching them, and whether they are whole.

They are no part of the wheel. `manifest.json` of their folder says which files there are, with size and SHA-256.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

BASE = (Path(__file__).parents[2] / "savedmodels").as_uri()  # of a checkout; a published address goes here
VARIABLE = "KERAS_VISION_MODELS"  # an address or a folder in place of it
MANIFEST = "manifest.json"
_TIMEOUT = 20.0  # seconds
_LARGEST_MANIFEST, _LARGEST_FILE = 1 << 22, 8 << 20  # bytes


@dataclasses.dataclass(frozen=True)
class TrainedFile:
    """One file of a model.

    Attributes:
        model, name: such as "hed-squeezenet-bsds" and "model.tflite".
        sha256, size: what it has to be; the size in bytes.
    """

    model: str
    name: str
    sha256: str
    size: int


def base_address() -> str:
    """Where models are fetched from: the environment's address or folder, else the checkout that this file is of."""
    given = os.environ.get(VARIABLE) or BASE
    return given if "://" in given else Path(given).absolute().as_uri()


def read_manifest(address: str | None = None) -> dict[str, Any]:
    """The manifest at an address, by default at `base_address`.

    Raises:
        KerasVisionError: there is none, or it is damaged.
    """
    where = f"{(address or base_address()).rstrip('/')}/{MANIFEST}"
    try:
        with _opened(where) as response:
            found = json.loads(response.read(_LARGEST_MANIFEST))
    except (OSError, ValueError) as error:
        raise KerasVisionError(
            f"{where} cannot be read ({error}); set {VARIABLE} to a folder or an address that has a {MANIFEST}."
        ) from error
    if not isinstance(found, dict):
        raise KerasVisionError(f"{where} is damaged: it holds no object.")
    return found


def files_of(manifest: Mapping[str, Any], names: Iterable[str] = ()) -> list[TrainedFile]:
    """The files of some models, or of all.

    Raises:
        KerasVisionError: an unknown model, or an entry that is damaged or names a file elsewhere.
    """
    names = list(names) or list(manifest)
    if unknown := [name for name in names if name not in manifest]:
        raise KerasVisionError(f"no trained model is called {unknown[0]!r}; there are {', '.join(manifest)}.")
    found = []
    for model in names:
        try:
            for name, facts in manifest[model]["files"].items():
                found.append(TrainedFile(model, name, str(facts["sha256"]), int(facts["bytes"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise KerasVisionError(f"the manifest's entry of {model} is damaged: {error!r}.") from error
    for file in found:
        if any(len(PurePosixPath(part).parts) != 1 or part in ("..", "/") for part in (file.model, file.name)):
            raise KerasVisionError(
                f"the manifest names a file {file.model}/{file.name}, which is not below its folder."
            )
    return found


def fetch(folder: str | os.PathLike, names: Iterable[str] = (), address: str | None = None) -> Iterator[Path]:
    """Copy models to a folder, and then their manifest; files that are whole already stay, others are replaced.

    Yields:
        Each file, once it is there.

    Raises:
        KerasVisionError: a file cannot be had, or is not the one that the manifest names; it is not written then.
    """
    base = (address or base_address()).rstrip("/")
    manifest, names, folder = read_manifest(base), list(names), Path(folder)
    for file in files_of(manifest, names):
        path = folder / file.model / file.name
        if _fault(path, file) is not None:
            _fetch(f"{base}/{urllib.parse.quote(f'{file.model}/{file.name}')}", path, file)
        yield path
    known = read_manifest(folder.absolute().as_uri()) if (folder / MANIFEST).exists() else {}
    entries = known | {name: manifest[name] for name in names or manifest}
    with whole_file(folder / MANIFEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n", encoding="utf-8")


def verify(
    folder: str | os.PathLike | None = None, names: Iterable[str] = ()
) -> Iterator[tuple[TrainedFile, str | None]]:
    """Each file of a folder's models, with what is wrong with it, or None.

    Args:
        folder: with a manifest; by default `base_address`, if that is a folder.
        names: models; all by default.

    Raises:
        KerasVisionError: no such folder or manifest.
    """
    address = base_address() if folder is None else Path(folder).absolute().as_uri()
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "file":
        raise KerasVisionError(f"{address} is no folder; fetch the models and verify the folder that has them.")
    root = Path(urllib.request.url2pathname(parts.path))
    for file in files_of(read_manifest(address), names):
        yield file, _fault(root / file.model / file.name, file)


def _fault(path: Path, file: TrainedFile) -> str | None:
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != file.size:
        return f"{size:,} bytes in place of {file.size:,}"
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if found == file.sha256 else f"another hash, {found[:12]}… in place of {file.sha256[:12]}…"


def _fetch(address: str, path: Path, file: TrainedFile) -> None:
    if file.size > _LARGEST_FILE:
        raise KerasVisionError(f"{address} is said to have {file.size:,} bytes; at most {_LARGEST_FILE:,} are taken.")
    with whole_file(path, overwrite=True) as temporary:
        try:
            with _opened(address) as response:
                temporary.write_bytes(response.read(file.size + 1))  # no more, whatever the other side sends
        except OSError as error:
            raise KerasVisionError(f"{address} cannot be fetched: {error}; {path} was not written.") from error
        if fault := _fault(temporary, file):
            raise KerasVisionError(f"{address}: {fault}; {path} was not written.")


def _opened(address: str) -> Any:
    if urllib.parse.urlsplit(address).scheme not in ("file", "http", "https"):
        raise OSError(f"{address} is no file, http or https address")
    return urllib.request.urlopen(address, timeout=_TIMEOUT)
