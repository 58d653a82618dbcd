"""Recipes from data on disk to model.keras and metrics.json, with ResNets of eight layers on noise."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from small_data import class_folders
from stopping import Stop, StopAt

from keras_vision.applications import VGG11, VGG16, GoogLeNet
from keras_vision.data import unpack
from keras_vision.errors import KerasVisionError
from keras_vision.training import find_recipe, run_recipe, with_settings
from keras_vision.training.recipes import building
from keras_vision.training.recipes.data_sets import training_and_validation
from keras_vision.training.recipes.running import copy_layers

SMALL = dataclasses.replace(
    find_recipe("resnet-20-cifar"),
    model_settings=dict(n=1),
    epochs=2,
    batch_size=20,
    decay_epochs=(1,),
    learning_rate=0.02,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A folder with a finished run."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run_recipe(SMALL, data, out)
    return out


def weights(out):
    return keras.models.load_model(out / "model.keras").get_weights()


def test_a_run_leaves_a_model_and_its_metrics(finished, data):
    files = {path.name for path in finished.iterdir()}
    assert files == {"history.csv", "metrics.json", "model.keras", "run.json"}
    metrics = json.loads((finished / "metrics.json").read_text())
    assert (metrics["images"], metrics["top5"], metrics["protocol"]) == (10, None, "single")
    assert [sorted(logs) for logs in metrics["history"]] == [["loss", "top1", "val_loss", "val_top1"]] * 2
    assert json.loads((finished / "run.json").read_text())["settings"]["model_settings"] == {"n": 1}
    model = keras.models.load_model(finished / "model.keras")
    assert model.labels == ("dark", "light")
    images, labels = next(iter(building.pipelines(SMALL, model, training_and_validation(data))[1].batches(0)))
    predicted = model.predict(images, verbose=0).argmax(1)
    assert np.mean(predicted == np.asarray(labels)) == metrics["top1"]


def test_an_interrupted_run_ends_with_the_same_weights(finished, data, tmp_path):
    with pytest.raises(Stop):
        run_recipe(SMALL, data, tmp_path / "out", callbacks=[StopAt(3)], every=0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"run.json", "history.csv", "checkpoints"}
    run_recipe(SMALL, data, tmp_path / "out")
    for ours, theirs in zip(weights(tmp_path / "out"), weights(finished), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_folder_that_is_not_this_runs_is_left_alone(finished, data, tmp_path):
    with pytest.raises(KerasVisionError, match="holds this run, finished"):
        run_recipe(SMALL, data, finished)
    with pytest.raises(KerasVisionError, match="holds a run with other settings or other images"):
        run_recipe(dataclasses.replace(SMALL, seed=1), data, finished)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KerasVisionError, match="is not empty and holds no training run"):
        run_recipe(SMALL, data, tmp_path)
    with pytest.raises(KerasVisionError, match=r"mine\.txt is a file"):
        run_recipe(SMALL, data, tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_written_for_data_that_do_not_do(data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(KerasVisionError, match="no data set"):
        run_recipe(SMALL, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(KerasVisionError, match="40 training and 10 validation images do not fill a step of 128"):
        run_recipe(dataclasses.replace(SMALL, batch_size=128), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_snapshot_of_another_model_is_refused(finished, data, tmp_path):
    shutil.copy(finished / "run.json", tmp_path / "run.json")
    (tmp_path / "checkpoints").mkdir()
    np.savez(tmp_path / "checkpoints/all.npz", meta=np.frombuffer(_meta(), np.uint8), **{"model/0": np.zeros((7, 7))})
    with pytest.raises(KerasVisionError, match="is of another model or optimizer"):
        run_recipe(SMALL, data, tmp_path)


def test_overwrite_starts_anew(finished, data, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    other = dataclasses.replace(SMALL, seed=1)
    with pytest.raises(Stop):
        run_recipe(other, data, tmp_path / "out", overwrite=True, callbacks=[StopAt(0)])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"run.json", "checkpoints"}
    assert json.loads((tmp_path / "out/run.json").read_text())["settings"]["seed"] == 1


def test_half_precision_averages_and_large_epsilon_end_in_a_float32_model(data, tmp_path):
    """What Inception-v3's recipe asks for, on the small network."""
    settings = ["precision=mixed_bfloat16", "average=0.9", "optimizer=rmsprop", "epsilon=1", "clip=2", "epochs=1"]
    recipe = with_settings(SMALL, [*settings, "label_smoothing=0.1", "decay_epochs=[]", "accumulation=2"])
    outcome = run_recipe(recipe, data, tmp_path / "out")
    assert np.isfinite(outcome["history"][0]["val_loss"])
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


