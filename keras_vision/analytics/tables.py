"""Embeddings in a Parquet file: written as they come, so that memory stays flat, and read back as arrays."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.analytics.embedding import Embeddings
from keras_vision.analytics.listing import label_of
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

_ROWS = 4096  # of a row group: about 8 MB with vectors of 512
_MODEL, _HASH = b"keras_vision model", b"keras_vision network"


@dataclasses.dataclass(frozen=True)
class Table:
    """A file of embeddings.

    Attributes:
        paths: of the images.
        vectors: float32 `(n, d)`.
        labels: name of each image's folder, or None.
        content: SHA-256 of each file.
        model: name of the network.
    """

    paths: list[str]
    vectors: np.ndarray
    labels: list[str | None]
    content: list[bytes]
    model: str


def write_embeddings(
    parts: Iterable[Embeddings],
    path: str | os.PathLike,
    size: int,
    root: str | os.PathLike | None = None,
    model: str = "",
    network: str = "",
    overwrite: bool = False,
) -> tuple[int, int]:
    """Write embeddings part by part: columns `path`, `label`, `sha256` and `embedding`, a list of `size` float32.

    Files that were skipped go, with the reason, to a table beside it: `out.parquet` has `out.skipped.csv`.

    Args:
        parts: of `ImageEmbedder.stream`.
        path: file to write.
        size: length of a vector.
        root: folder of the images; the label is the name of the folder that an image lies in, below this one.
        model, network: name and hash of the network, kept in the file's metadata.
        overwrite: replace an existing file.

    Returns:
        Images written, files skipped.

    Raises:
        KerasVisionError: the file exists or cannot be written, or pyarrow is missing.
    """
    pa, parquet = _pyarrow()
    path = Path(path)
    metadata = {_MODEL: model.encode(), _HASH: network.encode()}
    vector = pa.list_(pa.float32(), size)
    columns = [("path", pa.string()), ("label", pa.string()), ("sha256", pa.binary(32)), ("embedding", vector)]
    schema = pa.schema(columns, metadata=metadata)
    aside = path.with_name(f"{path.stem}.skipped.csv")
    counts = [0, 0]
    with (
        whole_file(path, overwrite) as file,
        whole_file(aside, overwrite=True) as skips,
        skips.open("w", encoding="utf-8", newline="") as stream,
        parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        table = csv.writer(stream)
        table.writerow(["path", "reason"])
        waiting: list[Any] = []
        for part in parts:
            table.writerows((text_of(each.path), each.reason) for each in part.skipped)
            counts = [counts[0] + len(part.paths), counts[1] + len(part.skipped)]
            waiting.append(_columns(pa, part, root, schema))
            if sum(len(each) for each in waiting) >= _ROWS:
                writer.write_table(pa.Table.from_batches(waiting), _ROWS)
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema), _ROWS)
    if not counts[1]:
        aside.unlink()
    return counts[0], counts[1]


def read_embeddings(path: str | os.PathLike) -> Table:
    """All of a file that `write_embeddings` wrote.

    Raises:
        KerasVisionError: no such file, another file, or pyarrow is missing.
    """
    pa, parquet = _pyarrow()
    if not Path(path).is_file():
        raise KerasVisionError(f"{path}: no such file.")
    try:
        table = parquet.read_table(path)
        vectors = table["embedding"].combine_chunks()
        size = table.schema.field("embedding").type.list_size
        return Table(
            table["path"].to_pylist(),
            np.asarray(vectors.flatten(), np.float32).reshape(-1, size),
            table["label"].to_pylist(),
            table["sha256"].to_pylist(),
            (table.schema.metadata or {}).get(_MODEL, b"").decode(),
        )
    except OSError as error:
        raise KerasVisionError(f"{path}: {(error.strerror or str(error)).lower()}.") from error
    except (KeyError, AttributeError, pa.ArrowException) as error:
        raise KerasVisionError(f"{path} is no file of `keras-vision embed` ({error}).") from error


def text_of(path: str) -> str:
    """A path that any table can hold: bytes that are no UTF-8 become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _columns(pa: Any, part: Embeddings, root: str | os.PathLike | None, schema: Any) -> Any:
    labels = [label_of(path, root) for path in part.paths]
    flat = pa.array(part.vectors.ravel(), pa.float32())
    return pa.record_batch(
        [
            pa.array(map(text_of, part.paths), pa.string()),
            pa.array([None if label is None else text_of(label) for label in labels], pa.string()),
            pa.array(part.content, pa.binary(32)),
            pa.FixedSizeListArray.from_arrays(flat, part.vectors.shape[1]),
        ],
        schema=schema,
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise KerasVisionError('Parquet files need pyarrow: pip install "keras-vision[analytics]".') from error
    return pyarrow, parquet
