"""A recipe of cluttered digits from MNIST's files to a trained classifier and its error; interrupted, it goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.data import cluttered_digits, mnist
from keras_vision.errors import KerasVisionError
from keras_vision.generative import RAM, ConvolutionalBaseline, GlimpseClassifier, RAMLoss
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import Epochs, train
from keras_vision.training.optimisation import optimizer_of
from keras_vision.training.recipes.building import precision
from keras_vision.training.recipes.glimpse_settings import GlimpseRecipe
from keras_vision.training.run_folder import CHECKPOINTS, HISTORY, claim, finish, keep
from keras_vision.training.strategy import is_chief
from keras_vision.training.time_budget import TimeBudget

SNAPSHOT = "all.npz"
_HELD_OUT = 1 / 6  # of the training digits
_CLASSES = 10
_CONSTRUCTORS: dict[str, Any] = {
    "GlimpseClassifier": GlimpseClassifier,
    "RAM": RAM,
    "ConvolutionalBaseline": ConvolutionalBaseline,
}


@dataclasses.dataclass(frozen=True)
class Digits:
    """Digits to put among clutter: `(n, 28, 28)` uint8, and their classes `(n,)`."""

    ink: np.ndarray
    classes: np.ndarray

    def scenes(self, recipe: GlimpseRecipe, chosen: np.ndarray, rng: np.random.Generator) -> Any:
        """Images `(n, size, size, 1)` in [0, 1], and classes."""
        clutter = dict(size=recipe.size, pieces=recipe.pieces, side=recipe.side)
        scenes = cluttered_digits(self.ink, chosen, rng, **clutter)[..., None]
        return scenes.astype(np.float32) / 255, self.classes[chosen].astype(np.int32)

    def some(self, recipe: GlimpseRecipe, n: int, seed: Sequence[int]) -> Any:
        """That many images, in turn of all digits, with places and clutter of a seed."""
        return self.scenes(recipe, np.arange(n) % len(self.ink), np.random.default_rng(list(seed)))


def run_glimpse_recipe(
    recipe: GlimpseRecipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
    every: float = 600.0,
) -> Mapping[str, Any]:
    """Train a classifier of cluttered digits and measure it; what metrics.json holds.

    `out` then holds run.json, history.csv, model.keras (float32) and metrics.json: the error on cluttered test digits.

    Args:
        recipe: settings.
        data: folder with the four files of MNIST.
        out: folder to write.
        strategy: see `strategy_of`; None for one device.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.
        every: seconds between snapshots within an epoch.

    Raises:
        KerasVisionError: no data set, settings that do not fit the data, a folder that holds something else, another
            run or a finished one; and see `train`.
    """
    strategy, out = strategy or tf.distribute.get_strategy(), Path(out)
    training, validation, test = digit_parts(data)
    check_fills(recipe, training)
    mark = hashlib.sha256(training.ink[:50].tobytes() + test.ink[:50].tobytes()).hexdigest()
    claim(out, dataclasses.asdict(recipe), mark, strategy, overwrite=overwrite)
    model = _trained(recipe, training, validation, out, strategy, callbacks, every)
    plain = network(recipe, trained=False)
    plain.set_weights(model.get_weights())
    if not is_chief(strategy):
        return {}
    keep(out, plain)
    images, classes = test.some(recipe, recipe.test_images, (recipe.seed, 1))
    found = plain.predict(images, batch_size=100, verbose=0)[:, :_CLASSES].argmax(-1)
    outcome = dict(error=float((found != classes).mean()), test_images=len(classes), result=recipe.result)
    finish(out, outcome)
    return outcome


def digit_parts(data: str | os.PathLike) -> tuple[Digits, Digits, Digits]:
    """MNIST's digits to train on, to look at while training (a sixth of the training files) and to measure."""
    parts = [mnist(data, part) for part in ("train", "test")]
    known, test = (Digits(np.stack(part.sources), np.asarray(part.labels)) for part in parts)
    first = len(known.ink) - max(round(len(known.ink) * _HELD_OUT), 1)
    return Digits(known.ink[:first], known.classes[:first]), Digits(known.ink[first:], known.classes[first:]), test


def check_fills(recipe: GlimpseRecipe, training: Digits) -> None:
    """Refuse fewer digits than a batch takes.

    Raises:
        KerasVisionError: there are fewer.
    """
    if len(training.ink) < recipe.step_images:
        raise KerasVisionError(
            f"{len(training.ink)} training digits do not fill a batch of {recipe.step_images}; give a smaller one."
        )


def network(recipe: GlimpseRecipe, trained: bool = True) -> keras.Model:
    """The network of a recipe, under its precision, or in float32 as it is kept."""
    settings = {"image_shape": (recipe.size, recipe.size, 1), **recipe.model_settings}
    if not trained:
        settings.pop("unroll", None)
    with precision(recipe.precision if trained else "float32"):
        return _CONSTRUCTORS[recipe.model](**settings)


def compiled(recipe: GlimpseRecipe, model: keras.Model, steps: int, replicas: int = 1) -> keras.Model:
    """The network with loss, accuracy and optimizer; in the scope of the strategy, if there is one."""
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=recipe.model != "GlimpseClassifier")
    model.compile(
        optimizer_of(recipe, model, steps, replicas),
        RAMLoss(_CLASSES) if recipe.model == "RAM" else crossentropy,
        metrics=[keras.metrics.MeanMetricWrapper(right, name="top1")],
        jit_compile=recipe.jit_compile and replicas == 1,
    )
    return model


def right(y_true: Any, y_pred: Any) -> Any:
    """1 for each image whose class has the highest of the first ten outputs."""
    found = keras.ops.argmax(y_pred[:, :_CLASSES], axis=-1)
    return keras.ops.cast(
        keras.ops.equal(found, keras.ops.cast(keras.ops.reshape(y_true, (-1,)), found.dtype)), "float32"
    )


def epochs_of(recipe: GlimpseRecipe, digits: Digits) -> Epochs:
    """What `train` takes: batches with places and clutter of their own in each epoch, however training got there."""
    size, steps = recipe.step_images, len(digits.ink) // recipe.step_images
    signature = tf.TensorSpec((size, recipe.size, recipe.size, 1), tf.float32), tf.TensorSpec((size,), tf.int32)

    def epoch(number: int, step: int) -> tf.data.Dataset:
        order = np.random.default_rng([recipe.seed, number]).permutation(len(digits.ink))

        def batches() -> Any:
            for at in range(step, steps):
                rng = np.random.default_rng([recipe.seed, number, at])
                yield digits.scenes(recipe, order[at * size : (at + 1) * size], rng)

        return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)

    return epoch


def _trained(
    recipe: GlimpseRecipe, training: Digits, validation: Digits, out: Path, strategy: Any, callbacks: Any, every: float
) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    steps, replicas = len(training.ink) // recipe.step_images, strategy.num_replicas_in_sync
    with strategy.scope():
        model = compiled(recipe, network(recipe), steps, replicas)
    budget = [] if recipe.minutes is None else [TimeBudget(recipe.minutes, recipe.learning_rate)]
    held_out = validation.some(recipe, recipe.held_out, (recipe.seed, 0))
    batch = min(recipe.step_images, recipe.held_out)
    train(
        model,
        epochs_of(recipe, training),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        validation=tf.data.Dataset.from_tensor_slices(held_out).batch(batch, drop_remainder=True),
        callbacks=[*budget, HistoryFile(out / HISTORY, is_chief(strategy)), *callbacks],
        strategy=strategy,
        snapshots=out / CHECKPOINTS / SNAPSHOT,
        every=every,
    )
    return model
