"""`keras-vision recipes list` and `run`."""

import json
import subprocess
import sys
import textwrap

import pytest
from small_data import class_folders
from typer.testing import CliRunner

from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError
from keras_vision.training import DENSE_RECIPES, RECIPES

SETTINGS = [part for pair in ("epochs=1", "batch=20", "decay_epochs=[]", 'model_settings={"n": 1}', "lr=0.02")
            for part in ("--set", pair)]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "noise")


def invoke(*arguments):
    return CliRunner().invoke(app, ["recipes", *map(str, arguments)])


def test_list_names_every_recipe_with_its_result():
    listed = " ".join(invoke("list").output.split())
    for recipe in (*RECIPES.values(), *DENSE_RECIPES.values()):
        assert recipe.name in listed
        assert recipe.model in listed
    assert "21.2 %" in listed


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(data, tmp_path):
    settings = ["--set", "batch=10", "--set", "epochs=20", "--set", "decay_epochs=[10]", "--set", "decay_all=false"]
    result = invoke("run", "resnet-20-cifar", data, tmp_path / "out", "--dry-run", *settings)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    for words in (
        "ResNet20CIFAR, 270,578 parameters, 269,202 trained",  # 269,722 of ten classes less 8 x 65
        "40 training, 10 validation, 2 classes",
        "10 on 1 replicas; 4 steps an epoch",
        "epoch 1: 0.1",
        "epoch 20: 0.01",
        "sgd, momentum 0.9",
        "0.0001 (L2) of 20 of 59 variables",
        "augmentation cifar",
        "gradients 1.1 MB",
        "images/s, measured on 2 steps of 10 random images",
    ):
        assert words in said
    assert not (tmp_path / "out").exists()


def test_a_run_prints_epochs_and_the_papers_figure(data, tmp_path):
    result = invoke("run", "resnet-20-cifar", data, tmp_path / "out", *SETTINGS)
    assert result.exit_code == 0, result.output
    assert "epoch   1  loss" in result.output
    assert "on 10 images (single)" in result.output
    assert "8.75 % error" in result.output
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["images"] == 10


@pytest.mark.parametrize(("arguments", "says"), [
    (["resnet-20-cifra", "."], "Did you mean resnet-20-cifar"),
    (["resnet-20-cifar", ".", "--set", "learning_rte=1"], "Did you mean learning_rate?"),
    (["resnet-20-cifar", ".", "--set", "lr=nan"], "learning_rate=nan; give a finite number above 0"),
    (["resnet-20-cifar", "nowhere"], "nowhere: no such folder"),
    (["resnet-20-cifar", ".", "--strategy", "horovod"], "strategy='horovod'; accepted: none"),
])  # fmt: skip
def test_wrong_arguments_are_one_error(arguments, says, tmp_path):
    result = invoke("run", arguments[0], arguments[1], tmp_path / "out", *arguments[2:])
    assert isinstance(result.exception, KerasVisionError)
    assert says in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_replicas_give_what_one_gives_with_synchronised_batch_norm(data, tmp_path):
    """Without augmentation and dropout, the loss of each epoch."""
    code = """
        import sys
        from keras_vision.training import find_recipe, run_recipe, strategy_of, with_settings
        strategy = strategy_of("mirrored", 2) if sys.argv[1] == "mirrored" else None
        settings = ["epochs=3", "batch=20", "decay_epochs=[]", "lr=0.02", "sync_batch_norm=true", "augment=none"]
        recipe = with_settings(find_recipe("resnet-20-cifar"), [*settings, 'model_settings={"n": 1}'])
        run_recipe(recipe, *sys.argv[2:], strategy=strategy)
    """
    histories = []
    for name in ("none", "mirrored"):
        command = [sys.executable, "-c", textwrap.dedent(code), name, data, tmp_path / name]
        subprocess.run(command, check=True, capture_output=True)
        histories.append(json.loads((tmp_path / name / "metrics.json").read_text())["history"])
    alone, together = ([logs["loss"] for logs in history] for history in histories)
    assert together == pytest.approx(alone, rel=1e-3)
