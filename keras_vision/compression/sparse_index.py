"""Positions of the stored weights as gaps of few bits, with fillers where a gap is too wide.

Source: Han et al. (2016), Deep Compression, section 2 and Figure 2.
"""

from __future__ import annotations

import numpy as np

from keras_vision.errors import WeightsError


def to_gaps(kept: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of `bits` bits that lead to the kept positions of a flat mask.

    An entry stands `gap + 1` places after the one before it. Where no weight is kept for `2 ** bits` places, a filler
    stands, with the largest gap; fewer places than that are left after the last entry.

    Args:
        kept: `(size,)`, True where a weight is stored.
        bits: 1 to 8.

    Returns:
        Gaps `(n,)`, uint8; and `(n,)`, False for fillers.
    """
    reach = 1 << bits
    positions = np.flatnonzero(kept)
    steps = np.diff(np.concatenate([[-1], positions, [kept.size]]))  # the last leads past the end
    fillers = (steps - 1) // reach
    ends = np.cumsum(fillers + 1)
    gaps = np.full(ends[-1], reach - 1, np.uint8)
    gaps[ends - 1] = steps - 1 - fillers * reach
    real = np.zeros(ends[-1], bool)
    real[ends - 1] = True
    return gaps[:-1], real[:-1]


def to_positions(gaps: np.ndarray, bits: int, size: int, where: str) -> np.ndarray:
    """The positions that gaps lead to, in a flat kernel of `size` weights.

    Raises:
        WeightsError: a gap of more bits, a position past the end, or a rest that more fillers would have to cover.
    """
    if gaps.size and int(gaps.max()) >> bits:
        raise WeightsError(f"{where}: a gap of {int(gaps.max())} where gaps have {bits} bits; the file is damaged.")
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    last = int(positions[-1]) if gaps.size else -1
    if not 0 <= size - 1 - last < 1 << bits:
        raise WeightsError(f"{where}: entries reach place {last} of {size}; the file is damaged.")
    return positions
