"""Training runs: phases, resuming, folders that are in use, what a finished run leaves behind."""

import csv
import importlib
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_vision as kv
from keras_vision.data import LabelledImages, digits
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.training import Run, board, fine_tune
from keras_vision.training.best_epoch import BestEpoch


@pytest.fixture(scope="module")
def images():
    whole = digits()
    return LabelledImages(whole.sources[:400], whole.labels[:400], whole.class_names)


@pytest.fixture
def unexported(monkeypatch):
    """Runs end with model.keras: what else they leave is `test_a_finished_run_leaves_models_metrics_and_report`'s."""

    def finish(model, settings, test, best_epoch, rows, out):
        model.save(out / "model.keras")
        return SimpleNamespace(best_epoch=best_epoch)

    monkeypatch.setattr(importlib.import_module("keras_vision.training.fine_tune"), "finish", finish)


def _run(**changes):
    settings = dict(
        model="SqueezeNetV1_1", data="digits", weights=None, epochs=2, head_epochs=0, size=32, batch_size=40
    )
    return Run(**{**settings, **changes})


class Stop(keras.callbacks.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2 and self.epoch_now == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch_now = epoch


class Seen(keras.callbacks.Callback):
    """Notes the epochs that ran, the layers that were trainable, and the optimizer's count of steps at the first."""

    def __init__(self):
        super().__init__()
        self.epochs, self.trainable, self.first = [], [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.trainable.append({w.path.partition("/")[0] for w in self.model.trainable_weights})

    def on_train_batch_begin(self, batch, logs=None):
        if self.first is None:
            self.first = int(self.model.optimizer.iterations)


def test_a_finished_run_leaves_models_metrics_and_report(images, tmp_path):
    outcome = fine_tune(_run(), images, tmp_path / "run")
    left = {p.name for p in (tmp_path / "run").iterdir()}
    files = {"model.keras", "saved_model", "model.tflite", "metrics.json", "report.html", "run.json", "history.csv"}
    assert left == files
    assert outcome.test_images == 80
    assert outcome.agreement == 1
    assert json.loads((tmp_path / "run/metrics.json").read_text())["accuracy"] == outcome.accuracy
    model = keras.models.load_model(tmp_path / "run/model.keras")
    assert model.labels == tuple("0123456789")
    assert model.preprocessing.size == (32, 32)
    page = (tmp_path / "run/report.html").read_text()
    assert f"{outcome.accuracy:.2%}" in page
    assert page.count("<img") >= 2
    assert "http" not in page.replace("http-equiv", "")  # nothing is fetched
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    assert manifest["settings"]["seed"] == 0
    assert manifest["data"] == images.fingerprint()
    assert [start["versions"]["tensorflow"] for start in manifest["starts"]] == [tf.__version__]
    with (tmp_path / "run/history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"} < rows[0].keys()


def test_an_interrupted_run_goes_on_in_the_middle_of_an_epoch_as_if_nothing_had_been(images, tmp_path, unexported):
    run = _run(epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(run, images, tmp_path / "run", [Stop(epoch=2)], every=0)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"checkpoints", "run.json", "history.csv"}
    seen = Seen()
    outcome = fine_tune(run, images, tmp_path / "run", [seen])
    assert seen.epochs == [2]
    assert seen.first == 2 * 7 + 2  # 280 images in batches of 40; the third of the last epoch was not in a snapshot
    assert not (tmp_path / "run/checkpoints").exists()
    assert len(json.loads((tmp_path / "run/run.json").read_text())["starts"]) == 2
    whole = fine_tune(run, images, tmp_path / "whole")
    assert outcome.best_epoch == whole.best_epoch
    models = [keras.models.load_model(tmp_path / name / "model.keras") for name in ("run", "whole")]
    for ours, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_interrupted_in_the_first_epoch_starts_again(images, tmp_path, unexported):
    with pytest.raises(KeyboardInterrupt):
        fine_tune(_run(), images, tmp_path / "run", [Stop(epoch=0)])
    seen = Seen()
    fine_tune(_run(), images, tmp_path / "run", [seen])
    assert seen.epochs == [0, 1]


def test_head_trains_first_then_all_and_an_interruption_between_them_resumes(images, tmp_path, unexported):
    weights = tmp_path / "start.weights.h5"
    kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(32, 32, 3)).save_weights(weights)
    run = _run(weights=str(weights), head_epochs=1)
    with pytest.warns(KerasVisionWarning, match="conv10"), pytest.raises(KeyboardInterrupt):
        fine_tune(run, images, tmp_path / "run", [Stop(epoch=1)])
    seen = Seen()
    with pytest.warns(KerasVisionWarning, match="conv10"):
        fine_tune(run, images, tmp_path / "run", [seen])
    assert seen.epochs == [1]
    assert len(seen.trainable[0]) == 26


def test_only_the_classifier_moves_in_the_head_phase(images, tmp_path, unexported):
    weights = tmp_path / "start.weights.h5"
    start = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(32, 32, 3))
    start.save_weights(weights)
    seen = Seen()
    with pytest.warns(KerasVisionWarning, match="conv10"):
        fine_tune(_run(weights=str(weights), epochs=1, head_epochs=1), images, tmp_path / "run", [seen])
    assert seen.trainable == [{"conv10"}]
    trained = keras.models.load_model(tmp_path / "run/model.keras")
    assert np.array_equal(trained.get_layer("fire9_expand3x3").kernel, start.get_layer("fire9_expand3x3").kernel)


