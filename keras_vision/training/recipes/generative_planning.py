"""What a recipe of DRAW would do with a data set, without training or writing anything."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time

from keras_vision.training.recipes.generative_data import drawable_parts, epochs_of
from keras_vision.training.recipes.generative_running import check_fits, compiled, network
from keras_vision.training.recipes.generative_settings import GenerativeRecipe


@dataclasses.dataclass(frozen=True)
class GenerativePlan:
    """A run before it begins.

    Attributes:
        recipe: its settings.
        parameters: number of them, all trained.
        glimpses: T.
        shape: height, width and channels of the images.
        images: of training, validation and test.
        steps: of an epoch, each part of an accumulated batch counted.
        images_per_second: measured on a few steps of training.
    """

    recipe: GenerativeRecipe
    parameters: int
    glimpses: int
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
    batch = next(iter(epochs(0, 0)))
    times = []
    for _ in range(measure + 1):
        start = time.perf_counter()
        model.train_on_batch(*batch)
        times.append(time.perf_counter() - start)
    return GenerativePlan(
        recipe,
        model.card.parameters,
        model.steps,
        model.cell.image_shape,
        (parts.training.count, parts.validation.count, parts.test.count),
        steps,
        recipe.step_images / statistics.median(times[1:]),
    )
