"""Records of TFRecord shards, read one by one, in any order."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError

IMAGE, NAME, LABEL = "image/encoded", "image/filename", "image/class/label"  # the names TensorFlow's own tools use
MASK, CAPTIONS = "image/segmentation/class/encoded", "image/caption"
FRAME = 16  # bytes around a record: its length and two checksums
_HEAD = 12


def file_key(address: str) -> str:
    """What tells the content of a file from that of others, and from what it held before."""
    stat = tf.io.gfile.stat(os.fsencode(address))
    return f"{address}\0{stat.length}\0{stat.mtime_nsec}"


@dataclasses.dataclass(frozen=True)
class Records(Sequence[bytes]):
    """One encoded field of every record of some shards, by position; `records[i]` reads it.

    Attributes:
        files: the shards.
        places: number of the shard, and offset of the record in it in bytes: int64 `(n, 2)`.
        field: name of the field.
    """

    files: tuple[str, ...]
    places: np.ndarray
    field: str = IMAGE

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, position: int) -> bytes: ...
    @overload
    def __getitem__(self, position: slice) -> Records: ...
    def __getitem__(self, position: int | slice) -> bytes | Records:
        if isinstance(position, slice):
            return self.take(np.arange(len(self))[position])
        return self._value(position, self.field)

    def take(self, positions: np.ndarray) -> Records:
        """The records at some positions."""
        return dataclasses.replace(self, places=self.places[positions])

    def name(self, position: int) -> str:
        """Name of the file that the image came from, after the name of the shard."""
        shard = os.path.basename(self.files[self.places[position, 0]])
        try:
            return f"{shard}: {self._value(position, NAME).decode(errors='replace')}"
        except KerasVisionError:
            return f"{shard}: image {position}"

    def key(self, position: int) -> str:
        """What tells a record from all others, without reading it."""
        shard, offset = self.places[position].tolist()
        return f"{file_key(os.path.abspath(self.files[shard]))}\0{offset}\0{self.field}"

    def fetch(self, position: Any) -> Any:
        """The field of the record at a position, both tensors `()`; the checksum of the record is compared."""
        place = tf.constant(self.places)[position]
        record = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.constant(self.files)[place[0]][None],
            compression_type="",
            buffer_size=0,  # to read no more than the record
            byte_offsets=place[1][None],
        )
        records = tf.data.experimental.from_variant(record, tf.TensorSpec([], tf.string))
        example = tf.io.parse_single_example(
            records.take(1).get_single_element(), {self.field: tf.io.FixedLenFeature([], tf.string)}
        )
        return example[self.field]

    def _value(self, position: int, field: str) -> bytes:
        shard, offset = self.places[position].tolist()
        try:
            with tf.io.gfile.GFile(self.files[shard], "rb") as stream:
                stream.seek(offset)
                length = int.from_bytes(stream.read(_HEAD)[:8], "little")
                stream.seek(offset + _HEAD)
                example = tf.train.Example.FromString(stream.read(length))
            return example.features.feature[field].bytes_list.value[0]
        except (tf.errors.OpError, IndexError, ValueError, OverflowError, MemoryError) as error:
            raise KerasVisionError(
                f"{self.files[shard]}: no {field} at byte {offset}; write the shards again."
            ) from error
        except Exception as error:  # protobuf's DecodeError has no public home that all versions share
            raise KerasVisionError(f"{self.files[shard]}: damaged at byte {offset} ({error}).") from error
