"""A recipe from its data to a trained model, with the paper's evaluation; interrupted, the same call goes on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import evaluate
from keras_vision.model import VisionModel
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import train
from keras_vision.training.moving_average import MovingAverage
from keras_vision.training.optimisation import plateau_of
from keras_vision.training.recipes import building
from keras_vision.training.recipes.data_sets import training_and_validation
from keras_vision.training.recipes.settings import Recipe
from keras_vision.training.run_folder import CHECKPOINTS, HISTORY, METRICS, MODEL, claim, finish, keep
from keras_vision.training.strategy import is_chief

SNAPSHOT, STAGE = "all.npz", "stage"


def run_recipe(
    recipe: Recipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
    every: float = 600.0,
) -> Mapping[str, Any]:
    """Train and evaluate; what metrics.json holds.

    `out` then holds run.json (settings and versions), history.csv (a row per epoch), model.keras (float32, without side
    classifiers, with the average of the weights where the recipe has one) and metrics.json: top-1 and top-5 accuracy
    on the validation images, by the recipe's protocol, and the metrics of each epoch. While training it holds
    checkpoints/.

    Args:
        recipe: settings.
        data: folder, in a layout of `recipes.data_sets.LAYOUTS`.
        out: folder to write.
        strategy: see `strategy_of`; None for one device. Several machines need `out` on a disk that all write to.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.
        every: seconds between snapshots within an epoch.

    Raises:
        KerasVisionError: no data set, settings that do not fit the data, a folder that holds something else, another
            run or a finished one; and see `train`.
    """
    strategy = strategy or tf.distribute.get_strategy()
    return _run(recipe, data, Path(out), strategy, callbacks, overwrite, every)[1]


def _run(
    recipe: Recipe, data: Any, out: Path, strategy: Any, callbacks: Any, overwrite: bool, every: float
) -> tuple[VisionModel, Mapping[str, Any]]:
    parts = training_and_validation(data, recipe.seed)
    building.check_fits(recipe, parts, strategy.num_replicas_in_sync)
    data_mark = " ".join(part.fingerprint() for part in parts)
    claim(out, dataclasses.asdict(recipe), data_mark, strategy, products=(STAGE,), overwrite=overwrite)
    first = _stage(recipe, data, out, strategy, callbacks, every)
    model, history = _trained(recipe, parts, out, strategy, callbacks, every, first)
    plain = building.without_sides(recipe, model, parts[0].class_names)  # on every worker: reading takes all of them
    if is_chief(strategy):
        keep(out, plain)
    outcome = {**_evaluated(recipe, plain, parts[1]), "history": history}
    if is_chief(strategy):
        finish(out, outcome)
    return plain, outcome


def copy_layers(source: keras.Model, target: keras.Model, names: Sequence[str]) -> None:
    """Set layers of a model to those of the same names in another.

    Raises:
        KerasVisionError: one of the models has no such layer, or their weights differ in shape.
    """
    for name in names:
        layers = [next((layer for layer in m.layers if layer.name == name), None) for m in (source, target)]
        shapes = [[tuple(w.shape) for w in layer.weights] if layer else None for layer in layers]
        if shapes[0] != shapes[1] or layers[0] is None or layers[1] is None:
            raise KerasVisionError(
                f"stage_layers name {name!r}, of which {source.name} has weights of {shapes[0]} and {target.name} of "
                f"{shapes[1]}; give layers that both have."
            )
        layers[1].set_weights(layers[0].get_weights())


def _stage(recipe: Recipe, data: Any, out: Path, strategy: Any, callbacks: Any, every: float) -> keras.Model | None:
    """The model that this one starts from, trained in a folder of its own unless it was before."""
    if recipe.stage_model is None:
        return None
    if not (out / STAGE / METRICS).exists():
        stage = dataclasses.replace(recipe, model=recipe.stage_model, stage_model=None, stage_layers=())
        return _run(stage, data, out / STAGE, strategy, callbacks, False, every)[0]
    return keras.models.load_model(out / STAGE / MODEL, compile=False)


def _trained(
    recipe: Recipe, parts: Any, out: Path, strategy: Any, callbacks: Any, every: float, first: keras.Model | None
) -> tuple[VisionModel, list[dict[str, float]]]:
    replicas = strategy.num_replicas_in_sync
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = building.network(recipe, len(parts[0].class_names))
        training, validation = building.pipelines(recipe, model, building.with_noise(recipe, parts), replicas)
        building.compiled(recipe, model, training.steps, replicas)
    if first is not None:
        copy_layers(first, model, recipe.stage_layers)
    own: list[Any] = [] if recipe.average is None else [MovingAverage(recipe.average, dynamic_decay=True)]
    table = HistoryFile(out / HISTORY, is_chief(strategy))
    history = train(
        model,
        building.epochs_of(model, training, recipe.sizes),
        epochs=recipe.epochs,
        steps_per_epoch=training.steps,
        validation=building.for_all(model, validation.epoch(0)),
        callbacks=[*own, *plateau_of(recipe, building.accuracy_name(model)), table, *callbacks],
        strategy=strategy,
        snapshots=out / CHECKPOINTS / SNAPSHOT,
        every=every,
    )
    return model, history


def _evaluated(recipe: Recipe, model: VisionModel, images: LabelledImages) -> dict[str, Any]:
    """Accuracies of the model that is kept, on the paper's views of each image."""
    scores = evaluate(model, images, recipe.protocol, batch_size=recipe.step_images)
    return dict(
        top1=scores.top1,
        top5=scores.top5,
        top1_interval=scores.top1_interval,
        protocol=recipe.protocol,
        images=scores.n,
        result=recipe.result,
    )
