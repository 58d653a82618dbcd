"""Images to batches for training and evaluation: in a repeatable order, augmented, resumable at any batch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.annotated_images import EdgeImages, SegmentedImages
from keras_vision.data.augment.geometry import CentreCrop
from keras_vision.data.augment.window import Augmentation, show
from keras_vision.data.decode import load_pixels, normalized, resize_and_crop
from keras_vision.data.decode_window import show_encoded
from keras_vision.data.sources import in_channels, source_of
from keras_vision.data.targets import target_of
from keras_vision.data.unreadable import Unreadable, with_gaps, without_gaps
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.preprocessing import Preprocessing

_as_written = tf.autograph.experimental.do_not_convert
BatchAugment = Callable[[Any, Any, Any], tuple[Any, Any]]  # pixels (b, h, w, c) in 0-255, targets, seed (2,) -> both


@dataclasses.dataclass(eq=False)
class Pipeline:
    """Batches of (normalised float32 images `(b, h, w, c)`, targets) of a data set, epoch by epoch.

    The order of an epoch depends on the seed and the epoch's number alone, and what happens to an image on these and
    its place in the order; neither the number of threads nor where an epoch was taken up changes a batch. Images that
    cannot be read are left out, warned of once and kept in `skipped`: in training another image of the batch takes the
    place, so that all hosts make equally many steps; without a seed the batch gets smaller. A batch that is
    unreadable as a whole is left out.

    Attributes:
        images: what `target_of` takes; their sources are paths, addresses for `tf.io.gfile`, arrays, or shards. Masks
            and boundaries lie in local files.
        preprocessing: of the network.
        batch_size: images in a batch of this host. TensorFlow's `experimental_distribute_dataset`, and with it
            `kv.training.train`, splits each batch among all replicas: give it the batch of all, and no `shard`.
        augment: random changes; None shows each image as `Preprocessing` does. Where a window reaches beyond the image
            it shows the mean of the preprocessing: zeros for the network.
        seed: of order and augmentation, 0 or above; None keeps the order of the data set, each image once.
        cache: where the encoded images are kept after the first time: "memory", a folder, or None for nowhere.
        deterministic: False lets batches take whatever image is ready first: a little faster, and not repeatable.
            Unreadable images then get no replacement, and are named at the end of the epoch.
        shard: number of this host, from 0, and number of hosts. With a seed all get equally many images, and up to
            `hosts - 1` others are left out in each epoch; without one all images are taken.
        drop_remainder: leave out a last batch of fewer images.
        tolerated: share of the images that may fail to be read.
        batch_augment: changes whole batches, before they are normalised: (pixels `(b, h, w, c)` in 0-255, targets, seed
            `(2,)`) to pixels and targets.
        parallel: images prepared at the same time; None for one on each processor.

    Raises:
        KerasVisionError: no images, labels out of range, or settings that do not go together.
    """

    images: Any
    preprocessing: Preprocessing
    batch_size: int
    _: dataclasses.KW_ONLY
    augment: Augmentation | None = None
    seed: int | None = None
    cache: str | os.PathLike | None = None
    deterministic: bool = True
    shard: tuple[int, int] = (0, 1)
    drop_remainder: bool = False
    tolerated: float = 0.01
    batch_augment: BatchAugment | None = None
    parallel: int | None = None

    def __post_init__(self) -> None:
        self._check()
        self._target = target_of(self.images, self.preprocessing.size)
        self._source = source_of(self.images.sources, self.cache)
        mean = self.preprocessing.mean
        # Once for all epochs: what TensorFlow keeps of each new function would add up to megabytes an epoch.
        self._traced = tf.function(self._batches, input_signature=[tf.TensorSpec((), tf.int64)] * 2)
        self._outside = mean[::-1] if self.preprocessing.color == "BGR" else mean  # of RGB or grey pixels
        self._unreadable = Unreadable(
            self.images, self._source, self._probe, self.tolerated, replace=self.seed is not None
        )

    def __len__(self) -> int:
        """Images of this host in one epoch."""
        index, count = self.shard
        return len(range(index, self._in_all(), count))

    @property
    def steps(self) -> int:
        """Batches of this host in one epoch."""
        return len(self) // self.batch_size if self.drop_remainder else -(-len(self) // self.batch_size)

    @property
    def skipped(self) -> dict[str, str]:
        """Name of each image that could not be read so far, and the reason."""
        return self._unreadable.reasons

    def epoch(self, number: int, start: int = 0) -> tf.data.Dataset:
        """One epoch, from 0, as a dataset.

        Args:
            number: of the epoch.
            start: images of this host, a whole number of batches, that an interrupted run has already had.

        Raises:
            KerasVisionError: a start outside the epoch or within a batch. More unreadable images than are tolerated
                end the iteration, within TensorFlow as `tf.errors.InvalidArgumentError` with the message.
        """
        self._check_start(number, start)
        place = tf.data.Dataset.from_tensors((tf.constant(number, tf.int64), tf.constant(start, tf.int64)))
        return self._with_options(place.flat_map(self._traced))

    def dataset(self, first: int = 0, start: int = 0, epochs: int | None = None) -> tf.data.Dataset:
        """Epochs one after the other, without end unless `epochs` says how many; for `fit` with `steps_per_epoch`.

        Args:
            first: number of the first epoch.
            start: as in `epoch`, of the first one.
            epochs: how many.
        """
        self._check_start(first, start)
        numbers = tf.data.Dataset.range(first, tf.int64.max if epochs is None else first + epochs)
        begin, zero = tf.constant(start, tf.int64), tf.constant(0, tf.int64)
        return self._with_options(numbers.flat_map(lambda e: self._batches(e, tf.where(e == first, begin, zero))))

    def batches(self, number: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """`epoch`, whose errors are the package's own.

        Raises:
            KerasVisionError: more unreadable images than are tolerated.
        """
        try:
            yield from self.epoch(number, start)
        except tf.errors.OpError as error:
            raise self._unreadable.error or error from error

    def _in_all(self) -> int:
        count = self.shard[1]
        return len(self.images) if self.seed is None else len(self.images) // count * count

    def _batches(self, number: Any, start: Any) -> tf.data.Dataset:
        order, seeds = tf.numpy_function(self._order, [number, start], (tf.int64, tf.int32))
        order, seeds = tf.ensure_shape(order, [None]), tf.ensure_shape(seeds, [None, 2])
        if self._is_ready():
            places = tf.data.Dataset.from_tensor_slices((order, seeds)).batch(self.batch_size, self.drop_remainder)
            return places.map(self._taken, tf.data.AUTOTUNE)
        places = tf.data.Dataset.from_tensor_slices((tf.range(tf.size(order)), order, seeds))
        calls = self.parallel or os.cpu_count() or 1  # tf.data.AUTOTUNE often stays at one for minutes
        images = places.map(self._read, calls).ignore_errors()
        if self.augment is not None and self.augment.photometric:
            images = images.map(self._changed, calls)  # apart: its errors are not unreadable files
        batches = images.batch(self.batch_size)
        if self.deterministic:
            batches = with_gaps(batches, order, self._unreadable.note).rebatch(self.batch_size, self.drop_remainder)
            batches = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size))
            batches = batches.map(self._repaired, tf.data.AUTOTUNE)
        else:
            batches = without_gaps(batches, order, self._unreadable.note).rebatch(self.batch_size, self.drop_remainder)
        batches = batches.filter(lambda pixels, *_: tf.shape(pixels)[0] > 0)  # all of them unreadable
        return batches.map(self._finished, tf.data.AUTOTUNE)

    def _with_options(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        options = tf.data.Options()
        options.deterministic = self.deterministic
        options.experimental_optimization.apply_default_optimizations = False  # they cost a tenth of a second an epoch
        options.threading.max_intra_op_parallelism = 1  # images are prepared side by side; their parts need no threads
        if self.shard[1] > 1:
            options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return batches.prefetch(tf.data.AUTOTUNE).with_options(options)

    def _order(self, number: Any, start: Any) -> tuple[np.ndarray, np.ndarray]:
        """Positions `(k,)` of this host's images in an epoch, and a seed `(k, 2)` for each."""
        images, mine = len(self.images), slice(self.shard[0], self._in_all(), self.shard[1])
        if self.seed is None:
            return np.arange(images)[mine][start:], np.zeros((images, 2), np.int32)[mine][start:]
        order = np.random.default_rng([self.seed, int(number), 0]).permutation(images)
        seeds = np.random.default_rng([self.seed, int(number), 1]).integers(2**31, size=(images, 2), dtype=np.int32)
        return order[mine][start:], seeds[mine][start:]

    def _is_ready(self) -> bool:
        """Whether a batch of pixels and targets can be taken out at once, as nothing is done to single images."""
        spec, shape = self.preprocessing, self._source.shape
        whole = shape is not None and spec.size == shape[:2] and spec.resize_shorter in (None, min(spec.size))
        return whole and self.augment is None and not isinstance(self.images, SegmentedImages | EdgeImages)

    @_as_written
    def _taken(self, positions: Any, seeds: Any) -> tuple[Any, Any]:
        """A batch of `_is_ready` images."""
        pixels = in_channels(self._source.fetch(positions), self.preprocessing.channels)
        targets = self._target(positions, lambda size: CentreCrop()(size, self.preprocessing.size))
        return self._finished(tf.cast(pixels, tf.float32), targets, seeds)

    @_as_written
    def _read(self, place: Any, position: Any, seed: Any) -> tuple[Any, ...]:
        """Pixels as they are shown, target, place in the order and seed."""
        spec, fetched = self.preprocessing, self._source.fetch(position)
        if self.augment is None:
            as_evaluated = CentreCrop(spec.resize_shorter)
            as_shown = load_pixels if self._source.encoded else resize_and_crop
            pixels = as_shown(fetched if self._source.encoded else in_channels(fetched, spec.channels), spec)
            return pixels, self._target(position, lambda size: as_evaluated(size, spec.size)), place, seed
        own = self._seeds(seed)[0]
        if self._source.encoded:
            pixels, window = show_encoded(fetched, self.augment.geometry, spec.size, spec.channels, own, self._outside)
        else:
            window = self.augment.geometry(tf.shape(fetched)[:2], spec.size, own)
            pixels = show(in_channels(fetched, spec.channels), window, spec.size, self._outside)
        return pixels, self._target(position, lambda size: window), place, seed

    @_as_written
    def _changed(self, pixels: Any, target: Any, place: Any, seed: Any) -> tuple[Any, ...]:
        changes = self.augment.photometric if self.augment else ()
        for change, own in zip(changes, self._seeds(seed)[1:], strict=True):
            pixels = tf.ensure_shape(change(pixels, own), pixels.shape)
        return pixels, target, place, seed

    def _seeds(self, seed: Any) -> list[Any]:
        """One for the geometry and one for each photometric change."""
        count = 1 + len(self.augment.photometric if self.augment else ())
        # `stateless_split` in one operation instead of six.
        return tf.unstack(tf.raw_ops.StatelessRandomUniformFullInt(shape=[count, 2], seed=seed, dtype=tf.int32))

    @_as_written
    def _repaired(self, batch: tuple[Any, ...], positions: Any) -> tuple[Any, ...]:
        """The batch without the images that could not be read, or with others in their places."""
        *parts, readable, seeds = batch
        parts.append(seeds)

        def repaired() -> tuple[Any, ...]:
            kept = tf.numpy_function(self._unreadable.kept, [readable, positions[: tf.size(readable)]], tf.int64)
            kept = tf.ensure_shape(kept, [None])
            return tuple(tf.gather(part, kept) for part in parts)

        return tf.cond(tf.reduce_all(readable), lambda: tuple(parts), repaired)

    @_as_written
    def _finished(self, pixels: Any, targets: Any, seeds: Any) -> tuple[Any, Any]:
        if self.batch_augment is not None:
            pixels, targets = self.batch_augment(pixels, targets, tf.random.experimental.stateless_fold_in(seeds[0], 1))
        if self.preprocessing == self.preprocessing.without_normalization():
            return pixels, targets  # two copies of the batch saved
        return normalized(pixels, self.preprocessing), targets

    def _probe(self, position: int) -> None:
        self._read(0, tf.constant(position, tf.int64), tf.constant([0, 0]))

    def _check(self) -> None:
        index, count = self.shard
        if not len(self.images):
            raise KerasVisionError("no images; a pipeline needs at least one.")
        if self.batch_size < 1 or not 0 <= self.tolerated <= 1 or not 0 <= index < count:
            raise KerasVisionError(
                f"batch_size={self.batch_size}, tolerated={self.tolerated}, shard={self.shard}; accepted: a batch of "
                "at least 1, a share from 0 to 1, and the number of a host, from 0, with the number of hosts."
            )
        if self.seed is None and (self.augment is not None or self.batch_augment is not None):
            raise KerasVisionError("augmentation without a seed; give seed=0, or another number.")
        moved = isinstance(self.images, SegmentedImages | EdgeImages) and not getattr(self.augment, "mask_safe", True)
        if moved:
            raise KerasVisionError("a photometric change moves pixels, and masks would stay behind; leave it out.")
        if self.seed is not None and self.seed < 0:
            raise KerasVisionError(f"seed={self.seed}; give 0 or above, or None for the data set's own order.")
        if self.preprocessing.color == "raw":
            raise KerasVisionError("a network of raw channels takes no image files or RGB arrays; feed it arrays.")
        if not self.steps:
            raise KerasVisionError(
                f"{len(self.images)} images do not fill a batch of {self.batch_size} on {count} hosts; give fewer."
            )

    def _check_start(self, number: int, start: int) -> None:
        last = self.steps * self.batch_size
        if number < 0 or not 0 <= start <= max(last, len(self)) or (start % self.batch_size and start < len(self)):
            raise KerasVisionError(
                f"epoch {number} from image {start}; accepted: an epoch from 0, and a multiple of the batch size, "
                f"{self.batch_size}, up to {last}."
            )
