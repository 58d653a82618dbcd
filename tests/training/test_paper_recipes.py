"""Recipes of the papers' small nets, shortened, on two classes of noise: they train, and leave a model that loads."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from small_data import class_folders

from keras_vision.training import find_recipe, run_recipe

SHORT = {  # what makes a recipe a matter of seconds; the rest stays the paper's
    "all-cnn-c-cifar-augmented": dict(model="AllCNNA", learning_rate=1e-3),
    "stochastic-depth-110-cifar": dict(model_settings=dict(n=1)),
    "prelu-study": dict(
        model_settings=dict(pyramid=(2, 1)), size=64, protocol="single", augment_settings=dict(scales=72)
    ),
    "tiny-imagenet": dict(),
    "residual-attention-92-cifar-noise": dict(model="ResidualAttention56CIFAR"),
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "noise")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name.startswith("residual") else []) for name in SHORT]
)
def test_a_shortened_recipe_trains_and_leaves_a_model(name, noise, tmp_path):
    recipe = dataclasses.replace(find_recipe(name), epochs=2, batch_size=20, decay_epochs=(), **SHORT[name])
    outcome = run_recipe(recipe, noise, tmp_path / "out")
    losses = [logs["loss"] for logs in outcome["history"]]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert model.labels == ("dark", "light")
    assert model.input_shape == (None, recipe.size, recipe.size, 3)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["images"] == 10
