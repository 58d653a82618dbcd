"""What a recipe would do with a data set, without training or writing anything."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel
from keras_vision.training.optimisation import is_kernel
from keras_vision.training.recipes import building
from keras_vision.training.recipes.data_sets import training_and_validation
from keras_vision.training.recipes.settings import Recipe

_MEASURED = 20e9  # multiply-adds forwards in a measured step, about
_SHOWN_RATES = 6


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run before it begins.

    Attributes:
        recipe: its settings.
        parameters, trained: numbers of the model that is trained, with side classifiers.
        multiply_adds: of one image forwards.
        classes, training_images, validation_images: of the data set.
        steps: of an epoch, each part of an accumulated batch counted.
        rates: pairs of an epoch's number, from 1, and the learning rate of its first step.
        decayed: variables under weight decay, of `variables`.
        memory: bytes, by what they are for; see `memory_of`.
        images_per_second: measured on `measured_steps` steps of a few images; None if there were none.
        measured_steps, measured_images: number of them, and of the images in each.
    """

    recipe: Recipe
    parameters: int
    trained: int
    multiply_adds: int | None
    classes: int
    training_images: int
    validation_images: int
    steps: int
    rates: tuple[tuple[int, float], ...]
    decayed: int
    variables: int
    memory: dict[str, int]
    images_per_second: float | None
    measured_steps: int
    measured_images: int

    @property
    def seconds(self) -> float | None:
        """Of all epochs at the measured pace, without validation; a stage before takes its own time."""
        if self.images_per_second is None:
            return None
        return self.recipe.epochs * self.steps * self.recipe.step_images / self.images_per_second


def plan(
    recipe: Recipe, data: str | os.PathLike, strategy: tf.distribute.Strategy | None = None, measure: int = 2
) -> Plan:
    """What `run_recipe` would do.

    Args:
        recipe: settings.
        data: folder of the data set.
        strategy: see `strategy_of`.
        measure: steps of a few random images to run on one device for the time, after one that is not counted; 0 for
            none.

    Raises:
        KerasVisionError: as of `run_recipe`, but for what is in its `out` and in the weights to start from, which are
            not read.
    """
    strategy = strategy or tf.distribute.get_strategy()
    parts = training_and_validation(data, recipe.seed)
    building.check_fits(recipe, parts, strategy.num_replicas_in_sync)
    if recipe.start is not None and Path(recipe.start).suffix and not Path(recipe.start).is_file():
        raise KerasVisionError(f"start={recipe.start!r}: no such file.")
    one_size = dataclasses.replace(recipe, sizes=())
    model = building.network(one_size, len(parts[0].class_names), start=False)  # nothing is fetched for a plan
    steps = building.pipelines(recipe, model, parts)[0].steps
    building.compiled(recipe, model, steps, strategy.num_replicas_in_sync)
    model.optimizer.build(model.trainable_variables)
    kernels = sum(map(is_kernel, model.trainable_variables))
    decayed = len(model.trainable_variables) if recipe.decay_all else kernels
    return Plan(
        recipe,
        model.count_params(),
        sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        model.card.multiply_adds,
        len(parts[0].class_names),
        len(parts[0]),
        len(parts[1]),
        steps,
        _rates(recipe, model, steps),
        decayed if recipe.weight_decay else 0,
        len(model.trainable_variables),
        memory_of(model, recipe, strategy.num_replicas_in_sync),
        _images_per_second(model, recipe, measure),
        measure,
        _measured_images(model, recipe),
    )


def memory_of(model: VisionModel, recipe: Recipe, replicas: int = 1) -> dict[str, int]:
    """Bytes that a replica holds in training, by what they are for: an estimate.

    Activations are the outputs of all layers for its images of a step, which the backward pass needs; the parts of a
    nested model are not in it. What libraries need for their own work comes on top; what a compiler frees early does
    not.

    Args:
        model: compiled, its optimizer built.
        recipe: with the batch and the precision.
        replicas: among which a step's images are shared out.
    """
    images = -(-recipe.step_images // replicas)
    trained = _bytes(model.trainable_variables)
    return {
        "weights": _bytes(model.variables),
        "gradients": trained,
        "optimizer": _bytes(model.optimizer.variables),
        "running average": trained if recipe.average is not None else 0,
        "activations": images * sum(map(_output_bytes, model.operations)),
    }


def _output_bytes(operation: Any) -> int:
    outputs = keras.tree.flatten(operation._inbound_nodes[0].output_tensors)
    return sum(int(np.prod(x.shape[1:])) * tf.as_dtype(x.dtype).size for x in outputs if None not in x.shape[1:])


def _bytes(variables: Any) -> int:
    return sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in variables)


def _rates(recipe: Recipe, model: VisionModel, steps: int) -> tuple[tuple[int, float], ...]:
    """At the first step of some epochs, evenly spaced and the last among them."""
    epochs = sorted({*np.linspace(0, recipe.epochs - 1, _SHOWN_RATES).round().astype(int).tolist()})
    optimizer: Any = getattr(model.optimizer, "parts", [[model.optimizer]])[-1][0]
    config = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
    rate = config if callable(config) else lambda step: recipe.learning_rate
    return tuple((epoch + 1, float(rate(epoch * steps))) for epoch in epochs)


def _images_per_second(model: VisionModel, recipe: Recipe, measure: int) -> float | None:
    """The median of some steps on random images, after a first that traces the graph."""
    if not measure:
        return None
    count, rng = _measured_images(model, recipe), np.random.default_rng(0)
    images = rng.normal(0, 1, (count, recipe.size, recipe.size, 3)).astype("float32")
    labels = rng.integers(0, model.outputs[0].shape[-1], count)
    times = []
    for _ in range(measure + 1):
        start = time.perf_counter()
        model.train_on_batch(images, (labels,) * len(model.outputs) if len(model.outputs) > 1 else labels)
        times.append(time.perf_counter() - start)
    return count / statistics.median(times[1:])


def _measured_images(model: VisionModel, recipe: Recipe) -> int:
    """As many as take a second or so on a small machine; at least two, for batch norm."""
    return min(recipe.step_images, max(2, int(_MEASURED // (model.card.multiply_adds or _MEASURED))))
