"""The index of TFRecord shards, and the data set that it describes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.annotated_images import CaptionedImages, MultiLabelImages, SegmentedImages
from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.masks import read_mask
from keras_vision.data.shard_files import MASK, Records
from keras_vision.errors import KerasVisionError

INDEX = "index.json"
SCHEMA, VERSION = "keras_vision shards", 1
TYPES = {t.__name__: t for t in (LabelledImages, MultiLabelImages, CaptionedImages, SegmentedImages)}
_CHUNK = 1 << 22  # bytes


def shards(folder: str | os.PathLike, verify: bool = False) -> Any:
    """The data set that `write_shards` wrote, in its order; images are read when they are asked for.

    Args:
        folder: a path, or an address that `tf.io.gfile` reads.
        verify: compare every file's SHA-256, which reads them whole; else only their lengths are compared.

    Raises:
        KerasVisionError: no index, one of another schema, or a shard that is missing, truncated or changed.
    """
    root = os.fspath(folder)
    index = _read_index(os.path.join(root, INDEX))
    try:
        files = tuple(os.path.join(root, shard["file"]) for shard in index["shards"])
        for file, shard in zip(files, index["shards"], strict=True):
            _check_piece(shard)
            _check_file(file, shard, verify)
        return _data_set(index, files)
    except KerasVisionError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, ArithmeticError) as error:
        raise KerasVisionError(f"{os.path.join(root, INDEX)}: damaged ({error!r}); write the shards again.") from error


def new_index(images: Any, pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `index.json` holds, as JSON values.

    Args:
        images: the data set.
        pieces: file, bytes, sha256 and offsets of each shard.
    """
    index = {SCHEMA: VERSION, "type": type(images).__name__, "images": len(images), "shards": list(pieces)}
    for name in ("class_names", "captions", "void", "labels", "ignored"):
        if (value := getattr(images, name, None)) is not None:
            index[name] = value.astype(int).tolist() if isinstance(value, np.ndarray) else value
    return index


def is_whole(file: str | os.PathLike, piece: Mapping[str, Any]) -> bool:
    """Whether a shard is there, with the length and the checksum of when it was written."""
    try:
        return tf.io.gfile.stat(os.fspath(file)).length == piece["bytes"] and sha256(file) == piece["sha256"]
    except tf.errors.OpError:
        return False


def sha256(file: str | os.PathLike) -> str:
    """Of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(os.fspath(file), "rb") as stream:
        while part := stream.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()


def _read_index(file: str) -> dict[str, Any]:
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            index = json.loads(stream.read())
    except tf.errors.OpError as error:
        raise KerasVisionError(
            f"{file}: cannot be read; give a folder that `keras-vision data shards` has finished."
        ) from error
    except (ValueError, RecursionError) as error:
        raise KerasVisionError(f"{file}: damaged ({error}); write the shards again.") from error
    if not isinstance(index, dict) or index.get(SCHEMA) != VERSION or index.get("type") not in [*TYPES]:
        raise KerasVisionError(
            f"{file}: of another schema; expected {SCHEMA!r}: {VERSION}, and one of the types {', '.join(TYPES)}."
        )
    return index


def _check_piece(piece: Mapping[str, Any]) -> None:
    if os.path.basename(piece["file"]) != piece["file"]:
        raise ValueError(f"file {piece['file']!r} leads out of the folder")
    if any(type(offset) is not int or not 0 <= offset < piece["bytes"] for offset in piece["offsets"]):
        raise ValueError(f"offsets of {piece['file']}")


def _check_file(file: str, piece: Mapping[str, Any], verify: bool) -> None:
    try:
        length = tf.io.gfile.stat(file).length
    except tf.errors.OpError as error:
        raise KerasVisionError(f"{file}: missing; write the shards again, which keeps the whole ones.") from error
    if length != piece["bytes"]:
        raise KerasVisionError(f"{file}: {length} bytes instead of {piece['bytes']}: truncated, or another file.")
    if verify and not is_whole(file, piece):
        raise KerasVisionError(f"{file}: its SHA-256 is not the one in {INDEX}; the file was changed or damaged.")


def _data_set(index: Mapping[str, Any], files: tuple[str, ...]) -> Any:
    count = len(files)
    places = np.array([(i % count, index["shards"][i % count]["offsets"][i // count]) for i in range(index["images"])])
    records = Records(files, places.astype(np.int64))
    if index["type"] == CaptionedImages.__name__:
        return CaptionedImages(records, tuple(map(tuple, index["captions"])))
    names = tuple(index["class_names"])
    if index["type"] == SegmentedImages.__name__:
        return SegmentedImages(
            records, dataclasses.replace(records, field=MASK), names, index.get("void"), decode=read_mask
        )
    if index["type"] == MultiLabelImages.__name__:
        ignored = np.array(index["ignored"], bool) if "ignored" in index else None
        return MultiLabelImages(records, np.array(index["labels"], np.uint8), names, ignored)
    return LabelledImages(records, np.array(index["labels"], np.int64), names)