# ------------------------------------------------------------------------------------------- side classifiers


def test_side_classifiers_count_with_their_weight_and_are_left_out_of_what_is_kept(randomize):
    recipe = dataclasses.replace(
        find_recipe("inception-v3"),
        model="GoogLeNet",
        model_settings=dict(auxiliary="adaptive"),
        size=64,
        label_smoothing=0.1,
        auxiliary_weight=0.3,
        weight_decay=0.0,
    )
    model = randomize(building.compiled(recipe, building.network(recipe, 3), steps=5))
    images = np.random.default_rng(0).normal(0, 1, (4, 64, 64, 3)).astype("float32")
    labels = np.array([0, 2, 1, 2])
    outputs = model(images)
    smooth = 0.9 * np.eye(3)[labels] + 0.1 / 3
    entropies = [-(smooth * np.log(np.asarray(p, "float64"))).sum(1).mean() for p in outputs]
    loss = model.compute_loss(images, (labels,) * 3, outputs, training=False)
    assert float(loss) == pytest.approx(entropies[0] + 0.3 * (entropies[1] + entropies[2]), rel=1e-4)
    plain = building.without_sides(recipe, model, ("a", "b", "c"))
    assert plain.count_params() == GoogLeNet(classes=3, weights=None, input_shape=(64, 64, 3)).count_params()
    np.testing.assert_allclose(plain(images), outputs[0], atol=1e-6)


# --------------------------------------------------------------------------------------------- VGG's two stages


def test_d_starts_from_as_layers():
    """Section 3.1: A's first four convolutions and three fully connected layers; all others stay random."""
    recipe = find_recipe("vgg-d")
    a, d = (make(weights=None, classes=4, input_shape=(32, 32, 3)) for make in (VGG11, VGG16))
    assert [layer.name for layer in a.layers if layer.name.startswith("conv")][:4] == list(recipe.stage_layers[:4])
    before = {layer.name: layer.get_weights() for layer in d.layers if layer.weights}
    copy_layers(a, d, recipe.stage_layers)
    for name, old in before.items():
        expected = a.get_layer(name).get_weights() if name in recipe.stage_layers else old
        for ours, theirs in zip(d.get_layer(name).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(KerasVisionError, match="stage_layers name 'conv4_3', of which vgg11 has weights of None"):
        copy_layers(a, d, ["conv4_3"])


@pytest.mark.slow
def test_both_stages_of_vgg_are_trained(data, tmp_path):
    settings = ["size=32", "resize_shorter=32", "epochs=1", "batch=20", "augment=cifar", "augment_settings={}"]
    run_recipe(with_settings(find_recipe("vgg-d"), [*settings, "protocol=single"]), data, tmp_path / "out")
    a, d = (keras.models.load_model(tmp_path / "out" / part / "model.keras") for part in ("stage", "."))
    assert (a.card.name, d.card.name) == ("VGG11", "VGG16")


def _meta():
    place = dict(epoch=1, step=0, history=[], stopped=False)
    return json.dumps(dict(place=place, callbacks=[], replicas=1, rate=None)).encode()


# --------------------------------------------------------------------------------------------- transfer, real


@pytest.mark.slow
def test_fine_tuning_squeezenet_beats_training_it_from_scratch(shared, tmp_path):
    """100 photographs of each of CIFAR-10's classes, three epochs of each."""
    unpacked = unpack(shared / "data" / "cifar10_jpeg" / "cifar10_jpeg_test.tar.gz", tmp_path / "all") / "test"
    for folder in unpacked.iterdir():
        files = sorted(folder.iterdir())
        for part, chosen in (("train", files[:100]), ("val", files[100:150])):
            (tmp_path / "data" / part / folder.name).mkdir(parents=True)
            for file in chosen:
                file.rename(tmp_path / "data" / part / folder.name / file.name)
    base = dataclasses.replace(find_recipe("squeezenet-transfer"), epochs=3)
    tuned = dataclasses.replace(base, start=str(shared / "weights" / "squeezenet_v1.1.npz"))
    scratch = dataclasses.replace(base, start=None, learning_rate=1e-3, rates={})
    better = run_recipe(tuned, tmp_path / "data", tmp_path / "tuned")["top1"]
    assert better > run_recipe(scratch, tmp_path / "data", tmp_path / "scratch")["top1"] + 0.05
