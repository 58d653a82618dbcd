"""What a recipe of captions would do with a data set, without training or writing anything."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from keras_vision.captioning import vocabulary_of
from keras_vision.training.recipes.caption_data import caption_parts, numbered
from keras_vision.training.recipes.caption_running import network
from keras_vision.training.recipes.caption_settings import CaptionRecipe


@dataclasses.dataclass(frozen=True)
class CaptionPlan:
    """A run before it begins.

    Attributes:
        encoder, decoder: number of their parameters.
        vocabulary: words.
        locations, channels: of the annotation vectors.
        images: of training, validation and test.
        captions: to learn.
        left_out: of the training part, how many, by reason.
    """

    encoder: int
    decoder: int
    vocabulary: int
    locations: int
    channels: int
    images: tuple[int, int, int]
    captions: int
    left_out: dict[str, int]


def plan_captions(recipe: CaptionRecipe, data: str | os.PathLike) -> CaptionPlan:
    """What `run_caption_recipe` would do.

    Raises:
        KerasVisionError: as of `run_caption_recipe`, but for what is in its `out`.
    """
    parts = caption_parts(recipe.listing, data, recipe.held_out, recipe.split_seed)
    texts = [text for of_image in parts.training.captions for text in of_image]
    vocabulary = vocabulary_of(texts, recipe.vocabulary, recipe.least)
    model, training = network(recipe, vocabulary), numbered(parts.training, vocabulary, recipe.longest)
    sizes = [sum(int(np.prod(w.shape)) for w in part.trainable_weights) for part in (model.encoder, model.decoder)]
    images = (len(parts.training), len(parts.validation), len(parts.test))
    cell = model.cell
    shape = (cell.locations, cell.channels)
    return CaptionPlan(sizes[0], sizes[1], len(vocabulary), *shape, images, len(training), training.left_out)
