"""Training runs: phases, resuming, folders that are in use, what a finished run leaves behind."""

import json

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.data import LabelledImages, digits
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.training import Run, fine_tune
from keras_vision.training.checkpoints import EpochCheckpoint


@pytest.fixture(scope="module")
def images():
    whole = digits()
    return LabelledImages(whole.sources[:400], whole.labels[:400], whole.class_names)


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
    """Notes the epochs that ran, the trainable layers, and the optimizer's step at the start of each."""

    def __init__(self):
        super().__init__()
        self.epochs, self.trainable, self.steps = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.trainable.append({w.path.partition("/")[0] for w in self.model.trainable_weights})
        self.steps.append(int(self.model.optimizer.iterations))


def test_a_finished_run_leaves_models_metrics_and_report(images, tmp_path):
    outcome = fine_tune(_run(), images, tmp_path / "run")
    left = {p.name for p in (tmp_path / "run").iterdir()}
    assert left == {"model.keras", "saved_model", "model.tflite", "metrics.json", "report.html", "run.json"}
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


def test_interrupted_run_goes_on_after_the_last_whole_epoch(images, tmp_path):
    run = _run(epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(run, images, tmp_path / "run", [Stop(epoch=2)])
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"checkpoints", "run.json"}
    seen = Seen()
    outcome = fine_tune(run, images, tmp_path / "run", [seen])
    assert seen.epochs == [2]
    assert seen.steps == [2 * 7]  # the optimizer goes on too: 280 images in batches of 40
    assert outcome.best_epoch in (1, 2, 3)
    assert not (tmp_path / "run/checkpoints").exists()


def test_interrupted_in_the_first_epoch_starts_again(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fine_tune(_run(), images, tmp_path / "run", [Stop(epoch=0)])
    seen = Seen()
    fine_tune(_run(), images, tmp_path / "run", [seen])
    assert seen.epochs == [0, 1]


def test_head_trains_first_then_all_and_an_interruption_between_them_resumes(images, tmp_path):
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


def test_only_the_classifier_moves_in_the_head_phase(images, tmp_path):
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


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"head_epochs": 3}, {"batch_size": 0}])
def test_impossible_settings(bad):
    with pytest.raises(KerasVisionError, match="give at least one epoch"):
        _run(**bad)


def test_the_best_epoch_is_kept_and_only_the_last_besides(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    checkpoint = EpochCheckpoint(tmp_path)
    checkpoint.set_model(model)
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.9, 0.7), (0.9, 0.6), (0.8, 0.1)]):
        model.layers[0].kernel.assign([[float(epoch)]])
        checkpoint.on_epoch_begin(epoch)
        checkpoint.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    assert {p.name for p in tmp_path.iterdir()} == {"epoch-0003.weights.h5", "epoch-0004.weights.h5", "history.json"}
    model.load_weights(checkpoint.best)
    assert float(model.layers[0].kernel[0, 0]) == 2
    assert EpochCheckpoint(tmp_path).epochs_done == 4
