"""What a dense recipe would do with a data set, without training or writing anything."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time

import numpy as np

from keras_vision.data import SegmentedImages
from keras_vision.model import VisionModel
from keras_vision.training.recipes import dense_building as building
from keras_vision.training.recipes.dense_data import DenseParts, dense_parts
from keras_vision.training.recipes.dense_settings import DenseRecipe


@dataclasses.dataclass(frozen=True)
class DensePlan:
    """A run before it begins.

    Attributes:
        recipe: its settings.
        parameters, trained: numbers of the network.
        images: of training, validation and test.
        classes: number of them; 0 for edges.
        steps: of an epoch, each part of an accumulated batch counted.
        images_per_second: measured on a few steps of one training image each.
    """

    recipe: DenseRecipe
    parameters: int
    trained: int
    images: tuple[int, int, int]
    classes: int
    steps: int
    images_per_second: float


def plan_dense(recipe: DenseRecipe, data: str | os.PathLike, measure: int = 2) -> DensePlan:
    """What `run_dense_recipe` would do.

    Args:
        recipe: settings.
        data: folder of the data set.
        measure: steps to run for the time, after one that is not counted.

    Raises:
        KerasVisionError: as of `run_dense_recipe`, but for what is in its `out` and in the weights to start from, which
            are not read.
    """
    parts = dense_parts(recipe.task, data)
    building.check_parts(recipe, parts)
    model = building.network(recipe, parts.training, start=False)
    steps = building.pipeline(recipe, model, parts.training).steps
    building.compiled(recipe, model, parts.training, steps)
    return DensePlan(
        recipe,
        model.count_params(),
        sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        (len(parts.training), len(parts.validation), len(parts.test)),
        len(parts.training.class_names) if isinstance(parts.training, SegmentedImages) else 0,
        steps,
        _images_per_second(recipe, model, parts, measure),
    )


def _images_per_second(recipe: DenseRecipe, model: VisionModel, parts: DenseParts, measure: int) -> float:
    """The median of some steps, after a first that traces the graph."""
    single = dataclasses.replace(recipe, batch_size=1, accumulation=1)
    batches = building.epochs_of(model, building.pipeline(single, model, parts.training))(0, 0)
    times = []
    for images, targets in batches.take(measure + 1):
        start = time.perf_counter()
        model.train_on_batch(images, targets)
        times.append(time.perf_counter() - start)
    return 1 / statistics.median(times[1:])
