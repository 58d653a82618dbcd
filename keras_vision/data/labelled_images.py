"""Labelled images from a folder or from scikit-learn's digits, split and turned into `tf.data` pipelines."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_vision.data.decode import load_pixels, normalized
from keras_vision.data.shard_files import Records
from keras_vision.data.skip_list import read_skip_list
from keras_vision.errors import ImageError, KerasVisionError, KerasVisionWarning
from keras_vision.runtime.images import list_images, open_image
from keras_vision.runtime.preprocessing import Preprocessing

FORMATS = ("GIF", "JPEG", "MPO", "PNG")  # what TensorFlow decodes right in a graph; MPO is JPEG with more frames
LEAST_PER_CLASS = 10  # so that the test and the validation part hold each class
_CACHE_BYTES = 1 << 29

Label = TypeVar("Label")
Progress = Callable[[int, int], None]  # files done, files in all


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images with one class each.

    Attributes:
        sources: paths, uint8 arrays `(h, w)` or `(h, w, 3)`, or the records of shards.
        labels: class index of each, `(n,)`.
        class_names: name of each class.
        skipped: files left out, with the reason.
    """

    sources: Sequence[Any]
    labels: np.ndarray
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """A hash of names, labels and order (of the pixels, where the sources are arrays): equal for equal splits."""
        digest = hashlib.sha256(repr(self.class_names).encode() + self.labels.tobytes())
        for source in self.sources:
            if isinstance(source, np.ndarray | bytes):
                digest.update(source.tobytes() if isinstance(source, np.ndarray) else source)
            else:
                digest.update(str(source).encode() + b"\0")
        return digest.hexdigest()

    def split(self, fraction: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """Two disjoint parts with the classes in equal proportion; the second has `fraction` of the images."""
        positions = np.arange(len(self))
        try:
            parts = train_test_split(positions, test_size=fraction, stratify=self.labels, random_state=seed)
        except ValueError as error:
            raise KerasVisionError(f"{len(self)} images are too few to hold {fraction:.0%} out: {error}") from error
        first, second = (self._take(np.sort(part)) for part in parts)
        return first, second

    def dataset(
        self, preprocessing: Preprocessing, batch_size: int, shuffle_seed: int | None = None
    ) -> tf.data.Dataset:
        """Batches of (normalised float32 images `(b, h, w, c)`, labels `(b,)`).

        With a seed, for training: shuffled, and each image shifted by up to 8 % and zoomed by up to 10 %, changes that
        keep the class of any picture.
        """
        if isinstance(self.sources, Records):
            raise KerasVisionError("images of shards; use Pipeline, which reads them in any order.")
        if isinstance(self.sources[0], np.ndarray):
            pixels = np.stack([preprocessing.pixels(open_image(source)) for source in self.sources])
            images = self._shuffled(tf.data.Dataset.from_tensor_slices((pixels, self.labels)), shuffle_seed)
        else:
            paths = tf.data.Dataset.from_tensor_slices(([str(s) for s in self.sources], self.labels))
            fits = len(self) * int(np.prod(preprocessing.size)) * preprocessing.channels < _CACHE_BYTES
            images = (paths if fits else self._shuffled(paths, shuffle_seed)).map(
                lambda path, label: (tf.cast(load_pixels(tf.io.read_file(path), preprocessing), tf.uint8), label),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            if fits:
                images = self._shuffled(images.cache(), shuffle_seed)
        images = images.batch(batch_size)
        if shuffle_seed is not None:
            jitter = _jitter(shuffle_seed)
            images = images.map(lambda pixels, label: (jitter(pixels, training=True), label))  # in order: repeatable
        images = images.map(lambda pixels, label: (normalized(pixels, preprocessing), label), tf.data.AUTOTUNE)
        return images.prefetch(tf.data.AUTOTUNE)

    def _shuffled(self, images: tf.data.Dataset, seed: int | None) -> tf.data.Dataset:
        return images if seed is None else images.shuffle(len(self), seed=seed)

    def _take(self, positions: np.ndarray) -> LabelledImages:
        sources: Sequence[Any] = self.sources
        sources = sources.take(positions) if isinstance(sources, Records) else [sources[i] for i in positions]
        return LabelledImages(sources, self.labels[positions], self.class_names, self.skipped)


def image_folder(
    root: str | os.PathLike, progress: Progress | None = None, skip: str | os.PathLike | None = None
) -> LabelledImages:
    """A folder with one subfolder per class. Every file is decoded once, and those that fail are left out.

    Args:
        root: the folder; class names are those of its subfolders, in sorted order.
        progress: called with (files done, files in all).
        skip: list of files to leave out, as `keras-vision data scan` writes it; warns if it names no file here.

    Raises:
        KerasVisionError: no such folder, a skip list that cannot be read, fewer than two classes, or a class
            with fewer than 10 readable images.
    """
    root = Path(root)
    if not root.is_dir():
        raise KerasVisionError(f"{root}: no such folder. Give one with a subfolder of images per class.")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [(path, label) for label, folder in enumerate(folders) for path in list_images([folder])]
    if len(folders) < 2 or not found:
        raise KerasVisionError(
            f"{root}: {len(found)} images in {len(folders)} subfolders. Give a folder with a subfolder of images for "
            "each of at least two classes."
        )
    found, listed = without_listed(root, found, skip)
    problems = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, problem in enumerate(pool.map(_problem, [path for path, _ in found]), 1):
            problems.append(problem)
            if progress is not None:
                progress(done, len(found))
    kept = [entry for entry, problem in zip(found, problems, strict=True) if problem is None]
    skipped = listed + tuple((str(path), p) for (path, _), p in zip(found, problems, strict=True) if p is not None)
    labels = np.array([label for _, label in kept], np.int64)
    counts = np.bincount(labels, minlength=len(folders))
    if counts.min() < LEAST_PER_CLASS:
        reasons = f" Skipped: {'; '.join(f'{Path(p).name}: {r}' for p, r in skipped[:5])}." if skipped else ""
        fewest = folders[counts.argmin()]
        raise KerasVisionError(
            f"{fewest}: {counts.min()} readable images; at least {LEAST_PER_CLASS} per class are needed.{reasons}"
        )
    return LabelledImages([path for path, _ in kept], labels, tuple(f.name for f in folders), skipped)


def digits() -> LabelledImages:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 pixels in 17 grey levels; part of the package, no download."""
    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)
    return LabelledImages(list(pixels), data.target.astype(np.int64), tuple(map(str, data.target_names)))


def _jitter(seed: int) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.layers.RandomTranslation(0.08, 0.08, fill_mode="nearest", seed=seed),
            keras.layers.RandomZoom(0.1, fill_mode="nearest", seed=seed),
        ]
    )


def without_listed(
    root: Path, found: list[tuple[Path, Label]], skip: str | os.PathLike | None
) -> tuple[list[tuple[Path, Label]], tuple[tuple[str, str], ...]]:
    """The files that the skip list does not name, and those that it does with the reason."""
    if skip is None:
        return found, ()
    reasons = read_skip_list(skip)
    names = [path.relative_to(root).as_posix() for path, _ in found]
    if reasons and not set(names) & set(reasons):
        warnings.warn(
            f"{skip} names {len(reasons)} files and none of them is in {root}; give the list of this folder, or none.",
            KerasVisionWarning,
            stacklevel=3,
        )
    kept = [entry for entry, name in zip(found, names, strict=True) if name not in reasons]
    return kept, tuple((str(root / name), reasons[name]) for name in names if name in reasons)


def _problem(path: Path) -> str | None:
    try:
        open_image(path)
    except ImageError as error:
        return error.reason
    with Image.open(path) as image:
        name = image.format
    return None if name in FORMATS else f"{name} is not read in training; convert it to JPEG or PNG"
