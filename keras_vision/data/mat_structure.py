"""Whether the cells and structures of a MATLAB 5 file hold as much as they claim.

SciPy takes memory for a cell array before it reads the cells, so a few changed bytes can ask for gigabytes. The layout
is that of MathWorks' "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import math
import struct

MATRIX, DEEPEST = 14, 32
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
NESTED = (CELL, STRUCT, OBJECT, CHAR, FUNCTION, OPAQUE)  # classes for which SciPy takes memory on a claim
_COMPLEX = 0x800
_FLAGS = (6, 8)  # type and size, which SciPy takes for granted
_TYPES = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18)  # of numbers and letters


def is_nested(head: bytes, order: str) -> bool:
    """Whether an array has to be walked through, by its beginning; of one that has not, the beginning is checked.

    Raises:
        ValueError: it is of no known class, of complex numbers, or of numbers of no known type.
    """
    array, flags, _, position = _header(head, _element(head, 0, order)[2], order)
    if array not in NESTED:
        _data(head, position, order)
        if flags & _COMPLEX:
            raise ValueError("holds complex numbers")
    return array in NESTED


def check_structure(data: bytes, order: str) -> None:
    """Walk through an element of type MATRIX as SciPy will, taking no memory.

    Raises:
        ValueError: it claims more than it holds, ends early, is nested too deeply, or is an object.
    """
    _matrix(data, 0, order, 0)


def _matrix(data: bytes, start: int, order: str, depth: int) -> int:
    """The position after the matrix that starts here."""
    kind, size, position, after = _element(data, start, order)
    if kind != MATRIX or depth > DEEPEST:
        raise ValueError(f"an element of type {kind} at depth {depth}")
    if not size:
        return after
    array, flags, dimensions, position = _header(data, position, order)
    count = math.prod(dimensions)
    if min(dimensions, default=0) < 0 or (array != SPARSE and count > len(data)):
        raise ValueError(f"claims an array of {dimensions} in {len(data)} bytes")
    if array not in NESTED or array == CHAR:
        for _ in range(1 + bool(flags & _COMPLEX) + 2 * (array == SPARSE)):
            position = _data(data, position, order)
        return position
    children, position = _children(data, position, order, array, count)
    if 8 * children > len(data) - position:
        raise ValueError(f"claims {children} cells in {len(data)} bytes")
    for _ in range(children):
        position = _matrix(data, position, order, depth + 1)
    return position


def _header(data: bytes, position: int, order: str) -> tuple[int, int, tuple[int, ...], int]:
    """Class, flags and dimensions of an array, and where its contents begin."""
    flags_kind, flags_size, flags_at, position = _element(data, position, order)
    if (flags_kind, flags_size) != _FLAGS:
        raise ValueError(f"flags of type {flags_kind} and {flags_size} bytes")
    _, dimensions_size, dimensions_at, position = _element(data, position, order)
    position = _element(data, position, order)[3]  # past the name
    (flags,) = struct.unpack_from(f"{order}I", data, flags_at)
    if not CELL <= flags & 0xFF <= OPAQUE:
        raise ValueError(f"an array of class {flags & 0xFF}")
    return flags & 0xFF, flags, struct.unpack_from(f"{order}{dimensions_size // 4}i", data, dimensions_at), position


def _data(data: bytes, position: int, order: str) -> int:
    """The position after the numbers or letters here, whose type SciPy takes unseen as an index into a C array."""
    kind, _, _, after = _element(data, position, order)
    if kind not in _TYPES:
        raise ValueError(f"numbers of type {kind}")
    return after


def _children(data: bytes, position: int, order: str, array: int, count: int) -> tuple[int, int]:
    """Number of matrices inside a cell array or structure, and where they begin."""
    if array == CELL:
        return count, position
    if array == FUNCTION:
        return 1, position
    if array == OPAQUE:
        raise ValueError("holds a MATLAB object")
    if array == OBJECT:
        position = _element(data, position, order)[3]  # past the name of its class
    _, _, length_at, position = _element(data, position, order)
    _, size, _, position = _element(data, position, order)
    (length,) = struct.unpack_from(f"{order}i", data, length_at)
    if length < 1:
        raise ValueError(f"names of fields of {length} letters")
    return count * (size // length), position


def _element(data: bytes, position: int, order: str) -> tuple[int, int, int, int]:
    """Type, size, start of the contents and start of the next element; the contents are padded to eight bytes."""
    if position + 8 > len(data):
        raise ValueError("ends early")
    first, second = struct.unpack_from(f"{order}II", data, position)
    if first >> 16:  # up to four bytes share the eight of the tag
        return first & 0xFFFF, first >> 16, position + 4, position + 8
    return first, second, position + 8, position + 8 + second + -second % 8
