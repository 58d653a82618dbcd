"""How a packed file stores an array: Huffman codes, gaps between stored weights, and what they decode to."""

import heapq
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_vision.compression import huffman, packed_array, sparse_index


def huffman_bits(symbols):
    """Bits of an optimal prefix code, by joining the two rarest again and again."""
    heap = list(Counter(symbols.tolist()).values())
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


def naive_gaps(kept, bits):
    """Step by step: a filler wherever `2 ** bits` places have gone by without a weight."""
    gaps, real, empty = [], [], 0
    for stored in kept:
        if stored or empty == 2**bits - 1:
            gaps.append(empty)
            real.append(bool(stored))
            empty = 0
        else:
            empty += 1
    return gaps, real


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, st.integers(0, 300)))
def test_codes_come_back(symbols):
    assert np.array_equal(huffman.decode(huffman.encode(symbols), symbols.size, "x"), symbols)


@pytest.mark.parametrize("kind", ["laplace", "geometric", "one value"])
def test_codes_are_as_short_as_huffmans(kind):
    rng = np.random.default_rng(0)
    symbols = {
        "laplace": np.clip(rng.laplace(128, 12, 200_000), 0, 255),
        "geometric": np.minimum(rng.geometric(0.33, 200_000) - 1, 15),
        "one value": np.full(200_000, 7),
    }[kind].astype(np.uint8)
    optimal = max(huffman_bits(symbols), symbols.size) / 8
    assert optimal <= len(huffman.encode(symbols)) <= 1.01 * optimal + 300


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.integers(0, 200)), st.sampled_from([1, 2, 3, 4, 8]))
def test_gaps_are_those_of_the_naive_loop_and_lead_back(kept, bits):
    gaps, real = sparse_index.to_gaps(kept, bits)
    assert (gaps.tolist(), real.tolist()) == naive_gaps(kept, bits)
    positions = sparse_index.to_positions(gaps, bits, kept.size, "x")
    assert np.array_equal(positions[real], np.flatnonzero(kept))


VALUES = st.sampled_from(np.float32([0.0, -0.0, 1.5, -2.25, 1e-40]).tolist())


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=9), elements=VALUES))
def test_an_array_comes_back_bit_by_bit(array):
    entry, body, _ = packed_array.encode("x", array)
    entry = packed_array.Entry.from_list(json.loads(json.dumps(entry.to_list())), "x")
    assert entry.stored == len(body)
    decoded = packed_array.decode(entry, body, "x")
    assert (decoded.tobytes(), decoded.shape, decoded.dtype) == (array.tobytes(), array.shape, array.dtype)


@pytest.mark.parametrize("dtype", packed_array.DTYPES)
def test_other_types_and_large_sparse_arrays(dtype):
    plain = np.arange(6).reshape(2, 3).astype(dtype)
    sparse = np.zeros((700, 700), np.float32)
    sparse[::97, ::89] = 0.5
    for array in (plain, sparse, np.zeros((300, 300), np.float32), np.ones((300, 300), np.float32)):
        entry, body, before = packed_array.encode("x", array)
        decoded = packed_array.decode(entry, body, "x")
        assert decoded.dtype == array.dtype
        assert np.array_equal(decoded, array)
        assert len(body) <= before + 100
    assert len(packed_array.encode("x", sparse)[1]) < 5000
