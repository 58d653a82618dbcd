"""Reader of the protobuf wire format, as far as weight files need it: without schemas, classes or recursion.

A message is a sequence of fields, each a number and a value. Sub-messages are slices of the mapped file, so that only
what becomes an array is copied, and no length that the file claims is allocated before its bytes are seen.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
VARINT_BYTES = 10  # of 64 bits, 7 in each
MAX_FIELD = 2**29 - 1
MAX_AXES = 32  # as in Caffe; also keeps the product of a shape small enough to compute
MAX_SIZE = 2**48  # numbers in an array
# An array of a few bytes costs Python a thousand; with these two a small file cannot ask for gigabytes.
MAX_NAME = 1000  # bytes
MAX_ARRAYS = 100_000  # in a file; ResNet-1202 has about 7,000


class WireError(ValueError):
    """The bytes are no message, or not the message they should be; says why."""


def map_file(path: Path) -> memoryview:
    """The bytes of a file, brought into memory only where they are looked at."""
    if not path.stat().st_size:  # which cannot be mapped
        return memoryview(b"")
    return np.memmap(path, np.uint8, "r").data


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field in the order of the file: varints as unsigned int, all others as their bytes.

    Raises:
        WireError: the message is truncated, has a number of more than 64 bits, or has groups.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= MAX_FIELD:
            raise WireError(f"a field has the number {number}")
        if wire_type == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == LENGTH_DELIMITED:
            size, at = _varint(message, at)
        elif wire_type in (FIXED32, FIXED64):
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise WireError(f"field {number} has the wire type {wire_type}; groups are refused")
        if size > len(message) - at:
            raise WireError(f"field {number} has {size} bytes where {len(message) - at} are left; truncated?")
        yield number, message[at : at + size]
        at += size


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of a field that are messages, texts or bytes."""
    for field, value in fields(message):
        if field == number:
            if isinstance(value, int):
                raise WireError(f"field {number} is a number, not bytes")
            yield value


def integers(message: memoryview, number: int) -> Iterator[int]:
    """The values of an integer field, packed or not, as unsigned numbers of 64 bits."""
    for field, value in fields(message):
        if field != number:
            continue
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            item, at = _varint(value, at)
            yield item


def last_integer(message: memoryview, number: int) -> int | None:
    """The value of an integer field that is not repeated; None where it is absent."""
    last = deque(integers(message, number), maxlen=1)
    return last[0] if last else None


def text(message: memoryview, number: int) -> str:
    """The value of a text field, "" where it is absent."""
    last = deque(messages(message, number), maxlen=1)
    if last and len(last[0]) > MAX_NAME:
        raise WireError(f"field {number} is a name of {len(last[0])} bytes")
    try:
        return bytes(last[0]).decode() if last else ""
    except UnicodeDecodeError as error:
        raise WireError(f"field {number} is no text") from error


def fixed_width(message: memoryview, number: int, dtype: str) -> np.ndarray:
    """The values of a float or double field, packed or not, or of a field of raw bytes: `(n,)`, copied once."""
    size = sum(len(piece) for piece in messages(message, number))
    if size % np.dtype(dtype).itemsize:
        raise WireError(f"field {number} has {size} bytes, no multiple of {np.dtype(dtype).itemsize}")
    data = np.empty(size, np.uint8)
    target, at = data.data, 0
    for piece in messages(message, number):
        target[at : at + len(piece)] = piece
        at += len(piece)
    return data.view(dtype)


def shape_of(sizes: Iterable[int]) -> tuple[int, ...]:
    """A shape from unsigned numbers of 64 bits.

    Raises:
        WireError: a size that is negative or beyond all memory, or more axes than an array has.
    """
    shape = tuple(itertools.islice(sizes, MAX_AXES + 1))
    if len(shape) > MAX_AXES:
        raise WireError(f"a shape has more than {MAX_AXES} axes")
    if math.prod(size or 1 for size in shape) > MAX_SIZE:  # NumPy refuses these even if one of the sizes is 0
        raise WireError(f"the shape {shape} has a negative size, or is of no array that fits into memory")
    return shape


def shaped(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers `(n,)` in their shape.

    Raises:
        WireError: the shape is of another number of numbers.
    """
    if numbers.size != math.prod(shape):
        raise WireError(f"{numbers.size} numbers for the shape {shape}, which has {math.prod(shape)}")
    return numbers.reshape(shape)


def add(arrays: dict[str, np.ndarray], name: str, array: np.ndarray) -> None:
    """Puts one more array under its name.

    Raises:
        WireError: there are too many for any network.
    """
    if len(arrays) == MAX_ARRAYS:
        raise WireError(f"more than {MAX_ARRAYS} arrays")
    arrays[name] = array


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits per byte, the lowest first, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + VARINT_BYTES]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value & (2**64 - 1), at + i + 1
    raise WireError("a number has no end; truncated?")
