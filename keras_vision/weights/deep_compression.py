"""Reader of the Deep Compression file that the authors of SqueezeNet released (Han et al., 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.errors import WeightsError

CODEBOOK = 256  # 8 bits per weight


def read_deep_compression(path: Path, layers: Sequence[tuple[str, tuple[int, int, int, int]]]) -> dict[str, np.ndarray]:
    """Decode pruned, weight-shared layers to float32 arrays by "layer/variable", kernels in Keras' order.

    The file is little-endian without padding. Header: one uint32 per layer, its number n of stored entries. Then per
    layer: a codebook of 256 float32; one float32 bias per output channel; n uint8 codes into the codebook; the gap
    between neighbouring entries in 4 bits each, low nibble first. Entries fill the kernel in Caffe's order; what
    is not stored takes code 0.

    Args:
        path: the file.
        layers: name and kernel shape (output, input, row, column) of each layer, in the order of the file.

    Raises:
        WeightsError: the size of the file does not fit the layers.
    """
    data = np.fromfile(path, np.uint8)
    header = 4 * len(layers)
    counts = data[:header].view("<u4").astype(int) if data.size >= header else np.zeros(0, int)
    bodies = [4 * (CODEBOOK + shape[0]) + n + (n + 1) // 2 for n, (_, shape) in zip(counts, layers, strict=False)]
    expected = header + sum(bodies)
    if data.size != expected:
        raise WeightsError(
            f"{path}: {data.size} bytes where a file for these {len(layers)} layers has {expected}; "
            "it is truncated or belongs to another network."
        )
    arrays = {}
    start = header
    for (name, shape), count, size in zip(layers, counts, bodies, strict=True):
        kernel, bias = _layer(data[start : start + size], int(count), shape, f"{path}: {name}")
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = kernel, bias
        start += size
    return arrays


def _layer(data: np.ndarray, count: int, shape: tuple[int, int, int, int], where: str) -> tuple[np.ndarray, np.ndarray]:
    floats, codes, nibbles = np.split(data, np.cumsum([4 * (CODEBOOK + shape[0]), count]))
    codebook, bias = np.split(np.frombuffer(floats.tobytes(), "<f4"), [CODEBOOK])
    gaps = np.stack([nibbles & 15, nibbles >> 4], axis=1).ravel()[:count]
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if count and positions[-1] >= math.prod(shape):
        raise WeightsError(f"{where}: entry {positions[-1]} in a kernel of {math.prod(shape)} weights.")
    weights = np.full(math.prod(shape), codebook[0], np.float32)
    weights[positions] = codebook[codes]
    return weights.reshape(shape).transpose(2, 3, 1, 0), bias.astype(np.float32)
