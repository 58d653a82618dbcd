"""Images to learn to draw, of a folder: fixed ones, or ones that are composed or cropped anew each time."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vision.data import binarized_mnist, cifar10, mnist, two_digits
from keras_vision.data.house_numbers import house_numbers
from keras_vision.errors import KerasVisionError
from keras_vision.training.loop import Epochs

# Indices and a generator of random numbers to images of them, uint8 `(n, h, w, c)`.
Batch = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Drawable:
    """Images that batches are made of.

    Attributes:
        count: how many.
        batch: of indices, the images.
        highest: value that stands for 1.
    """

    count: int
    batch: Batch
    highest: int

    def pixels(self, indices: Any, rng: np.random.Generator) -> np.ndarray:
        """Images in [0, 1], float32 `(n, h, w, c)`."""
        return self.batch(np.asarray(indices), rng).astype(np.float32) / self.highest

    def some(self, most: int, seed: int) -> np.ndarray:
        """As many of the images, chosen by the seed; all, in their order, if there are no more."""
        rng = np.random.default_rng(seed)
        chosen = np.arange(self.count) if most >= self.count else rng.permutation(self.count)[:most]
        return self.pixels(chosen, rng)


class DrawableParts(NamedTuple):
    """Of a data set: what is trained on, what is looked at while training, and what is measured at the end."""

    training: Drawable
    validation: Drawable
    test: Drawable


def drawable_parts(images: str, folder: str | os.PathLike) -> DrawableParts:
    """The parts of a data set.

    Validation images of two digits have the last sixth of the training digits; of CIFAR-10 they are a tenth of the
    training images, of SVHN a fiftieth.

    Args:
        images: "binarized_mnist", "two_digits" (of the four files of MNIST), "svhn" (whole numbers: `train/`, `test/`
            and, if it is there, `extra/`) or "cifar10" (binary version).
        folder: that holds them.

    Raises:
        KerasVisionError: no such folder, or not these files.
    """
    if images == "binarized_mnist":
        return DrawableParts(*(_fixed(binarized_mnist(folder, part), 1) for part in ("train", "valid", "test")))
    if images == "two_digits":
        digits = [np.stack(mnist(folder, part).sources) for part in ("train", "test")]
        first = len(digits[0]) - max(len(digits[0]) // 6, 1)
        return DrawableParts(*map(_composed, (digits[0][:first], digits[0][first:], digits[1])))
    if images == "svhn":
        return DrawableParts(*(Drawable(n, batch, 255) for n, batch in house_numbers(folder)))
    training, test = (np.stack([np.asarray(p) for p in cifar10(folder, part).sources]) for part in ("train", "test"))
    held_out = len(training) // 10
    return DrawableParts(_fixed(training[:-held_out], 255), _fixed(training[-held_out:], 255), _fixed(test, 255))


def _fixed(pixels: np.ndarray, highest: int) -> Drawable:
    return Drawable(len(pixels), lambda indices, rng: pixels[indices], highest)


def _composed(digits: np.ndarray) -> Drawable:
    return Drawable(len(digits), lambda indices, rng: two_digits(digits, len(indices), rng)[..., None], 255)


def epochs_of(images: Drawable, batch_size: int, seed: int) -> Epochs:
    """What `train` takes: batches of an epoch in an order of its own, each the same however training got there.

    Raises:
        KerasVisionError: fewer images than a batch.
    """
    if images.count < batch_size:
        raise KerasVisionError(
            f"{images.count} training images do not fill a batch of {batch_size}; give a smaller one."
        )
    steps = images.count // batch_size
    shape = (batch_size, *images.pixels([0], np.random.default_rng(0)).shape[1:])

    def epoch(number: int, step: int) -> tf.data.Dataset:
        order = np.random.default_rng([seed, number]).permutation(images.count)

        def batches() -> Any:
            for at in range(step, steps):
                rng = np.random.default_rng([seed, number, at])
                yield images.pixels(order[at * batch_size : (at + 1) * batch_size], rng)

        made = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec(shape, tf.float32))
        return made.map(with_targets).prefetch(2)

    return epoch


def with_targets(images: Any) -> tuple[Any, dict[str, Any]]:
    """Images, and what the two losses of `generative.nats` compare with."""
    return images, {"canvas": images, "kl": tf.zeros(tf.shape(images)[:1])}


def fingerprint(parts: DrawableParts) -> str:
    """A hash of the numbers of images and of some of them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part.count).encode())
        digest.update(part.some(50, seed=0).tobytes())
    return digest.hexdigest()
