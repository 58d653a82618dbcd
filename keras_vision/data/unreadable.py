"""Images that a pipeline could not read: counted, named, replaced, and too many of them refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.sources import Source
from keras_vision.errors import ImageError, KerasVisionError, KerasVisionWarning
from keras_vision.runtime.images import DAMAGE, open_image

_NAMED = 5  # files in one message


class Unreadable:
    """The unreadable images of a data set, as far as they were met.

    Args:
        images: the data set.
        source: of its images.
        probe: reads the image at a position in TensorFlow, to find out what is wrong with it.
        tolerated: share of the images that may be unreadable.
        replace: other images of the batch take their places, so that batches keep their size.

    Attributes:
        reasons: name of each to what is wrong with it.
        error: raised because there were too many, or None.
    """

    def __init__(self, images: Any, source: Source, probe: Callable[[int], None], tolerated: float, replace: bool):
        self._images, self._source, self._probe = images, source, probe
        self._tolerated, self._replace = tolerated, replace
        self._positions: set[int] = set()
        self.reasons: dict[str, str] = {}
        self.error: KerasVisionError | None = None

    def kept(self, readable: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Places in the batch of the images to take; warns of those that were not met before.

        Raises:
            KerasVisionError: too many images are unreadable.
        """
        self.note(positions[~readable])
        good = np.flatnonzero(readable)
        if not self._replace or not len(good):
            return good
        places = np.arange(len(readable))
        return np.where(readable, places, good[places % len(good)])

    def note(self, positions: np.ndarray) -> None:
        """Count unreadable images, and warn of those that were not met before.

        Raises:
            KerasVisionError: too many images are unreadable.
        """
        met = [position for position in positions.tolist() if position not in self._positions]
        self._positions.update(met)
        too_many = len(self._positions) > self._tolerated * len(self._images)
        looked_at = met[:_NAMED] if too_many else met
        new = {self._source.name(position): self._reason(position) for position in looked_at}
        self.reasons.update(new)
        named = "; ".join(f"{name}: {reason}" for name, reason in list(new.items())[:_NAMED])
        named += f" and {len(met) - _NAMED} more" if len(met) > _NAMED else ""
        if too_many:
            self.error = KerasVisionError(
                f"{len(self._positions)} of {len(self._images)} images cannot be read, more than the tolerated "
                f"{self._tolerated:.1%}: {named or 'see above'}. Leave them out with a skip list (`keras-vision data "
                "scan`), or raise tolerated=."
            )
            raise self.error
        if new:
            warnings.warn(f"left out, as they cannot be read: {named}", KerasVisionWarning, stacklevel=2)

    def _reason(self, position: int) -> str:
        try:
            np.asarray(open_image(self._source.read(position)))
            for annotation in ("mask", "boundaries"):
                if (look := getattr(self._images, annotation, None)) is not None:
                    look(position)
            self._probe(position)
        except ImageError as error:
            return error.reason
        except tf.errors.OpError as error:
            return f"TensorFlow: {error.message.strip().splitlines()[0]}"
        except (KerasVisionError, *DAMAGE) as error:
            return str(error) or type(error).__name__
        return "could not be read once, and can be now"


def with_gaps(batches: tf.data.Dataset, order: Any, note: Callable[[np.ndarray], object]) -> tf.data.Dataset:
    """Images (pixels, target, place, seed) in batches and in order, some missing, to (pixels, target, readable, seed).

    Those that are missing, of the places in `order`, come as zeros at their places, after `note` was given their
    positions. Batches get larger by them.
    """
    count = tf.size(order)

    @tf.autograph.experimental.do_not_convert
    def fill(expected: Any, batch: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        pixels, targets, places, seeds = batch
        following = tf.cond(tf.size(places) > 0, lambda: places[-1] + 1, lambda: count)

        def filled() -> tuple[Any, ...]:
            wanted = tf.range(expected, following)
            found = tf.searchsorted(places, wanted)  # beyond the last for those that miss at the end
            readable = tf.equal(tf.gather(tf.concat([places, [-1]], 0), found), wanted)
            missing = tf.boolean_mask(order[expected:following], ~readable)
            with tf.control_dependencies([tf.numpy_function(lambda m: note(m) or m, [missing], order.dtype)]):
                rows = tf.where(readable, found, tf.size(places))
            parts = (
                tf.concat([part, tf.zeros([1, *part.shape[1:]], part.dtype)], 0) for part in (pixels, targets, seeds)
            )
            pixels_, targets_, seeds_ = (tf.gather(part, rows) for part in parts)
            return pixels_, targets_, readable, seeds_

        complete = tf.equal(following - expected, tf.size(places))
        whole = (pixels, targets, tf.ones_like(places, tf.bool), seeds)
        return following, tf.cond(complete, lambda: whole, filled)

    return _ended(batches).scan(tf.constant(0), fill)


def without_gaps(batches: tf.data.Dataset, order: Any, note: Callable[[np.ndarray], object]) -> tf.data.Dataset:
    """Images (pixels, target, place, seed) in any order, to (pixels, target, seed), in batches; notes the missing."""

    @tf.autograph.experimental.do_not_convert
    def look(seen: Any, batch: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        pixels, targets, places, seeds = batch

        def noted() -> Any:
            missing = tf.boolean_mask(order, ~seen)
            with tf.control_dependencies([tf.numpy_function(lambda m: note(m) or m, [missing], order.dtype)]):
                return tf.identity(seen)

        def marked() -> Any:
            return tf.tensor_scatter_nd_update(seen, places[:, None], tf.ones_like(places, tf.bool))

        return tf.cond(tf.size(places) > 0, marked, noted), (pixels, targets, seeds)

    return _ended(batches).scan(tf.zeros_like(order, tf.bool), look)


def _ended(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, and an empty one at the end."""
    none = tf.nest.map_structure(lambda spec: tf.zeros([0, *spec.shape[1:]], spec.dtype), batches.element_spec)
    return batches.concatenate(tf.data.Dataset.from_tensors(none))