def test_folders_in_use_are_left_alone(images, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(KerasVisionError, match="not empty"):
        fine_tune(_run(), images, tmp_path / "mine", overwrite=True)
    with pytest.raises(KerasVisionError, match="is a file"):
        fine_tune(_run(), images, tmp_path / "mine/thesis.txt")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_another_runs_folder_needs_overwrite(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fine_tune(_run(), images, tmp_path / "run", [Stop(epoch=1)])
    with pytest.raises(KerasVisionError, match="other settings"):
        fine_tune(_run(epochs=1), images, tmp_path / "run")
    seen = Seen()
    fine_tune(_run(epochs=1), images, tmp_path / "run", [seen], overwrite=True)
    assert seen.epochs == [0]
    with pytest.raises(KerasVisionError, match="finished"):
        fine_tune(_run(epochs=1), images, tmp_path / "run")


def test_settings_that_fail_leave_no_folder(images, tmp_path):
    with pytest.raises(KerasVisionError, match="too small"):
        fine_tune(_run(size=4), images, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("bad", "says"), [
    ({"epochs": 0}, "give at least one epoch"),
    ({"head_epochs": 3}, "give at least one epoch"),
    ({"batch_size": 0}, "give at least one epoch"),
    ({"learning_rate": float("nan")}, "learning_rate=nan; give a number above 0"),
    ({"learning_rate": -1.0}, "learning_rate=-1"),
    ({"augment": "random"}, "augment='random'; accepted: none, crop, cifar, inception"),
])  # fmt: skip
def test_impossible_settings(bad, says):
    with pytest.raises(KerasVisionError, match=says):
        _run(**bad)


def test_the_best_epoch_is_kept_and_the_one_that_a_snapshot_may_need(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    best = BestEpoch(tmp_path)
    best.set_model(model)
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.9, 0.7), (0.9, 0.6), (0.8, 0.1)]):
        model.layers[0].kernel.assign([[float(epoch)]])
        best.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        if epoch == 2:
            assert {p.name for p in tmp_path.iterdir()} == {"best-0002.npz", "best-0003.npz"}
    assert {p.name for p in tmp_path.iterdir()} == {"best-0003.npz"}
    best.load(model)
    assert float(model.layers[0].kernel[0, 0]) == 2
    assert best.epoch == 3


def test_curves_and_training_images_for_tensorboard(images, tmp_path, unexported):
    fine_tune(_run(epochs=1), images, tmp_path / "run", tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run/tensorboard/train"), {"tensors": 0, "images": 0}).Reload()
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "training images"} <= set(events.Tags()["tensors"])
    width, height, *pictures = events.Tensors("training images")[0].tensor_proto.string_val
    assert (int(width), int(height), len(pictures)) == (32, 32, 16)
    (loss,) = [tf.make_ndarray(event.tensor_proto).item() for event in events.Tensors("epoch_loss")]
    with (tmp_path / "run/history.csv").open(newline="") as stream:
        assert loss == pytest.approx(float(next(csv.DictReader(stream))["loss"]))
    picture = tf.io.decode_png(pictures[0]).numpy()
    assert picture.min() < 40  # a digit, white on black, not normalised
    assert picture.max() > 200


def test_without_tensorboard_says_what_to_install(images, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(KerasVisionError, match=r"pip install \"keras-vision\[tensorboard\]\""):
        board(tmp_path, tf.data.Dataset.range(1), None)
