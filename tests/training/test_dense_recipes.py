"""Recipes of segmentation and edges: from small data on disk to model.keras and metrics.json."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from small_data import half_scenes, squares
from stopping import Stop, StopAt

from keras_vision.data import bsds500, camvid
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import segmentation_scores
from keras_vision.registry import find
from keras_vision.training import DENSE_RECIPES, find_recipe, plan_dense, run_dense_recipe, schedule_of, with_settings
from keras_vision.training.recipes.dense_data import dense_parts

ROADS = dataclasses.replace(
    find_recipe("fcn-8s-camvid"), start=None, crop=(40, 56), epochs=2, batch_size=3, validate_every=2
)
EDGES = dataclasses.replace(find_recipe("hed-squeezenet-bsds"), start=None, crop=(48, 48), epochs=1, batch_size=3)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return half_scenes(tmp_path_factory.mktemp("scenes") / "camvid")


@pytest.fixture(scope="module")
def finished(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    return out, run_dense_recipe(ROADS, scenes, out)


def test_a_segmentation_leaves_a_model_for_any_size_and_its_scores(finished, scenes):
    out, metrics = finished
    assert {path.name for path in out.iterdir()} == {"history.csv", "metrics.json", "model.keras", "run.json"}
    assert json.loads((out / "metrics.json").read_text()) == metrics
    rows = (out / "history.csv").read_text().splitlines()
    assert "val_mean_iu" in rows[0]
    assert len(rows) == 3
    model = keras.models.load_model(out / "model.keras")
    test = camvid(scenes, "test")
    assert model.labels == test.class_names
    maps = []
    for position in range(len(test)):
        pixels = np.asarray(Image.open(test.sources[position]), "float32")[..., ::-1] - (104, 117, 123)
        maps.append(np.asarray(model(pixels[None].astype("float32")))[0].argmax(-1))
    assert segmentation_scores(test, maps).mean_iu == pytest.approx(metrics["mean_iu"], abs=1e-6)
    assert model(np.zeros((1, 33, 70, 3), "float32")).shape == (1, 33, 70, 11)


def test_an_interrupted_segmentation_ends_with_the_same_weights(finished, scenes, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stop):
        run_dense_recipe(ROADS, scenes, out, callbacks=[StopAt(3)], every=0.0)
    assert not (out / "model.keras").exists()
    run_dense_recipe(ROADS, scenes, out)
    expected, found = (keras.models.load_model(folder / "model.keras").get_weights() for folder in (finished[0], out))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_another_run_in_the_folder_is_left_alone(finished, scenes, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    with pytest.raises(KerasVisionError, match="finished"):
        run_dense_recipe(ROADS, scenes, out)
    with pytest.raises(KerasVisionError, match="other settings"):
        run_dense_recipe(dataclasses.replace(ROADS, learning_rate=1e-4), scenes, out)


def test_a_stage_is_trained_before_and_gives_its_layers(scenes, tmp_path):
    """FCN-16s begins where FCN-32s ended; with a rate of almost nothing it ends there."""
    coarse = dataclasses.replace(ROADS, name="coarse", model="FCN16s", epochs=1, validate_every=9)
    fine = dataclasses.replace(coarse, name="fine", model="FCN8s", stage="coarse", learning_rate=1e-12)
    run_dense_recipe(fine, scenes, tmp_path / "out", stages={"coarse": coarse})
    first, second = (keras.models.load_model(tmp_path / "out" / n / "model.keras") for n in ("stage", "."))
    kernel = first.get_layer("score_fr").kernel
    assert float(abs(np.asarray(kernel)).max()) > 0
    np.testing.assert_allclose(second.get_layer("score_fr").kernel, kernel, atol=1e-6)
    with pytest.raises(KerasVisionError, match="stage='coarse'; known: "):
        run_dense_recipe(fine, scenes, tmp_path / "other")


def test_edges_are_scored_by_the_benchmark(tmp_path):
    metrics = run_dense_recipe(EDGES, squares(tmp_path / "bsds"), tmp_path / "out")
    assert {"ods", "ois", "ap", "ods_threshold", "test_images"} <= set(metrics)
    assert 0 <= metrics["ods"] <= metrics["ois"] + 1e-9
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    edges = np.asarray(model(np.zeros((1, 37, 50, 3), "float32")))
    assert edges.shape == (1, 37, 50, 1)
    assert 0 <= edges.min() <= edges.max() <= 1


def test_hed_trains_on_training_and_validation_images_together(tmp_path):
    parts = dense_parts("edges", squares(tmp_path / "bsds"))
    assert [len(part) for part in parts] == [6, 2, 2]
    np.testing.assert_array_equal(parts.training.boundaries(5), bsds500(tmp_path / "bsds", "val").boundaries(1))


# ---------------------------------------------------------------------------------------------- the recipes


@pytest.mark.parametrize("name", DENSE_RECIPES)
def test_every_recipe_names_a_model_and_has_a_rate_to_the_end(name):
    recipe = find_recipe(name)
    assert find(recipe.model).task == recipe.task
    schedule = schedule_of(recipe, 50)
    assert 0 < float(schedule(recipe.epochs * 50 - 1) if callable(schedule) else schedule) <= recipe.learning_rate
    assert recipe.stage is None or recipe.stage in DENSE_RECIPES


def test_the_papers_counts_of_steps():
    hed, deeplab = find_recipe("hed-bsds"), find_recipe("deeplab-largefov-voc")
    assert hed.epochs * 300 / hed.batch_size == 30_000
    assert [at * 10_582 / 20 for at in deeplab.decay_epochs] == pytest.approx([2000, 4000], rel=1e-3)


def test_a_plan_counts_and_measures(scenes):
    found = plan_dense(ROADS, scenes, measure=1)
    assert found.images == (6, 2, 3)
    assert (found.classes, found.steps) == (11, 2)
    assert found.images_per_second > 0


def test_settings_of_the_command_line():
    changed = with_settings(find_recipe("fcn-8s-camvid"), ["crop=[240, 320]", "batch=4", "lr=1e-4", "stage=none"])
    assert (changed.crop, changed.batch_size, changed.learning_rate) == ((240, 320), 4, 1e-4)


# ------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(("settings", "message"), [
    (dict(task="depth"), "task='depth'; accepted: segmentation, edges"),
    (dict(crop=(0, 4)), "give height and width"),
    (dict(task="edges", class_weights="median"), "which has no classes"),
    (dict(schedule="plateau"), "is for classifiers"),
    (dict(validate_every=0), "from 1"),
])  # fmt: skip
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(KerasVisionError, match=message):
        dataclasses.replace(ROADS, **settings)


def test_data_that_do_not_do(scenes, tmp_path):
    with pytest.raises(KerasVisionError, match="no such folder"):
        run_dense_recipe(ROADS, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(KerasVisionError, match="no data set"):
        run_dense_recipe(ROADS, tmp_path, tmp_path / "out")
    with pytest.raises(KerasVisionError, match="a step of 7 images"):
        run_dense_recipe(dataclasses.replace(ROADS, batch_size=7), scenes, tmp_path / "out")
    with pytest.raises(KerasVisionError, match="loss_settings"):
        run_dense_recipe(dataclasses.replace(ROADS, loss_settings=dict(pixels=1)), scenes, tmp_path / "third")
