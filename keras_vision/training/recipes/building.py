"""From the settings of a recipe to pipelines and a compiled model."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vision.applications import create_model
from keras_vision.data import LabelledImages, Pipeline, augment
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.model import VisionModel
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.training.labels import SmoothedCrossentropy, noisy_labels
from keras_vision.training.loop import Epochs
from keras_vision.training.optimisation import add_l2, optimizer_of
from keras_vision.training.recipes.settings import Recipe
from keras_vision.training.synchronized import synchronized

TOP = 5
Parts = tuple[LabelledImages, LabelledImages]  # training and validation images


def network(recipe: Recipe, classes: int, start: bool = True) -> VisionModel:
    """The model to train, side classifiers included.

    Args:
        recipe: which, of what size and precision.
        classes: number of them.
        start: take the weights that the recipe starts from; else random ones.
    """
    with precision(recipe.precision), warnings.catch_warnings():
        warnings.simplefilter("ignore", KerasVisionWarning)  # a recipe that starts from other classes means it
        model = _built(recipe, classes, recipe.start if start else None, **recipe.model_settings)
        return synchronized(model) if recipe.sync_batch_norm else model


def with_noise(recipe: Recipe, parts: Parts) -> Parts:
    """The parts, of which the training images have wrong labels where the recipe says so."""
    if not recipe.label_noise:
        return parts
    training, validation = parts
    labels = noisy_labels(training.labels, len(training.class_names), recipe.label_noise, recipe.seed)
    return dataclasses.replace(training, labels=labels), validation


def without_sides(recipe: Recipe, model: VisionModel, class_names: tuple[str, ...]) -> VisionModel:
    """What is kept of a trained model: in float32, without side classifiers, with its labels and preprocessing."""
    settings = {key: value for key, value in recipe.model_settings.items() if key != "auxiliary"}
    plain = _built(dataclasses.replace(recipe, sizes=()), len(class_names), None, **settings)
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    plain.labels = class_names
    return plain.with_card(dataclasses.replace(plain.card, preprocessing=shown(recipe, plain)))


def shown(recipe: Recipe, model: VisionModel) -> Preprocessing:
    """How an image is shown in evaluation."""
    spec = model.preprocessing.for_input(recipe.size, recipe.size, 3)  # where the model leaves it open
    if recipe.resize_shorter is not None:
        spec = dataclasses.replace(spec, resize_shorter=recipe.resize_shorter)
    return dataclasses.replace(spec, std=recipe.pixel_std) if recipe.pixel_std else spec


def check_fits(recipe: Recipe, parts: Parts, replicas: int) -> None:
    """Refuse what could not be trained, before a model is built or anything written.

    Raises:
        KerasVisionError: fewer images in a step than replicas, fewer in the data than in a step, or gradients that are
            accumulated on several replicas, which Keras cannot do.
    """
    images = recipe.step_images
    if images > len(parts[0]) or not len(parts[1]):
        raise KerasVisionError(
            f"{len(parts[0])} training and {len(parts[1])} validation images do not fill a step of {images}; give a "
            "smaller batch_size, or more images."
        )
    if images < replicas:
        raise KerasVisionError(
            f"batch_size={recipe.batch_size} in {recipe.accumulation} parts leaves {images} images a step for "
            f"{replicas} replicas; give at least {replicas * recipe.accumulation}."
        )
    if replicas > 1 and recipe.accumulation > 1:
        raise KerasVisionError(
            f"accumulation={recipe.accumulation} on {replicas} replicas, which Keras' optimizers cannot do (3.15: "
            "`merge_call` within a condition); give accumulation=1, and each replica has a smaller part as it is."
        )


def pipelines(recipe: Recipe, model: VisionModel, parts: Parts, replicas: int = 1) -> tuple[Pipeline, Pipeline]:
    """Batches of `recipe.step_images` for training, augmented and in another order in each epoch, and for validation.

    On several replicas a last batch that is not full is left out, as one of them might get none of it.

    Raises:
        KerasVisionError: settings that the augmentation does not have.
    """
    images, spec = recipe.step_images, shown(recipe, model)
    changes = None
    if recipe.augment != "none":
        try:
            changes = getattr(augment, recipe.augment)(**recipe.augment_settings)
        except TypeError as error:
            raise KerasVisionError(f"augment_settings={dict(recipe.augment_settings)}: {error}.") from error
    training = Pipeline(parts[0], spec, images, augment=changes, seed=recipe.seed, drop_remainder=True)
    held_out = max(min(images, len(parts[1])) // replicas * replicas, 1)
    return training, Pipeline(parts[1], spec, held_out, drop_remainder=replicas > 1)


def compiled(recipe: Recipe, model: VisionModel, steps: int, replicas: int = 1) -> VisionModel:
    """The model with loss, metrics, optimizer and weight decay; in the scope of the strategy, if there is one."""
    sides = len(model.outputs) - 1
    classes = model.outputs[0].shape[-1]
    if not recipe.decoupled and recipe.weight_decay:
        add_l2(model, recipe.weight_decay, recipe.decay_all)
    model.compile(
        optimizer_of(recipe, model, steps, replicas),
        [SmoothedCrossentropy(recipe.label_smoothing) for _ in range(1 + sides)],
        loss_weights=[1.0] + [recipe.auxiliary_weight] * sides,
        metrics=[accuracies(classes)] + [[]] * sides if sides else accuracies(classes),
        jit_compile=False,
    )
    return model


def accuracies(classes: int) -> list[keras.metrics.Metric]:
    """Top-1 accuracy and, where there are more classes, top-5."""
    top1 = keras.metrics.SparseCategoricalAccuracy(name="top1")
    return [top1, keras.metrics.SparseTopKCategoricalAccuracy(TOP, name="top5")] if classes > TOP else [top1]


def accuracy_name(model: VisionModel) -> str:
    """What the logs call the validation accuracy of the model's own classifier."""
    return "val_top1" if len(model.outputs) == 1 else f"val_{model.output_names[0]}_top1"


def for_all(model: VisionModel, batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, with the labels once for each classifier."""
    count = len(model.outputs)
    return batches if count == 1 else batches.map(lambda images, labels: (images, (labels,) * count))


def epochs_of(model: VisionModel, pipeline: Pipeline, sizes: tuple[int, ...] = ()) -> Epochs:
    """What `train` takes: an epoch's batches, without the steps that were done before an interruption.

    With `sizes`, epoch after epoch is resized to each of them in turn (SPP-net, He et al., 2014, section 2.3).
    """

    def epoch(number: int, step: int) -> tf.data.Dataset:
        batches = for_all(model, pipeline.epoch(number, step * pipeline.batch_size))
        if not sizes:
            return batches
        side = sizes[number % len(sizes)]
        return batches.map(lambda images, labels: (tf.image.resize(images, (side, side)), labels))

    return epoch


def _built(recipe: Recipe, classes: int, weights: Any, **settings: Any) -> VisionModel:
    shape = (None, None, 3) if recipe.sizes else (recipe.size, recipe.size, 3)
    return create_model(recipe.model, weights=weights, classes=classes, input_shape=shape, **settings)


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers are made under this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
