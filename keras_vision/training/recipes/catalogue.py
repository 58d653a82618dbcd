"""The recipes by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes import (
    all_cnn_cifar,
    bn_x5,
    camvid,
    cluttered_mnist,
    deeplab,
    densenet_cifar,
    draw,
    fcn,
    hed,
    inception_v3,
    prelu_net,
    residual_attention,
    resnet,
    resnet_cifar,
    se_resnet,
    show_attend_tell,
    spp_net,
    squeezenet,
    squeezenet_transfer,
    stochastic_depth_cifar,
    tiny_imagenet,
    vgg,
)
from keras_vision.training.recipes.caption_settings import CaptionRecipe
from keras_vision.training.recipes.dense_settings import DenseRecipe
from keras_vision.training.recipes.generative_settings import GenerativeRecipe
from keras_vision.training.recipes.glimpse_settings import GlimpseRecipe
from keras_vision.training.recipes.settings import Recipe

_MODULES = (
    vgg,
    bn_x5,
    inception_v3,
    squeezenet,
    resnet,
    resnet_cifar,
    densenet_cifar,
    se_resnet,
    squeezenet_transfer,
    all_cnn_cifar,
    prelu_net,
    stochastic_depth_cifar,
    spp_net,
    residual_attention,
    tiny_imagenet,
)
_DENSE_MODULES = (fcn, deeplab, hed, camvid)
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for module in _MODULES for recipe in module.RECIPES}
DENSE_RECIPES: Mapping[str, DenseRecipe] = {r.name: r for module in _DENSE_MODULES for r in module.RECIPES}
GENERATIVE_RECIPES: Mapping[str, GenerativeRecipe] = {recipe.name: recipe for recipe in draw.RECIPES}
GLIMPSE_RECIPES: Mapping[str, GlimpseRecipe] = {recipe.name: recipe for recipe in cluttered_mnist.RECIPES}
CAPTION_RECIPES: Mapping[str, CaptionRecipe] = {recipe.name: recipe for recipe in show_attend_tell.RECIPES}
AnyKind = Recipe | DenseRecipe | GenerativeRecipe | GlimpseRecipe | CaptionRecipe


def all_recipes() -> dict[str, AnyKind]:
    """Every recipe by name."""
    return {**RECIPES, **DENSE_RECIPES, **GENERATIVE_RECIPES, **GLIMPSE_RECIPES, **CAPTION_RECIPES}


def find_recipe(name: str) -> AnyKind:
    """The recipe of a name: of a classifier, of a network with an output for each pixel, or of one that draws, looks or
    tells.

    Raises:
        KerasVisionError: no such recipe; the message suggests the nearest names.
    """
    every = all_recipes()
    if name in every:
        return every[name]
    begin = [known for known in every if name and known.startswith(name.lower())]
    near = begin or difflib.get_close_matches(name.lower(), every, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(every)}."
    raise KerasVisionError(f"no recipe is called {name!r}. {hint}")
