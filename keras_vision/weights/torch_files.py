"""Reader of PyTorch checkpoints, the zip format and the one before it, without PyTorch and without unpickling.

A checkpoint is a pickle that asks for tensors and plain containers; whatever else it asks for is refused by name and
never imported or called.
"""

from __future__ import annotations

import io
import itertools
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights.pickle_machine import Global, Refused, interpret, of_type, pairs
from keras_vision.weights.safetensors_files import bfloat16_to_float32

LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
MAX_AXES = 64  # of a NumPy array
MAX_COPIES, SPARE_BYTES = 8, 2**24  # arrays that are no views take so many times the file's size, and a little more
STATE_KEYS = ("state_dict", "model_state_dict", "model")  # under which training scripts keep the weights


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a PyTorch checkpoint (.pth, .pt, .th) by their names in the state dict, in PyTorch's layout.

    The state dict is the file's dictionary itself, or what it has under "state_dict", "model_state_dict" or "model".
    A "module." in front of every name (DataParallel) is taken off. bfloat16 becomes float32. Numbers and texts beside
    the tensors, such as an epoch, are left out. Convolutions are (output, input, row, column), dense kernels
    (output, input).

    Raises:
        WeightsError: the file is truncated, compressed, no checkpoint, or asks for anything but tensors and plain
            containers.
    """
    try:
        with path.open("rb") as stream:
            zipped = zipfile.is_zipfile(stream)
            stream.seek(0)
            content = _zip(stream) if zipped else _legacy(stream, path.stat().st_size)
        return _state(content, MAX_COPIES * path.stat().st_size + SPARE_BYTES)
    except Refused as error:
        raise WeightsError(f"{path}: {error}") from error
    # What pickletools, zipfile and the stack machine raise on damaged bytes.
    except (
        ValueError, IndexError, KeyError, TypeError, EOFError, OverflowError, NotImplementedError, RuntimeError,
        RecursionError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: damaged, or no PyTorch checkpoint ({error}).") from error


class _Storage:
    """Numbers that tensors are views of; in the older format they come after everything else."""

    def __init__(self, kind: str, count: int):
        self.kind, self.count = kind, count
        self.numbers: np.ndarray | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * np.dtype(STORAGES[self.kind]).itemsize

    def fill(self, data: bytes) -> None:
        if len(data) != self.size:
            raise Refused(f"truncated: a storage has {len(data)} bytes of {self.size}.")
        self.numbers = np.frombuffer(data, STORAGES[self.kind])


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers

    def array(self) -> np.ndarray:
        numbers = self.storage.numbers
        if numbers is None:
            raise Refused("truncated: a tensor has no storage.")
        if len(self.shape) > MAX_AXES or any(abs(n) >= 2**63 for n in self.shape):  # their product could take for ever
            raise Refused("a tensor has more axes, or larger ones, than an array can have.")
        size = math.prod(self.shape)
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or size > numbers.size or (size and last >= numbers.size):
            raise Refused(f"a tensor of shape {self.shape} reaches beyond its storage of {numbers.size} numbers.")
        strides = [stride * numbers.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)
        view = np.ascontiguousarray(view).reshape(self.shape)
        return bfloat16_to_float32(view) if self.storage.kind == "BFloat16Storage" else view


def _zip(stream: BinaryIO) -> Any:
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise Refused(f"{entry.filename} is compressed, which PyTorch never does.")
        if sum(entry.file_size for entry in archive.infolist()) > stream.seek(0, io.SEEK_END):
            raise Refused("its entries are larger than the file: some overlap.")
        program = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if program is None:
            raise Refused("a zip archive without data.pkl, so no PyTorch checkpoint.")
        root = program.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise Refused("written on a big-endian machine.")
        storages: dict[str, _Storage] = {}

        def storage(kind: str, key: str, count: int) -> _Storage:
            if key not in storages:
                storages[key] = _Storage(kind, count)
                storages[key].fill(archive.read(f"{root}data/{key}"))
            return storages[key]

        return _interpret(io.BytesIO(archive.read(program)), storage)


def _legacy(stream: BinaryIO, size: int) -> Any:
    storages: dict[str, _Storage] = {}

    def storage(kind: str, key: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(kind, count))

    magic = _interpret(stream, storage)
    if magic != LEGACY_MAGIC or _interpret(stream, storage) != LEGACY_VERSION:
        raise Refused("no PyTorch checkpoint: it does not start with PyTorch's number.")
    system = of_type(_interpret(stream, storage), dict)
    if not system.get("little_endian", True):
        raise Refused("written on a big-endian machine.")
    content = _interpret(stream, storage)
    for key in of_type(_interpret(stream, storage), list):
        count = int.from_bytes(stream.read(8), "little")
        if count != storages[of_type(key, str)].count or storages[key].size > size:
            raise Refused(f"truncated: storage {key} has {count} numbers, {storages[key].count} are wanted.")
        storages[key].fill(stream.read(storages[key].size))
    return content


def _state(content: Any, limit: int) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise Refused(f"holds {type(content).__name__.lstrip('_')}, not a dictionary of tensors.")
    nested = (content[key] for key in STATE_KEYS if isinstance(content.get(key), dict))
    tensors = {name: value for name, value in next(nested, content).items() if isinstance(value, _Tensor)}
    if not tensors:
        raise Refused("holds no tensors under names.")
    prefix = "module." if all(str(name).startswith("module.") for name in tensors) else ""
    arrays = {}
    copied = 0
    for name, tensor in tensors.items():
        array = arrays[str(name).removeprefix(prefix)] = tensor.array()
        if not np.may_share_memory(array, tensor.storage.numbers):
            copied += array.nbytes
        if copied > limit:
            raise Refused(f"its tensors take more than {limit} bytes; they are copies of the same few numbers.")
    return arrays


def _interpret(stream: BinaryIO, storage: Callable[[str, str, int], _Storage]) -> Any:
    return interpret(stream, lambda identity: _persistent(identity, storage), _reduce)


def _persistent(identity: Any, storage: Callable[[str, str, int], _Storage]) -> _Storage:
    what, kind, key, _, count, *view = of_type(identity, tuple)
    if of_type(what, str) != "storage" or not isinstance(kind, Global) or any(part is not None for part in view):
        raise Refused(f"an object {what[:50]!r} kept outside of the pickle is refused.")
    module, name = kind.name.split(" ", 1)
    if module not in ("torch", "torch.storage") or name not in STORAGES:
        raise Refused(f"a storage of {module}.{name} is refused; accepted: {', '.join(STORAGES)}.")
    if type(count) is not int or count < 0:
        raise Refused("a storage whose size is no whole number.")
    return storage(name, of_type(key, str), count)


def _reduce(function: Any, arguments: Any) -> Any:
    """What a call in the pickle gives, for the few functions that tensors and state dicts are made of."""
    name = of_type(function, Global).name
    if name == "collections OrderedDict":
        return pairs(*arguments) if of_type(arguments, tuple) else {}
    if name in ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor"):
        storage, offset, shape, strides = arguments[:4]
        numbers = itertools.chain((offset,), of_type(shape, tuple), of_type(strides, tuple))
        if not isinstance(storage, _Storage) or any(type(number) is not int for number in numbers):
            raise Refused("a tensor that is not made of a storage and whole numbers.")
        return _Tensor(storage, offset, shape, strides)
    if name == "torch._utils _rebuild_parameter":
        return arguments[0]
    if name == "torch Size":
        return tuple(*arguments)
    raise Refused(
        f"asks for {name.replace(' ', '.')}, which is neither a tensor nor a plain container; it was not called. "
        "Save the state dict alone: torch.save(model.state_dict(), path)."
    )
