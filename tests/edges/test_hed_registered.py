"""HED among the models by name, with its card."""

import json

from typer.testing import CliRunner

import keras_vision as kv
from keras_vision.cli.main import app
from keras_vision.registry import ModelCard


def test_registered_for_edges_beside_the_classifiers():
    card = kv.model_card("hed")
    assert "HED" in kv.list_models(task="edges")
    assert "HED" in kv.list_models("h*")
    assert "HED" not in kv.list_models(task="classification")
    assert (card.task, card.output, kv.model_card("vgg16").task) == ("edges", "probability", "classification")
    values = json.loads(json.dumps(card.to_dict()))
    assert ModelCard.from_dict(values) == card
    del values["task"]
    assert ModelCard.from_dict(values).task == "classification"  # as in files of before there were tasks


def test_the_command_shows_its_card():
    shown = CliRunner().invoke(app, ["models", "info", "hed"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for part in ("14,717,531 (14,716,171 trainable)", "depends on the size", "any size, 3", "1504.06375", "BGR"):
        assert part in shown.output
