"""The recipes by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes import (
    bn_x5,
    densenet_cifar,
    inception_v3,
    resnet,
    resnet_cifar,
    se_resnet,
    squeezenet,
    squeezenet_transfer,
    vgg,
)
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
)
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for module in _MODULES for recipe in module.RECIPES}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        KerasVisionError: no such recipe; the message suggests the nearest names.
    """
    if name in RECIPES:
        return RECIPES[name]
    begin = [known for known in RECIPES if name and known.startswith(name.lower())]
    near = begin or difflib.get_close_matches(name.lower(), RECIPES, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(RECIPES)}."
    raise KerasVisionError(f"no recipe is called {name!r}. {hint}")
