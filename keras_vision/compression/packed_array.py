"""One array of a packed file: how it is coded, and how that is undone.

"sparse": the values other than 0 as Huffman-coded codes into a codebook, and Huffman-coded gaps between them. "dense":
codes for every place. "plain": the array's own bytes, little-endian. Every form gives back the same bits.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from keras_vision.compression import huffman, sparse_index
from keras_vision.errors import WeightsError

CODINGS = ("plain", "dense", "sparse")
DTYPES = ("float32", "float16", "float64", "int32", "int64", "uint8", "uint32", "bool")
GAP_BITS = (3, 4, 5, 6)
LARGEST_CODEBOOK = 256
_MOST = 1 << 40
_FIELDS = ("name", "shape", "dtype", "coding", "codebook", "entries", "gap_bits", "codes", "gaps")


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the header says of one array.

    Attributes:
        name: path of the variable, such as "conv1/kernel".
        shape: of the array; C order.
        dtype: one of `DTYPES`; float32 unless plain.
        coding: "plain", "dense" or "sparse".
        codebook: number of its float32 values; 0 if plain. Of a sparse array the first is 0, for fillers.
        entries: number of codes.
        gap_bits: width of a gap before Huffman coding; 0 unless sparse.
        codes: bytes of the stream of codes, or of the plain array.
        gaps: bytes of the stream of gaps.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    coding: str
    codebook: int
    entries: int
    gap_bits: int
    codes: int
    gaps: int

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """Bytes in the body of the file: codebook, codes and gaps, one after the other."""
        return 4 * self.codebook + self.codes + self.gaps

    def to_list(self) -> list[Any]:
        """As in the header: the fields in their order."""
        return [list(v) if isinstance(v, tuple) else v for v in dataclasses.astuple(self)]

    @classmethod
    def from_list(cls, fields: Any, where: str) -> Entry:
        """Read and check what `to_list` gave.

        Raises:
            WeightsError: anything else.
        """
        if not isinstance(fields, list) or len(fields) != len(_FIELDS):
            raise WeightsError(f"{where}: an array's description has not the {len(_FIELDS)} fields it should have.")
        name, shape, dtype, coding, *numbers = fields
        if not isinstance(shape, list) or len(shape) > 8:
            raise WeightsError(f"{where}: the shape of {name!r} is no list of at most 8 sizes.")
        if any(type(number) is not int or not 0 <= number < _MOST for number in (*shape, *numbers)):
            raise WeightsError(f"{where}: the description of {name!r} holds what is no size.")
        if not isinstance(name, str) or dtype not in DTYPES or coding not in CODINGS:
            raise WeightsError(
                f"{where}: {name!r} of {dtype!r} is coded as {coding!r}, which this version cannot read."
            )
        entry = cls(name, tuple(shape), dtype, coding, *numbers)
        entry._check(f"{where}: {name}")
        return entry

    def _check(self, where: str) -> None:
        plain, sparse = self.coding == "plain", self.coding == "sparse"
        expected = {
            "codebook": self.codebook == 0 if plain else 1 <= self.codebook <= LARGEST_CODEBOOK,
            "dtype": plain or self.dtype == "float32",
            "number of entries": sparse or self.entries == (0 if plain else self.size),
            "gap width": self.gap_bits in (GAP_BITS if sparse else (0,)),
            "gaps": sparse or self.gaps == 0,
            "size": not plain or self.codes == self.size * np.dtype(self.dtype).itemsize,
            # a code takes a bit at least, and an entry leads 2 ** gap_bits places on at most
            "bound of codes": plain or self.entries <= 8 * self.codes,
            "bound of gaps": not sparse or self.entries <= 8 * self.gaps,
            "bound of places": not sparse or self.size < (self.entries + 1) << min(self.gap_bits, GAP_BITS[-1]),
            "shape": math.prod(max(length, 1) for length in self.shape) < _MOST,
        }
        wrong = [what for what, right in expected.items() if not right]
        if wrong:
            raise WeightsError(f"{where}: its {' and '.join(wrong)} cannot be; the file is damaged.")


def encode(name: str, array: np.ndarray) -> tuple[Entry, bytes, int]:
    """An array in the smallest of the three forms that give back its bits.

    Returns:
        Its description, its bytes, and the bytes that its codes and gaps would take before Huffman coding.
    """
    array = np.asarray(array)
    if str(array.dtype) not in DTYPES:
        raise WeightsError(f"{name} holds {array.dtype}; a packed file holds {', '.join(DTYPES)}.")
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    entry = Entry(name, array.shape, str(array.dtype), "plain", 0, 0, 0, len(plain), 0)
    best = entry, plain, len(plain)
    if array.dtype != np.float32 or array.ndim < 2:
        return best
    words = np.ascontiguousarray(array).ravel().view(np.uint32)  # bits, so that -0.0 is not 0.0
    codebook, codes = np.unique(words, return_inverse=True)
    if not 0 < codebook.size <= LARGEST_CODEBOOK:
        return best
    forms = [_dense(name, array.shape, codebook, codes)]
    if codebook[0] == 0:
        forms += [_sparse(name, array.shape, codebook, codes, bits) for bits in GAP_BITS]
    return min([best, *forms], key=lambda form: len(form[1]))


def decode(entry: Entry, body: bytes, where: str) -> np.ndarray:
    """The array of a description and its bytes.

    Raises:
        WeightsError: the bytes are not what the description says.
    """
    where = f"{where}: {entry.name}"
    if entry.coding == "plain":
        return np.frombuffer(body, np.dtype(entry.dtype).newbyteorder("<")).astype(entry.dtype).reshape(entry.shape)
    codebook = np.frombuffer(body, "<f4", entry.codebook)
    rest = body[4 * entry.codebook :]
    codes = huffman.decode(rest[: entry.codes], entry.entries, where)
    if codes.size and int(codes.max()) >= entry.codebook:
        raise WeightsError(f"{where}: code {int(codes.max())} in a codebook of {entry.codebook}; the file is damaged.")
    if entry.coding == "dense":
        return codebook[codes].astype("float32").reshape(entry.shape)
    gaps = huffman.decode(rest[entry.codes :], entry.entries, where)
    positions = sparse_index.to_positions(gaps, entry.gap_bits, entry.size, where)
    array = np.zeros(entry.size, np.float32)
    array[positions] = codebook[codes]
    return array.reshape(entry.shape)


def _dense(name: str, shape: tuple[int, ...], codebook: np.ndarray, codes: np.ndarray) -> tuple[Entry, bytes, int]:
    stream = huffman.encode(codes)
    values = codebook.astype("<u4").tobytes()
    entry = Entry(name, shape, "float32", "dense", codebook.size, codes.size, 0, len(stream), 0)
    return entry, values + stream, len(values) + _packed(codes.size, codebook.size)


def _sparse(
    name: str, shape: tuple[int, ...], codebook: np.ndarray, codes: np.ndarray, bits: int
) -> tuple[Entry, bytes, int]:
    gaps, real = sparse_index.to_gaps(codes != 0, bits)  # code 0 is 0.0, which comes first in the order of bits
    own = np.zeros(gaps.size, np.uint8)
    own[real] = codes[codes != 0]
    streams = huffman.encode(own), huffman.encode(gaps)
    values = codebook.astype("<u4").tobytes()
    entry = Entry(name, shape, "float32", "sparse", codebook.size, gaps.size, bits, *map(len, streams))
    before = len(values) + _packed(gaps.size, codebook.size) + -(-gaps.size * bits // 8)
    return entry, values + b"".join(streams), before


def _packed(count: int, values: int) -> int:
    """Bytes of `count` codes of equal width."""
    return -(-count * max((values - 1).bit_length(), 1) // 8)
