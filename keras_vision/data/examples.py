"""Images and their vectors as serialised `tf.train.Example`, one at a time, for tools that move records themselves."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_vision.data.shard_files import IMAGE, NAME


def named_image(record: bytes) -> tuple[str, bytes]:
    """Name and encoded image of a record; b"" where it has no image, as where it is damaged."""
    try:
        fields = tf.train.Example.FromString(record).features.feature
    except Exception:  # protobuf's DecodeError has no public home that all versions share
        return "", b""
    name, image = (list(fields[key].bytes_list.value) if key in fields else [] for key in (NAME, IMAGE))
    return b"".join(name[:1]).decode(errors="backslashreplace"), b"".join(image[:1])


def vector_example(path: str, label: str | None, sha256: bytes, vector: Sequence[float]) -> bytes:
    """A record with the columns of a table of embeddings: `path`, `label`, `sha256`, `embedding`."""

    def texts(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    feature = {
        "path": texts(path.encode()),
        "label": texts(*(() if label is None else (label.encode(),))),
        "sha256": texts(sha256),
        "embedding": tf.train.Feature(float_list=tf.train.FloatList(value=vector)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
