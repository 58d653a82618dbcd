"""One variable of a MATLAB file: version 5 through SciPy, version 7.3 (HDF5) through h5py, bounded in memory."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from scipy.io import loadmat, whosmat

from keras_vision.data.listings import PathLike
from keras_vision.data.mat_structure import check_structure, is_nested
from keras_vision.errors import KerasVisionError

LIMIT = 1 << 28  # bytes of one annotation file, unpacked
_HEADER, _COMPRESSED, _CHUNK = 128, 15, 1 << 20
_LARGEST = (1 << 31) - 1  # number of a class
_DENSEST = 1000  # values in a stored byte: the best that deflate does
_HDF5 = b"\x89HDF\r\n\x1a\n"


def mat_variable(path: PathLike, name: str, limit: int = LIMIT) -> Any:
    """A variable of a MATLAB 5 file, as SciPy gives it. Structures are records, cells are object arrays.

    Raises:
        KerasVisionError: missing, damaged, of version 7.3, without that variable, or larger than `limit` bytes.
    """
    path = Path(path)
    if not path.is_file():
        raise KerasVisionError(f"{path}: no such file.")
    try:
        with path.open("rb") as stream:
            _check_version(path, stream.read(_HEADER))
            _check_contents(path, stream, limit)
        shapes = {variable: shape for variable, shape, _ in whosmat(path)}
        if math.prod(shapes.get(name, ())) > limit:
            raise KerasVisionError(f"{path}: claims {name} of {shapes[name]}, more than {limit} bytes.")
        loaded = loadmat(path, variable_names=[name])
    except KerasVisionError:
        raise
    except Exception as error:  # SciPy raises many kinds on a damaged file
        raise KerasVisionError(f"{path}: damaged, or no MATLAB 5 file ({error}).") from error
    if name not in loaded:
        raise KerasVisionError(f"{path}: holds {', '.join(shapes) or 'nothing'}; expected a variable {name!r}.")
    return loaded[name]


def field(record: Any, name: str, path: PathLike) -> Any:
    """A field of a 1 x 1 structure.

    Raises:
        KerasVisionError: it is none, or has no such field.
    """
    names = getattr(getattr(record, "dtype", None), "names", None) or ()
    if name not in names or record.size != 1:
        raise KerasVisionError(
            f"{path}: expected one structure with {name!r}, found fields {', '.join(names) or 'none'}."
        )
    return record[name].item()


def class_map(values: Any, path: PathLike) -> np.ndarray:
    """Whole numbers `(h, w)` from a MATLAB matrix.

    Raises:
        KerasVisionError: not such a matrix.
    """
    values = np.asarray(values)
    if values.ndim != 2:
        raise KerasVisionError(f"{path}: expected a matrix of whole numbers, found {values.dtype} {values.shape}.")
    return whole_numbers(values, path).astype(np.int32 if values.dtype.kind in "bf" else values.dtype)


def whole_numbers(values: Any, path: PathLike) -> np.ndarray:
    """Numbers of any shape as int64: whole ones of at most 32 bits, whatever their type.

    Raises:
        KerasVisionError: something else.
    """
    try:
        values = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise KerasVisionError(f"{path}: expected whole numbers ({error}).") from error
    kind = values.dtype.kind
    whole = kind in "biu" or (kind == "f" and (values == np.trunc(values)).all())
    if not whole or (values.size and not -_LARGEST <= values.min() <= values.max() <= _LARGEST):
        raise KerasVisionError(
            f"{path}: expected a matrix of whole numbers up to {_LARGEST}, found {values.dtype} {values.shape}."
        )
    return values.astype(np.int64)


@contextlib.contextmanager
def hdf5_file(path: PathLike, *names: str) -> Iterator[h5py.File]:
    """A MATLAB 7.3 file, open for reading. Arrays have their axes in the reverse of MATLAB's order.

    Raises:
        KerasVisionError: missing, damaged, or without one of the names; also where reading in the block fails.
    """
    if not Path(path).is_file():
        raise KerasVisionError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            if lacking := [name for name in names if name not in file]:
                raise KerasVisionError(f"{path}: holds {', '.join(file)}; expected {', '.join(lacking)}.")
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, KerasVisionError):
            raise
        raise KerasVisionError(f"{path}: damaged, or no MATLAB 7.3 file of that layout ({error}).") from error


def check_stored(dataset: h5py.Dataset, limit: int = LIMIT) -> None:
    """Refuse what HDF5 would make up or unpack to more than was published: unwritten values, and enormous chunks.

    Raises:
        ValueError: more than a thousand values for a stored byte, chunks of more than `limit` bytes, or another file's.
    """
    chunk = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
    if dataset.size > _DENSEST * dataset.id.get_storage_size() or chunk > limit or dataset.external:
        raise ValueError(f"{dataset.name} claims {dataset.shape} in {dataset.id.get_storage_size()} bytes")


def _check_version(path: Path, header: bytes) -> None:
    if header.startswith(_HDF5) or b"MATLAB 7.3" in header[:20]:
        raise KerasVisionError(f"{path}: a MATLAB 7.3 file; save it with -v7 as it was published.")
    if len(header) < _HEADER or header[126:] not in (b"IM", b"MI"):
        raise KerasVisionError(f"{path}: damaged, or no MATLAB 5 file.")


def _check_contents(path: Path, stream: BinaryIO, limit: int) -> None:
    """Unpacks piece by piece, as a megabyte can unpack to a gigabyte; of cells and structures checks the claims."""
    stream.seek(_HEADER - 2)
    order = "<" if stream.read(2) == b"IM" else ">"
    total = 0
    while len(tag := stream.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        start = stream.tell()
        pieces = _unpacked(stream, size) if kind == _COMPRESSED else _pieces(stream, size)
        head = (b"" if kind == _COMPRESSED else tag) + next(pieces, b"")
        kept = [head] if is_nested(head, order) else None
        total += len(head)
        for piece in pieces:
            total += len(piece)
            if kept is not None:
                kept.append(piece)
            if total > limit:
                raise KerasVisionError(f"{path}: unpacks to more than {limit} bytes; no such file was published.")
        if kept is not None:
            check_structure(b"".join(kept), order)
        stream.seek(start + size)


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := stream.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece


def _unpacked(stream: BinaryIO, size: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    for packed in _pieces(stream, size):
        while packed and not unpacker.eof:
            yield unpacker.decompress(packed, _CHUNK)
            packed = unpacker.unconsumed_tail
