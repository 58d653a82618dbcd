"""A dense recipe from its data to a trained network, measured on whole images; interrupted, the same call goes on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.data import EdgeImages, SegmentedImages
from keras_vision.edges import evaluate_boundaries, suppress_non_maxima
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import segmentation_scores
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image
from keras_vision.runtime.dense import dense_probabilities
from keras_vision.segmentation import initialise_from
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import train
from keras_vision.training.recipes import dense_building as building
from keras_vision.training.recipes.catalogue import DENSE_RECIPES
from keras_vision.training.recipes.dense_data import DenseImages, DenseParts, dense_parts, fingerprint
from keras_vision.training.recipes.dense_settings import DenseRecipe
from keras_vision.training.run_folder import CHECKPOINTS, HISTORY, METRICS, MODEL, claim, finish, keep
from keras_vision.training.strategy import is_chief

SNAPSHOT, STAGE = "all.npz", "stage"


def run_dense_recipe(
    recipe: DenseRecipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    stages: Mapping[str, DenseRecipe] = DENSE_RECIPES,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
    every: float = 600.0,
) -> Mapping[str, Any]:
    """Train a network with an output for each pixel, and measure it; what metrics.json holds.

    `out` then holds run.json (settings and versions), history.csv (a row per epoch), model.keras (float32, for images
    of any size) and metrics.json: of a segmentation FCN's four scores on the whole test images, of edges ODS, OIS and
    AP. While training it holds checkpoints/. The weights are those of the last epoch, as in the papers.

    Args:
        recipe: settings.
        data: folder, in a layout that `dense_parts` knows.
        out: folder to write.
        stages: recipes that `recipe.stage` may name, by name.
        strategy: see `strategy_of`; None for one device.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.
        every: seconds between snapshots within an epoch.

    Raises:
        KerasVisionError: no data set, settings that do not fit the data, a folder that holds something else, another
            run or a finished one; and see `train`.
    """
    strategy = strategy or tf.distribute.get_strategy()
    run = _Run(stages, dense_parts(recipe.task, data), strategy, callbacks, every)
    return run(recipe, Path(out), overwrite)[1]


@dataclasses.dataclass
class _Run:
    stages: Mapping[str, DenseRecipe]
    parts: DenseParts
    strategy: Any
    callbacks: Sequence[Any]
    every: float

    def __call__(self, recipe: DenseRecipe, out: Path, overwrite: bool) -> tuple[VisionModel, Mapping[str, Any]]:
        building.check_parts(recipe, self.parts)
        settings, marks = dataclasses.asdict(recipe), fingerprint(self.parts)
        claim(out, settings, marks, self.strategy, products=(STAGE,), overwrite=overwrite)
        first = self._stage(recipe, out)
        model = self._trained(recipe, out, first)
        plain = building.kept(recipe, model, self.parts.training)  # on every worker: reading takes all of them
        if not is_chief(self.strategy):
            return plain, {}
        keep(out, plain)
        outcome = {**measured(plain, self.parts.test), "test_images": len(self.parts.test), "result": recipe.result}
        finish(out, outcome)
        return plain, outcome

    def _stage(self, recipe: DenseRecipe, out: Path) -> keras.Model | None:
        """The network that this one starts from, trained in a folder of its own unless it was before."""
        if recipe.stage is None:
            return None
        if recipe.stage not in self.stages:
            raise KerasVisionError(f"stage={recipe.stage!r}; known: {', '.join(self.stages)}.")
        if not (out / STAGE / METRICS).exists():
            return self(self.stages[recipe.stage], out / STAGE, overwrite=False)[0]
        return keras.models.load_model(out / STAGE / MODEL, compile=False)

    def _trained(self, recipe: DenseRecipe, out: Path, first: keras.Model | None) -> VisionModel:
        replicas, images = self.strategy.num_replicas_in_sync, self.parts.training
        keras.utils.set_random_seed(recipe.seed)
        with self.strategy.scope():
            model = building.network(recipe, images)
            batches = building.pipeline(recipe, model, images, replicas)
            building.compiled(recipe, model, images, batches.steps, replicas)
        if first is not None:
            initialise_from(model, first)
        writes = is_chief(self.strategy)
        held_out = self.parts.validation
        watched = [Watched(recipe, held_out, writes)] if isinstance(held_out, SegmentedImages) else []
        train(
            model,
            building.epochs_of(model, batches),
            epochs=recipe.epochs,
            steps_per_epoch=batches.steps,
            callbacks=[*watched, HistoryFile(out / HISTORY, writes), *self.callbacks],
            strategy=self.strategy,
            snapshots=out / CHECKPOINTS / SNAPSHOT,
            every=self.every,
        )
        return model


class Watched(keras.callbacks.Callback):
    """Adds the mean IU on whole validation images to an epoch's logs, as "val_mean_iu"; NaN where it is not due.

    Args:
        recipe: says how often.
        images: the validation images.
        scores: False on the other machines, which take part in reading the weights alone.
    """

    def __init__(self, recipe: DenseRecipe, images: SegmentedImages, scores: bool):
        super().__init__()
        self.recipe, self.images, self.scores = recipe, images, scores

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.plain = building.kept(self.recipe, self.model, self.images)
        self.predict = predictor(self.plain)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None:
            return
        logs["val_mean_iu"] = float("nan")
        if (epoch + 1) % self.recipe.validate_every == 0 or epoch + 1 == self.recipe.epochs:
            building.give_weights(self.model, self.plain)
            if not self.scores:
                return
            logs["val_mean_iu"] = segmentation_scores(self.images, class_maps(self.predict, self.images)).mean_iu


Predict = Callable[[Any], np.ndarray]  # what is opened as an image, to probabilities, (h, w, c)


def measured(model: VisionModel, images: DenseImages) -> dict[str, Any]:
    """Scores on whole images: FCN's four of a segmentation, ODS, OIS and AP of edges."""
    predict = predictor(model)
    if isinstance(images, EdgeImages):
        maps = (suppress_non_maxima(predict(source)[..., 0]) for source in images.sources)
        scores = evaluate_boundaries(maps, images, workers=os.cpu_count() or 1)
        return dict(ods=scores.ods, ois=scores.ois, ap=scores.ap, ods_threshold=scores.ods_threshold)
    return segmentation_scores(images, class_maps(predict, images)).to_dict()


def class_maps(predict: Predict, images: SegmentedImages) -> Iterator[np.ndarray]:
    """The most probable class of each pixel of each image, `(h, w)`."""
    return (predict(source).argmax(-1) for source in images.sources)


def predictor(model: VisionModel) -> Predict:
    """A network applied to one image at a time, at the image's own size, as the commands apply it."""
    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    spec, output = model.preprocessing, model.card.output
    return lambda source: dense_probabilities(lambda x: run(x).numpy(), open_image(source), spec, output)
