"""What a recipe of DRAW, or of cluttered digits, would do with a data set, without training or writing anything."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from typing import Any

import numpy as np

from keras_vision.training.loop import Epochs
from keras_vision.training.recipes import glimpse_running
from keras_vision.training.recipes.generative_data import drawable_parts, epochs_of
from keras_vision.training.recipes.generative_running import check_fits, compiled, network
from keras_vision.training.recipes.generative_settings import GenerativeRecipe
from keras_vision.training.recipes.glimpse_settings import GlimpseRecipe


@dataclasses.dataclass(frozen=True)
class GenerativePlan:
    """A run before it begins.

    Attributes:
        recipe: its settings.
        parameters: number of them, all trained.
        shape: height, width and channels of the images.
        images: of training, validation and test.
        steps: of an epoch, each part of an accumulated batch counted.
        images_per_second: measured on a few steps of training.
    """

    recipe: GenerativeRecipe | GlimpseRecipe
    parameters: int
    shape: tuple[int, int, int]
    images: tuple[int, int, int]
    steps: int
    images_per_second: float


def plan_generative(recipe: GenerativeRecipe, data: str | os.PathLike, measure: int = 3) -> GenerativePlan:
    """What `run_generative_recipe` would do.

    Args:
        recipe: settings.
        data: folder of the data set.
        measure: steps to run for the time, after one that is not counted.

    Raises:
        KerasVisionError: as of `run_generative_recipe`, but for what is in its `out`.
    """
    parts = drawable_parts(recipe.images, data)
    check_fits(recipe, parts)
    steps = parts.training.count // recipe.step_images
    epochs = epochs_of(parts.training, recipe.step_images, recipe.seed)
    model = compiled(recipe, network(recipe), max(steps, 1))
    counts = (parts.training.count, parts.validation.count, parts.test.count)
    return _plan(recipe, model, epochs, counts, measure)


def plan_glimpses(recipe: GlimpseRecipe, data: str | os.PathLike, measure: int = 3) -> GenerativePlan:
    """What `run_glimpse_recipe` would do.

    Args:
        recipe: settings.
        data: folder with the four files of MNIST.
        measure: steps to run for the time, after one that is not counted.

    Raises:
        KerasVisionError: as of `run_glimpse_recipe`, but for what is in its `out`.
    """
    parts = glimpse_running.digit_parts(data)
    glimpse_running.check_fills(recipe, parts[0])
    steps = len(parts[0].ink) // recipe.step_images
    model = glimpse_running.compiled(recipe, glimpse_running.network(recipe), steps)
    counts = (len(parts[0].ink), len(parts[1].ink), len(parts[2].ink))
    return _plan(recipe, model, glimpse_running.epochs_of(recipe, parts[0]), counts, measure)


def _plan(recipe: Any, model: Any, epochs: Epochs, counts: tuple[int, int, int], measure: int) -> GenerativePlan:
    batch = next(iter(epochs(0, 0)))
    times = []
    for _ in range(measure + 1):
        start = time.perf_counter()
        model.train_on_batch(*batch)
        times.append(time.perf_counter() - start)
    return GenerativePlan(
        recipe,
        sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        tuple(model.inputs[0].shape[1:]),
        counts,
        counts[0] // recipe.step_images,
        recipe.step_images / statistics.median(times[1:]),
    )
