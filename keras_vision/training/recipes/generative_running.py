"""A recipe of DRAW from its data to a trained model, with its bound and sheets of samples; interrupted, it goes on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.generative import (
    DRAW,
    DRAWModel,
    log_likelihood,
    nats,
    nearest_images,
    variational_bound,
)
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import train
from keras_vision.training.optimisation import optimizer_of
from keras_vision.training.recipes.building import precision
from keras_vision.training.recipes.generative_data import (
    Drawable,
    DrawableParts,
    drawable_parts,
    epochs_of,
    fingerprint,
    with_targets,
)
from keras_vision.training.recipes.generative_settings import GenerativeRecipe
from keras_vision.training.run_folder import CHECKPOINTS, HISTORY, claim, finish, keep
from keras_vision.training.sample_sheets import SampleSheets
from keras_vision.training.strategy import is_chief
from keras_vision.training.time_budget import TimeBudget
from keras_vision.visualization import grid

SNAPSHOT, SAMPLES, NEAREST = "all.npz", "samples", "nearest.png"
_COMPARED = 500  # real test images whose nearest training images generated ones are compared with
_TRAINED = 20_000  # training images that are searched


def run_generative_recipe(
    recipe: GenerativeRecipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
    every: float = 600.0,
) -> Mapping[str, Any]:
    """Train a DRAW and measure it; what metrics.json holds.

    `out` then holds run.json (settings and versions), history.csv (a row per epoch), model.keras (float32), samples/
    (sheets of generated images as animated GIFs), nearest.png (generated images, and below each the training image
    that is nearest) and metrics.json: the bound in nats per test image with its two parts, the importance-weighted
    estimate, and distances to the nearest training images. While training it holds checkpoints/.

    Args:
        recipe: settings.
        data: folder with what `recipe.images` names.
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
    parts = drawable_parts(recipe.images, data)
    check_fits(recipe, parts)
    settings, products = dataclasses.asdict(recipe), (SAMPLES, NEAREST)
    claim(out, settings, fingerprint(parts), strategy, products=products, overwrite=overwrite)
    model = _trained(recipe, parts, out, strategy, callbacks, every)
    plain = network(recipe, trained=False)
    plain.set_weights(model.get_weights())  # on every worker: reading takes all of them
    if not is_chief(strategy):
        return {}
    keep(out, plain)
    outcome = {**measured(recipe, plain, parts.test), **copied(recipe, plain, parts, out / NEAREST)}
    finish(out, {**outcome, "result": recipe.result})
    return {**outcome, "result": recipe.result}


def network(recipe: GenerativeRecipe, trained: bool = True) -> DRAWModel:
    """The network of a recipe, under its precision, or in float32 as it is kept."""
    settings = {"seed": recipe.seed, **recipe.model_settings}
    if not trained:
        settings.pop("unroll", None)
    with precision(recipe.precision if trained else "float32"):
        return DRAW(**settings)


def check_fits(recipe: GenerativeRecipe, parts: DrawableParts) -> None:
    """Refuse images that the network does not draw, before anything is written.

    Raises:
        KerasVisionError: a part without images, or images of another shape.
    """
    shape = network(recipe, trained=False).cell.image_shape
    for name, part in zip(parts._fields, parts, strict=True):
        if not part.count:
            raise KerasVisionError(f"no {name} images; give a data set with images in each of its parts.")
    found = parts.training.some(1, recipe.seed).shape[1:]
    if found != shape:
        raise KerasVisionError(f"images of {found} for a network of {shape}; set the row or image_shape that fits.")


def compiled(recipe: GenerativeRecipe, model: DRAWModel, steps: int, replicas: int = 1) -> DRAWModel:
    """The network with losses and optimizer; in the scope of the strategy, if there is one."""
    optimizer = optimizer_of(recipe, model, steps, replicas)
    model.compile(optimizer, nats(), jit_compile=recipe.jit_compile and replicas == 1)
    return model


def _trained(
    recipe: GenerativeRecipe, parts: DrawableParts, out: Path, strategy: Any, callbacks: Sequence[Any], every: float
) -> DRAWModel:
    keras.utils.set_random_seed(recipe.seed)
    steps, replicas, writes = (
        parts.training.count // recipe.step_images,
        strategy.num_replicas_in_sync,
        is_chief(strategy),
    )
    epochs = epochs_of(parts.training, recipe.step_images, recipe.seed)
    with strategy.scope():
        model = compiled(recipe, network(recipe), steps, replicas)
    budget = [] if recipe.minutes is None else [TimeBudget(recipe.minutes, recipe.learning_rate)]
    sheets = [SampleSheets(out / SAMPLES, recipe.samples, recipe.samples_every, recipe.seed)] if writes else []
    held_out = parts.validation.some(recipe.held_out, recipe.seed)
    batch = min(recipe.step_images, len(held_out))
    shown = tf.data.Dataset.from_tensor_slices(held_out).batch(batch, drop_remainder=True).map(with_targets)
    train(
        model,
        epochs,
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        validation=shown,
        callbacks=[*budget, HistoryFile(out / HISTORY, writes), *sheets, *callbacks],
        strategy=strategy,
        snapshots=out / CHECKPOINTS / SNAPSHOT,
        every=every,
    )
    return model


def measured(recipe: GenerativeRecipe, model: DRAWModel, test: Drawable) -> dict[str, Any]:
    """Nats per test image: the bound over all of them, and a tighter estimate over some."""
    images = test.some(test.count, recipe.seed)
    bound = variational_bound(model, images, recipe.seed)
    some = images[np.random.default_rng(recipe.seed).permutation(len(images))[: recipe.importance_images]]
    estimate = -log_likelihood(model, some, recipe.importance_samples, recipe.seed)
    return dict(
        nats=bound.nats,
        reconstruction_nats=float(bound.reconstruction.mean()),
        latent_nats=float(bound.latent.mean()),
        importance_weighted_nats=float(estimate.mean()),
        importance_samples=recipe.importance_samples,
        importance_images=len(some),
        test_images=len(images),
    )


def copied(recipe: GenerativeRecipe, model: DRAWModel, parts: DrawableParts, file: Path) -> dict[str, Any]:
    """How far generated images are from the nearest training images, and real test images are; with a picture.

    A network that copies would draw nearer to training images than real images of the same kind are.
    """
    training, generated = parts.training.some(_TRAINED, recipe.seed), model.generate(recipe.samples, recipe.seed)
    real = parts.test.some(min(_COMPARED, parts.test.count), recipe.seed)
    # Samples of zeros and ones, where the data are: means of pixels are nearer to anything than samples are.
    drawn = generated
    if parts.training.highest == 1:
        drawn = (np.random.default_rng(recipe.seed).random(generated.shape) < generated).astype(np.float32)
    near, compare = nearest_images(drawn, training), nearest_images(real, training)
    shown = min(10, len(generated))
    with whole_file(file, overwrite=True) as temporary:
        pairs = np.concatenate([generated[:shown], training[near.indices[:shown]]])
        grid(pairs, columns=shown, enlarge=2).save(temporary)
    return dict(
        nearest_distance=float(near.distances.mean()),
        nearest_distance_least=float(near.distances.min()),
        nearest_distance_of_test_images=float(compare.distances.mean()),
        nearest_distance_of_test_images_least=float(compare.distances.min()),
    )
