"""Reader of .safetensors files: a JSON header, then raw arrays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights.protobuf import WireError, shape_of

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "?",
}  # fmt: skip
LENGTH_BYTES = 8  # of the header's length, with which the file starts


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a .safetensors file by the names in it, in the order and layout of the file.

    bfloat16 becomes float32. The arrays are views of the one buffer that holds the file.

    Raises:
        WeightsError: the file is truncated, is no .safetensors file, or holds a dtype that NumPy does not have.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    header_size = int(data[:LENGTH_BYTES].view("<u8")[0]) if data.size >= LENGTH_BYTES else data.size
    start = LENGTH_BYTES + header_size
    if start > data.size:
        raise WeightsError(f"{path}: truncated, or no .safetensors file ({data.size} bytes).")
    try:
        header = json.loads(data[LENGTH_BYTES:start].tobytes())
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: no .safetensors file; its header is no JSON object ({error}).") from error
    if not entries:
        raise WeightsError(f"{path}: holds no arrays.")
    return {name: _array(data[start:], entry, f"{path}: {name}") for name, entry in entries.items()}


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """uint16 arrays holding the upper halves of float32 numbers."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _elements(shape: list[int]) -> int | None:
    """Number of elements; None for what is no array's shape."""
    try:
        return math.prod(shape_of(shape))
    except WireError:
        return None


def _array(data: np.ndarray, entry: Any, where: str) -> np.ndarray:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{where}: the header does not say its dtype, shape and place ({error!r}).") from error
    stored = "<u2" if dtype == "BF16" else DTYPES.get(dtype) if isinstance(dtype, str) else None
    if stored is None:
        raise WeightsError(f"{where}: dtype {dtype}; accepted: BF16, {', '.join(DTYPES)}.")
    count = _elements(shape) if whole else None
    if count is None or end > data.size or end - begin != count * np.dtype(stored).itemsize:
        raise WeightsError(
            f"{where}: shape {shape} of {dtype} does not fit bytes {begin} to {end} of {data.size}; truncated?"
        )
    array = np.frombuffer(data[begin:end].data, stored).reshape(shape)
    return bfloat16_to_float32(array) if dtype == "BF16" else array
