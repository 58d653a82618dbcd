"""The packed file: every weight of a network as `packed_array` codes it, and the network's configuration.

All numbers are little-endian::

    8 bytes   magic, 89 4B 56 50 41 43 4B 0A
    uint16    version, 1
    uint16    0
    uint32    bytes of the header as stored
    uint32    bytes of the header, inflated
    uint64    bytes of the body
    header    zlib; JSON: {"arrays": [[name, shape, dtype, coding, codebook, entries, gap_bits, codes, gaps], ...],
              "model": Keras' configuration or null}
    body      for each array in turn: codebook (float32), codes, gaps
    32 bytes  SHA-256 of everything before

The hash tells a damaged file; a file that was made to do harm has a right one, so everything is checked and bounded
besides: a code takes a bit at least and a gap leads 64 places on at most, hence 1 KiB of weights for a byte of the
file at most. Nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.compression.packed_array import Entry, decode
from keras_vision.errors import WeightsError

MAGIC = b"\x89KVPACK\n"
VERSION = 1
HASH = 32  # bytes of SHA-256
LARGEST_HEADER = 1 << 26  # 64 MiB of JSON
LARGEST = 1 << 32  # 4 GiB of weights
_FIXED = struct.Struct("<8sHHIIQ")


def assemble(entries: Sequence[Entry], bodies: Sequence[bytes], config: Mapping[str, Any] | None) -> bytes:
    """The bytes of a packed file.

    Raises:
        WeightsError: the configuration is no JSON, or too large.
    """
    try:
        text = json.dumps({"arrays": [entry.to_list() for entry in entries], "model": config}, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the network's configuration cannot be written as JSON ({error}).") from error
    raw = text.encode()
    if len(raw) > LARGEST_HEADER:
        raise WeightsError(f"the network's configuration takes {len(raw)} bytes; at most {LARGEST_HEADER} are read.")
    header, body = zlib.compress(raw, 9), b"".join(bodies)
    start = _FIXED.pack(MAGIC, VERSION, 0, len(header), len(raw), len(body))
    content = start + header + body
    return content + hashlib.sha256(content).digest()


def read_packed(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every weight of a packed file by path, such as "conv1/kernel", bit by bit as it was packed.

    Raises:
        WeightsError: no such file, no packed file, a newer version, or a damaged one.
    """
    return parse(_bytes_of(path), str(path))[0]


def parse(content: bytes, where: str) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The weights by path, and Keras' configuration of the network, of a packed file's bytes.

    Raises:
        WeightsError: as `read_packed`.
    """
    header, body = _split(content, where)
    entries = [Entry.from_list(fields, where) for fields in header["arrays"]]
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise WeightsError(f"{where}: two arrays have one name; the file is damaged.")
    if sum(entry.stored for entry in entries) != len(body):
        raise WeightsError(f"{where}: its arrays do not fill its {len(body)} bytes; the file is damaged.")
    if (total := sum(entry.size * np.dtype(entry.dtype).itemsize for entry in entries)) > LARGEST:
        raise WeightsError(f"{where}: {total} bytes of weights; at most {LARGEST} are read.")
    arrays, start = {}, 0
    for entry in entries:
        arrays[entry.name] = _finite(decode(entry, body[start : start + entry.stored], where), f"{where}: {entry.name}")
        start += entry.stored
    return arrays, header["model"]


def _bytes_of(path: str | os.PathLike) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            start = stream.read(len(MAGIC))
            if start != MAGIC:
                raise WeightsError(f"{path}: not a packed file of keras_vision; `keras-vision compress` writes one.")
            return start + stream.read()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _split(content: bytes, where: str) -> tuple[dict[str, Any], bytes]:
    """The checked header and the body."""
    if len(content) < _FIXED.size + HASH or not content.startswith(MAGIC):
        raise WeightsError(f"{where}: {len(content)} bytes that are no packed file; it is truncated, or another kind.")
    _, version, zero, stored, inflated, body = _FIXED.unpack_from(content)
    if version != VERSION:
        raise WeightsError(f"{where}: version {version} of the format; this keras_vision reads {VERSION}. Update it.")
    expected = _FIXED.size + stored + body + HASH
    if len(content) != expected:
        raise WeightsError(
            f"{where}: {len(content)} bytes where it should have {expected}; it is truncated or damaged."
        )
    if zero or hashlib.sha256(content[:-HASH]).digest() != content[-HASH:]:
        raise WeightsError(f"{where}: its SHA-256 is not the one it ends with; it is damaged. Get the file again.")
    end = _FIXED.size + stored
    return _header(content[_FIXED.size : end], inflated, where), content[end:-HASH]


def _header(stored: bytes, size: int, where: str) -> dict[str, Any]:
    if size > LARGEST_HEADER:
        raise WeightsError(f"{where}: a header of {size} bytes; at most {LARGEST_HEADER} are read.")
    try:
        decoder = zlib.decompressobj()
        text = decoder.decompress(stored, size + 1)
        if len(text) != size or not decoder.eof or decoder.unused_data:
            raise WeightsError(f"{where}: its header is not {size} bytes; the file is damaged.")
        header = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{where}: its header cannot be read ({error}); the file is damaged.") from error
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise WeightsError(f"{where}: its header lists no arrays; the file is damaged.")
    if not isinstance(header.setdefault("model", None), dict | None):
        raise WeightsError(f"{where}: its header has no configuration of a network where one should be.")
    return header


def _finite(array: np.ndarray, where: str) -> np.ndarray:
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise WeightsError(f"{where} holds NaN or infinite values; the file is damaged.")
    return array
