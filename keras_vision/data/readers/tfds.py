"""Labelled images that TensorFlow Datasets prepared, from the extra `[tfds]`; the images stay encoded."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.labelled_images import LabelledImages
from keras_vision.data.shard_files import FRAME, Records
from keras_vision.errors import KerasVisionError

_HEAD, _CHECKSUM = 12, 4  # bytes before a record, of which 8 are its length, and after it


def from_tfds(
    source: str | os.PathLike,
    split: str,
    data_dir: str | os.PathLike | None = None,
    image: str = "image",
    label: str = "label",
    download: bool = False,
) -> LabelledImages:
    """The images of a prepared data set with their classes, in the order of its files.

    Reads every file of the split once, for the labels and the places of the records; images are read when they are
    asked for. Of large data sets, `write_shards` keeps both in an index.

    Args:
        source: the folder of a prepared data set (it has `dataset_info.json`), or a name like "beans" or "beans:0.1.0".
        split: like "train", or a part of one as TensorFlow Datasets writes it: "train[:10%]".
        data_dir: where named data sets lie; None is TensorFlow Datasets' own, `~/tensorflow_datasets`.
        image: name of the feature that holds the image.
        label: name of the feature that holds the class.
        download: prepare a named data set that is not there; this loads it from its source.

    Raises:
        KerasVisionError: TensorFlow Datasets is not installed; the data set or the split is not there, or in files
            other than TFRecord; the features are not an 8-bit image and a class; a file is damaged.
    """
    tfds = _tensorflow_datasets()
    builder = _builder(tfds, os.fspath(source), data_dir, download)
    names = _class_names(tfds, builder.info.features, image, label)
    files: list[str] = []
    places, labels = [], []
    for part in _instructions(builder, split):
        records = _records(part.filename, label)
        stop = None if part.take == -1 else part.skip + part.take
        for offset, value in [*records][part.skip : stop]:
            places.append((len(files), offset))
            labels.append(value)
        files.append(part.filename)
    found = Records(tuple(files), np.array(places, np.int64).reshape(-1, 2), image)
    return LabelledImages(found, np.array(labels, np.int64), names)


def _tensorflow_datasets() -> Any:
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise KerasVisionError(
            f"TensorFlow Datasets cannot be imported ({error}); it comes with `pip install keras-vision[tfds]`."
        ) from error


def _builder(tfds: Any, source: str, data_dir: str | os.PathLike | None, download: bool) -> Any:
    try:
        if tf.io.gfile.exists(os.path.join(source, "dataset_info.json")):
            return tfds.builder_from_directory(source)
        builder = tfds.builder(source, data_dir=None if data_dir is None else os.fspath(data_dir))
    except (tfds.core.DatasetNotFoundError, FileNotFoundError, ValueError) as error:
        raise KerasVisionError(
            f"{source}: neither the folder of a prepared data set nor the name of one ({str(error).splitlines()[0]})."
        ) from error
    if not builder.info.splits and download:
        builder.download_and_prepare()
    if not builder.info.splits:
        raise KerasVisionError(
            f"{source}: not prepared in {builder.data_dir}; give the right data_dir, or download=True to load it."
        )
    return builder


def _class_names(tfds: Any, features: Any, image: str, label: str) -> tuple[str, ...]:
    features = dict(features.items())
    given = {name: type(feature).__name__ for name, feature in features.items()}
    pixels, classes = features.get(image), features.get(label)
    if not isinstance(pixels, tfds.features.Image) or pixels.dtype != np.uint8:
        raise KerasVisionError(f"image={image!r} is no feature of 8-bit images; the data set has {given}.")
    if not isinstance(classes, tfds.features.ClassLabel):
        raise KerasVisionError(f"label={label!r} is no feature of one class; the data set has {given}.")
    return tuple(classes.names)


def _instructions(builder: Any, split: str) -> list[Any]:
    """The parts of files that make up a split: `filename`, and the records to `skip` and to `take`."""
    if (form := builder.info.file_format) is None or form.value != "tfrecord":
        raise KerasVisionError(f"{builder.data_dir}: files of {form}; prepare it with file_format='tfrecord'.")
    try:
        return builder.info.splits[split].file_instructions
    except (KeyError, ValueError, AssertionError) as error:
        raise KerasVisionError(f"split={split!r}; {builder.data_dir} has {', '.join(builder.info.splits)}.") from error


def _records(file: str, label: str) -> Iterator[tuple[int, int]]:
    """Offset, in bytes, and class of each record of a file."""
    try:
        end = tf.io.gfile.stat(file).length
        with tf.io.gfile.GFile(file, "rb") as stream:
            offset = 0
            while offset < end:
                length = int.from_bytes(stream.read(_HEAD)[:8], "little")
                if offset + FRAME + length > end:
                    raise KerasVisionError(f"{file}: damaged or cut off at byte {offset}; prepare it again.")
                example = tf.train.Example.FromString(stream.read(length))
                yield offset, example.features.feature[label].int64_list.value[0]
                stream.read(_CHECKSUM)
                offset += FRAME + length
    except KerasVisionError:
        raise
    except Exception as error:  # protobuf's DecodeError has no public home that all versions share
        raise KerasVisionError(f"{file}: cannot be read ({error}); prepare it again.") from error
