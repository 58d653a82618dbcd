"""Where the bytes of a compressed network go: each array after each stage of Deep Compression."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Line:
    """One array.

    Attributes:
        name: path of the variable.
        weights: how many it has.
        kept: how many of them are not 0.
        values: how many different values the file's codebook holds; 0 where it holds the array as it is.
        dense: bytes of the array itself.
        pruned: bytes of its weights other than 0 as they are and of the gaps between them, of equal width.
        shared: bytes of codebook, codes and gaps, of equal width each.
        packed: bytes in the file, after Huffman coding.
    """

    name: str
    weights: int
    kept: int
    values: int
    dense: int
    pruned: int
    shared: int
    packed: int


@dataclasses.dataclass(frozen=True)
class Ledger:
    """All arrays of a packed file.

    Attributes:
        lines: one for each array.
        overhead: bytes of the file that belong to no array: header with the network's configuration, and hash.
        size: bytes of the file.
    """

    lines: tuple[Line, ...]
    overhead: int
    size: int

    def total(self, stage: str) -> int:
        """Sum of a column, such as "dense", over all arrays."""
        return sum(getattr(line, stage) for line in self.lines)

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights of arrays with a codebook, from 0 to 1."""
        coded: Sequence[Line] = [line for line in self.lines if line.values]
        weights = sum(line.weights for line in coded)
        return 1 - sum(line.kept for line in coded) / weights if weights else 0.0

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than the weights."""
        return self.total("dense") / self.size

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {**dataclasses.asdict(self), "sparsity": self.sparsity, "ratio": self.ratio}
