"""TFRecord shards: images with their classes, masks or sentences in a few large files, written once and checked.

A folder of shards holds `train-00000-of-00064.tfrecord` and so on, and `index.json`: the schema, the class names, each
shard's length and SHA-256, and where in it each record begins. Image i is in shard i modulo their number, so that each
shard is a sample of the data set, and any order can be read. Encoded images go in as they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_vision.data.annotated_images import CaptionedImages, SegmentedImages
from keras_vision.data.shard_files import CAPTIONS, FRAME, IMAGE, LABEL, MASK, NAME
from keras_vision.data.shard_reading import INDEX, TYPES, is_whole, new_index, sha256
from keras_vision.data.sources import Source, source_of
from keras_vision.data.targets import target_of
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.journal import Journal

JOURNAL = "unfinished.jsonl"

Progress = Callable[[int, int], None]  # shards done, shards in all


def write_shards(
    images: Any,
    out: str | os.PathLike,
    shards: int = 64,
    progress: Progress | None = None,
    threads: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a data set as TFRecord shards, several at once; the same call goes on after an interruption.

    A record is a `tf.train.Example` with the names that TensorFlow's tools use: `image/encoded`, `image/filename`, and
    `image/class/label`, `image/caption` or `image/segmentation/class/encoded` (a PNG of class numbers). Arrays become
    PNG.

    Args:
        images: `LabelledImages`, `MultiLabelImages`, `CaptionedImages` or `SegmentedImages`.
        out: local folder; finished shards that it holds are kept if their checksums agree.
        shards: number of files.
        progress: called with (shards done, shards in all).
        threads: None: as many as there are processors.
        overwrite: start anew in a folder that holds shards.

    Returns:
        The index file.

    Raises:
        KerasVisionError: a file that cannot be read or written, fewer images than shards, another type of data set, or
            a folder that holds finished shards or unfinished ones of other images.
    """
    out, kind = Path(out), type(images).__name__
    if kind not in TYPES:
        raise KerasVisionError(f"images of type {kind}; accepted: {', '.join(TYPES)}.")
    if not 1 <= shards <= len(images):
        raise KerasVisionError(f"{len(images)} images in {shards} shards; give 1 to {len(images)} shards.")
    target_of(images, (1, 1))  # refuses labels that are out of range, or not one for each image
    if (out / INDEX).exists() and not overwrite:
        raise KerasVisionError(f"{out} holds finished shards; give another folder, or overwrite them.")
    for old in (out / INDEX, out / JOURNAL):
        if overwrite:
            old.unlink(missing_ok=True)
    done: dict[int, dict[str, Any]] = {}
    journal = Journal(
        out / JOURNAL,
        "shards",
        _fingerprint(images, shards),
        "images",
        lambda piece: done.update({piece["shard"]: piece}),
        remedy="overwrite what is there, or give another folder",
    )
    try:
        _write_missing(images, out, shards, done, journal, progress, threads or os.cpu_count() or 1)
    finally:
        journal.close()
    with whole_file(out / INDEX, overwrite) as temporary:
        temporary.write_text(json.dumps(new_index(images, [done[number] for number in range(shards)])))
    written = {piece["file"] for piece in done.values()}
    for file in out.glob("train-?????-of-?????.tfrecord"):  # of another number of shards
        if file.name not in written:
            file.unlink()
    (out / JOURNAL).unlink()
    return out / INDEX


def _fingerprint(images: Any, shards: int) -> str:
    settings = (getattr(images, "class_names", ()), getattr(images, "void", None))
    digest = hashlib.sha256(repr((type(images).__name__, settings, shards, len(images))).encode())
    for part in ("sources", "labels", "captions", "masks", "lookup", "palette"):
        values = getattr(images, part, None)
        for value in () if values is None else values:
            digest.update(value.tobytes() if isinstance(value, np.ndarray | np.generic) else repr(value).encode())
    return digest.hexdigest()


def _write_missing(
    images: Any, out: Path, shards: int, done: dict, journal: Journal, progress: Progress | None, threads: int
) -> None:
    source, stop = source_of(images.sources), threading.Event()
    missing = [n for n in range(shards) if n not in done or not is_whole(out / done[n]["file"], done[n])]
    pool = ThreadPoolExecutor(threads)
    try:
        tasks = [pool.submit(_write_shard, images, source, out, number, shards, stop) for number in missing]
        for count, task in enumerate(as_completed(tasks), shards - len(missing) + 1):
            piece = task.result()
            journal.add(piece)
            done[piece["shard"]] = piece
            if progress is not None:
                progress(count, shards)
    finally:  # whatever ends it early, such as Ctrl-C, ends the shards that are being written too
        stop.set()
        pool.shutdown(cancel_futures=True)


def _write_shard(
    images: Any, source: Source, out: Path, number: int, shards: int, stop: threading.Event
) -> dict[str, Any]:
    name, offsets = f"train-{number:05d}-of-{shards:05d}.tfrecord", [0]
    with whole_file(out / name, overwrite=True) as temporary:
        with tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
            for position in range(number, len(images), shards):
                if stop.is_set():
                    raise KerasVisionError("interrupted")
                record = _example(images, source, position).SerializeToString()
                writer.write(record)
                offsets.append(offsets[-1] + len(record) + FRAME)
        digest = sha256(os.fspath(temporary))
    return {"shard": number, "file": name, "bytes": offsets.pop(), "sha256": digest, "offsets": offsets}


def _example(images: Any, source: Source, position: int) -> tf.train.Example:
    try:
        image = source.read(position)
    except (OSError, tf.errors.OpError) as error:
        raise KerasVisionError(
            f"{source.name(position)} cannot be read ({error}); leave it out with a skip list."
        ) from error
    values: dict[str, list[bytes]] = {NAME: [os.fsencode("/".join(source.name(position).split("/")[-2:]))]}
    values[IMAGE] = [image if isinstance(image, bytes) else _png(image)]
    numbers: list[int] = []
    if isinstance(images, SegmentedImages):
        values[MASK] = [_png(images.mask(position))]
    elif isinstance(images, CaptionedImages):
        values[CAPTIONS] = [caption.encode() for caption in images.captions[position]]
    else:
        numbers = np.atleast_1d(images.labels[position]).tolist()
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=value)) for key, value in values.items()}
    if numbers:
        features[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=numbers))
    return tf.train.Example(features=tf.train.Features(feature=features))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    values = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(values if values.dtype == np.uint8 else values.astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()
