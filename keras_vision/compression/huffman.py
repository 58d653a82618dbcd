"""Huffman coding of small symbols, by zlib: raw DEFLATE with its canonical Huffman codes and no string matching.

DEFLATE sends code lengths of at most 15 bits for each block of symbols, and any inflate of any language decodes it.

Sources: Han et al. (2016), Deep Compression, section 4; RFC 1951, section 3.2.2 (canonical codes).
"""

from __future__ import annotations

import zlib

import numpy as np

from keras_vision.errors import WeightsError

_RAW = -15  # window of raw DEFLATE: no header, no checksum; the packed file has its own


def encode(symbols: np.ndarray) -> bytes:
    """uint8 symbols to a Huffman-coded stream."""
    coder = zlib.compressobj(9, zlib.DEFLATED, _RAW, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(np.ascontiguousarray(symbols, np.uint8).data) + coder.flush()


def decode(stream: bytes, count: int, where: str) -> np.ndarray:
    """The `count` uint8 symbols of a stream; never more memory than they take.

    Raises:
        WeightsError: the stream holds fewer or more symbols, is damaged, or goes on after its end. Each symbol takes
            a bit at least, so a count of more than eight for a byte is refused before anything is decoded.
    """
    if count > 8 * len(stream):
        raise WeightsError(f"{where}: {count} symbols cannot be in {len(stream)} bytes; the file is damaged.")
    decoder = zlib.decompressobj(_RAW)
    try:
        symbols = decoder.decompress(stream, count + 1)
    except zlib.error as error:
        raise WeightsError(f"{where}: its codes are damaged ({error}).") from error
    if len(symbols) != count or not decoder.eof or decoder.unused_data:
        raise WeightsError(f"{where}: its stream does not hold exactly {count} symbols; the file is damaged.")
    return np.frombuffer(symbols, np.uint8)
