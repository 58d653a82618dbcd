"""From the settings of a dense recipe to pipelines, a compiled network, and the network that is kept."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import keras
import tensorflow as tf

from keras_vision.data import EdgeImages, Pipeline, SegmentedImages, augment
from keras_vision.data.augment import Augmentation
from keras_vision.edges import BalancedEdgeLoss, deep_supervision
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.model import VisionModel
from keras_vision.training.class_balance import median_frequency_weights
from keras_vision.training.loop import Epochs
from keras_vision.training.optimisation import add_l2, optimizer_of
from keras_vision.training.pixel_loss import PixelCrossentropy
from keras_vision.training.recipes.building import precision
from keras_vision.training.recipes.dense_data import DenseImages, DenseParts
from keras_vision.training.recipes.dense_settings import DenseRecipe
from keras_vision.zoo import create_model

_START = {"segmentation": "backbone_weights", "edges": "trunk_weights"}
_TRAINED = {"edges": dict(output="all")}  # the form that is trained; what is kept is the default form


def network(recipe: DenseRecipe, images: DenseImages, *, start: bool = True, trained: bool = True) -> VisionModel:
    """The network of a recipe, for images of any size.

    Args:
        recipe: which, and with what backbone.
        images: that say how many classes there are.
        start: begin with the backbone's weights; else with random ones.
        trained: the form that is trained, with all outputs and at the stride of the loss; else the one that is kept.
    """
    settings: dict[str, Any] = dict(recipe.model_settings)
    if isinstance(images, SegmentedImages):
        settings["classes"] = len(images.class_names)
    if start and recipe.start is not None:
        settings[_START[recipe.task]] = recipe.start
    if trained:
        settings |= _TRAINED.get(recipe.task, {})
        if recipe.loss_settings.get("stride", 1) > 1:
            settings["upsample"] = False
    else:
        settings.pop("upsample", None)
    with precision(recipe.precision if trained else "float32"), warnings.catch_warnings():
        warnings.simplefilter("ignore", KerasVisionWarning)  # layers that a recipe starts anew
        return create_model(recipe.model, **settings)


def kept(recipe: DenseRecipe, model: VisionModel, images: DenseImages) -> VisionModel:
    """What is kept of a trained network: in float32, of the images' size, with its labels and preprocessing."""
    plain = network(recipe, images, start=False, trained=False)
    give_weights(model, plain)
    if isinstance(images, SegmentedImages):
        plain.labels = images.class_names
    spec = dataclasses.replace(model.preprocessing, size=recipe.crop, resize_shorter=None)
    card = dataclasses.replace(plain.card, preprocessing=spec, loaded=None)
    return plain.with_card(card)


def give_weights(model: VisionModel, plain: VisionModel) -> None:
    """Set the layers of the network that is kept to those of the one that is trained."""
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())


def pipeline(recipe: DenseRecipe, model: VisionModel, images: DenseImages, replicas: int = 1) -> Pipeline:
    """Batches of `recipe.step_images` for training, in another order in each epoch.

    Raises:
        KerasVisionError: settings that the augmentation does not have, or fewer images than a step takes.
    """
    if recipe.step_images < replicas or recipe.step_images > len(images):
        raise KerasVisionError(
            f"a step of {recipe.step_images} images for {replicas} replicas out of {len(images)}; give batch_size from "
            "the number of replicas to that of images."
        )
    spec = dataclasses.replace(model.preprocessing, size=recipe.crop, resize_shorter=None)
    changes = _augmentation(recipe)
    return Pipeline(images, spec, recipe.step_images, augment=changes, seed=recipe.seed, drop_remainder=True)


def _augmentation(recipe: DenseRecipe) -> Augmentation | None:
    if recipe.augment == "none":
        return None
    try:
        return getattr(augment, recipe.augment)(**recipe.augment_settings)
    except TypeError as error:
        raise KerasVisionError(f"augment_settings={dict(recipe.augment_settings)}: {error}.") from error


def compiled(
    recipe: DenseRecipe, model: VisionModel, images: DenseImages, steps: int, replicas: int = 1
) -> VisionModel:
    """The network with loss, optimizer and weight decay; in the scope of the strategy, if there is one."""
    if not recipe.decoupled and recipe.weight_decay:
        add_l2(model, recipe.weight_decay, recipe.decay_all)
    loss = _loss(recipe, images)
    losses = dict.fromkeys(model.output, loss) if isinstance(model.output, dict) else loss
    model.compile(optimizer_of(recipe, model, steps, replicas), losses, jit_compile=False)
    return model


def _loss(recipe: DenseRecipe, images: DenseImages) -> keras.losses.Loss:
    settings = dict(recipe.loss_settings)
    try:
        if isinstance(images, EdgeImages):
            return BalancedEdgeLoss(**settings)
        if recipe.class_weights == "median":
            settings["class_weights"] = median_frequency_weights(images).tolist()
        voids = sorted({-1, *(() if images.void is None else (images.void,))})  # -1: outside an image without void
        return PixelCrossentropy(**{"void": voids, **settings})
    except TypeError as error:
        raise KerasVisionError(f"loss_settings={dict(recipe.loss_settings)}: {error}.") from error


def epochs_of(model: VisionModel, batches: Pipeline) -> Epochs:
    """What `train` takes: an epoch's batches, with the target for each output of the network."""

    def epoch(number: int, step: int) -> tf.data.Dataset:
        return deep_supervision(model, batches.epoch(number, step * batches.batch_size))

    return epoch


def check_parts(recipe: DenseRecipe, parts: DenseParts) -> None:
    """Refuse data that cannot be trained on, before anything is built or written.

    Raises:
        KerasVisionError: a part without images, or with other classes than the training images.
    """
    for name, part in zip(parts._fields, parts, strict=True):
        if not len(part):
            raise KerasVisionError(f"no {name} images; give a data set with images in each of its parts.")
        if getattr(part, "class_names", None) != getattr(parts.training, "class_names", None):
            raise KerasVisionError(f"the {name} images have other classes than the training images.")
