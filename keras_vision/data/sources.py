"""Where a pipeline's images come from: files, arrays or records of shards, each by its position."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vision.data.shard_files import Records, file_key
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

MEMORY = "memory"


class Source(NamedTuple):
    """Images by position.

    Attributes:
        fetch: position, int64 tensor `()`, to an encoded image, string `()`, or to pixels, uint8 `(h, w, 1 or 3)`.
        encoded: which of the two.
        read: position to what `open_image` takes: bytes, or pixels.
        name: position to what messages call it.
        key: position to what tells its content from all others, which changes if the file does.
        shape: of the pixels, if it is that of all images and `fetch` takes several positions `(n,)` at a time; or None.
    """

    fetch: Callable[[Any], Any]
    encoded: bool
    read: Callable[[int], bytes | np.ndarray]
    name: Callable[[int], str]
    key: Callable[[int], str]
    shape: tuple[int, int, int] | None = None


def source_of(sources: Sequence[Any], cache: str | os.PathLike | None = None) -> Source:
    """The images of a data set.

    Args:
        sources: paths or addresses that `tf.io.gfile` reads, uint8 arrays `(h, w)` or `(h, w, 3)`, or `Records`.
        cache: where encoded images are kept after the first time: "memory", a folder, or None.

    Raises:
        KerasVisionError: none of these.
    """
    if isinstance(sources, Records):
        return _cached(Source(sources.fetch, True, sources.__getitem__, sources.name, sources.key), cache)
    if isinstance(sources[0], np.ndarray):
        return _arrays(sources)
    if not isinstance(sources[0], str | os.PathLike):
        raise KerasVisionError(f"images of {type(sources[0]).__name__}; accepted: paths, uint8 arrays, or shards.")
    return _cached(_files(sources), cache)


def in_channels(pixels: Any, channels: int) -> Any:
    """Grey or RGB pixels `(h, w, 1 or 3)` as 1 or 3 channels."""
    if pixels.shape[-1] is None:
        pixels = tf.cond(tf.shape(pixels)[-1] == 1, lambda: tf.repeat(pixels, 3, -1), lambda: pixels)
        pixels = tf.ensure_shape(pixels, [None, None, 3])
    if pixels.shape[-1] == channels:
        return pixels
    return tf.repeat(pixels, 3, -1) if channels == 3 else tf.image.rgb_to_grayscale(pixels)


def _files(sources: Sequence[Any]) -> Source:
    paths = tf.constant([os.fsencode(source) for source in sources])  # names need not be UTF-8

    def read(position: int) -> bytes:
        with tf.io.gfile.GFile(os.fsencode(sources[position]), "rb") as stream:
            return stream.read()

    def key(position: int) -> str:
        address = os.fspath(sources[position])
        return file_key(address if "://" in address else os.path.abspath(address))

    return Source(lambda i: tf.io.read_file(tf.gather(paths, i)), True, read, lambda i: str(sources[i]), key)


def _arrays(sources: Sequence[np.ndarray]) -> Source:
    for position, array in enumerate(sources):
        if (
            array.dtype != np.uint8
            or not array.size
            or array.ndim not in (2, 3)
            or array.shape[2:] not in ((), (1,), (3,))
        ):
            raise KerasVisionError(
                f"image {position}: array of {array.dtype} {array.shape}; expected uint8 pixels (h, w), (h, w, 1) or "
                "(h, w, 3)."
            )

    def pixels(position: int) -> np.ndarray:
        array = sources[position]
        return array[..., None] if array.ndim == 2 else array

    def by_python(position: Any) -> Any:
        found = tf.numpy_function(pixels, [position], tf.uint8)
        return tf.ensure_shape(found, [None, None, None])

    fetch, shape = by_python, None
    if len({array.shape for array in sources}) == 1:  # in one piece, where no Python is needed to take one out
        stacked = tf.constant(np.stack([pixels(i) for i in range(len(sources))]))
        fetch, shape = partial(tf.gather, stacked), tuple(stacked.shape[1:])
    return Source(fetch, False, sources.__getitem__, lambda i: f"image {i}", lambda i: f"image {i}", shape)


def _cached(source: Source, cache: str | os.PathLike | None) -> Source:
    """The same, with the encoded images kept; they are small, and each epoch can still crop and order them anew."""
    if cache is None:
        return source
    store: dict[int, bytes | np.ndarray] = {}

    def from_memory(position: int) -> Any:
        if position not in store:
            store[position] = source.read(position)
        return store[position]

    def from_folder(position: int) -> Any:
        file = Path(cache) / f"{hashlib.sha256(source.key(position).encode(errors='surrogateescape')).hexdigest()}"
        if not file.exists():
            with whole_file(file, overwrite=True) as temporary:
                temporary.write_bytes(source.read(position))  # type: ignore[arg-type]
        return file.read_bytes()

    read = from_memory if cache == MEMORY else from_folder
    return source._replace(fetch=lambda i: tf.ensure_shape(tf.numpy_function(read, [i], tf.string), []), read=read)
