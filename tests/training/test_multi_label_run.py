"""The whole run: files that fit together, interruptions, bad data, and the five real chips."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_vision.data import LabelGroups, MultiLabelImages, Pipeline, digit_collages, label_table, readable_images
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import Thresholds, f_beta, predict_labels
from keras_vision.runtime import open_image
from keras_vision.training import (
    MultiLabelCrossentropy,
    MultiLabelRun,
    groups_of,
    logits_model,
    most_frequent,
    multi_label_classifier,
    multi_label_run,
    train,
    train_head_only,
    train_multi_label,
)

GROUNDS = ("dark", "light", "striped", "noisy")
RUN = MultiLabelRun("ResNet20CIFAR", None, epochs=3, head_epochs=1, size=32, exclusive=(GROUNDS,), learning_rate=1e-3)


@pytest.fixture(scope="module")
def collages():
    return digit_collages(200, size=32)


@pytest.fixture(scope="module", autouse=True)
def small():
    """ResNet-8 in the place of ResNet-20."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_label_run, "multi_label_classifier", functools.partial(multi_label_classifier, n=1))
        yield


@pytest.fixture(scope="module")
def finished(collages, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, train_multi_label(RUN, collages, out)


def test_the_files_fit_together(finished, collages):
    out, outcome = finished
    assert {p.name for p in out.iterdir()} == {
        "run.json",
        "history.csv",
        "model.keras",
        "thresholds.json",
        "metrics.json",
    }
    assert json.loads((out / "metrics.json").read_text()) == dataclasses.asdict(outcome)
    model = keras.saving.load_model(out / "model.keras")
    thresholds = Thresholds.load(out / "thresholds.json", model.labels)
    assert groups_of(model) == LabelGroups(collages.class_names, [GROUNDS])
    assert (outcome.training_images, outcome.validation_images, outcome.test_images) == (140, 20, 40)
    assert outcome.validation_f2 >= outcome.validation_f2_at_half
    predicted = thresholds.predict(predict_labels(model, collages.sources))
    assert 0 < f_beta(collages.labels, predicted) <= 1


class Stop(keras.callbacks.Callback):
    """Ctrl-C in a step of the second phase."""

    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 12:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_as_one_that_was_not(finished, collages, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_multi_label(RUN, collages, out, [Stop()])
    assert (out / "checkpoints/all.npz").exists()
    assert not (out / "model.keras").exists()
    with pytest.raises(KerasVisionError, match="other settings or other images"):
        train_multi_label(dataclasses.replace(RUN, epochs=4), collages, out)
    assert train_multi_label(RUN, collages, out).f2 == pytest.approx(finished[1].f2, abs=0.01)
    models = [keras.saving.load_model(folder / "model.keras") for folder in (out, finished[0])]
    for resumed, whole in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-3)
    with pytest.raises(KerasVisionError, match="this run, finished"):
        train_multi_label(RUN, collages, out)


def test_bad_folders_and_data_are_errors(collages, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KerasVisionError, match="is a file"):
        train_multi_label(RUN, collages, tmp_path / "file")
    with pytest.raises(KerasVisionError, match="holds no training run"):
        train_multi_label(RUN, collages, tmp_path, overwrite=True)
    two = dataclasses.replace(collages, labels=np.maximum(collages.labels, np.arange(14) == 11))
    with pytest.raises(KerasVisionError, match="do not have exactly one of dark, light, striped, noisy: "):
        train_multi_label(RUN, two, tmp_path / "run")
    absent = dataclasses.replace(collages, labels=collages.labels * (np.arange(14) != 3))
    with pytest.raises(KerasVisionError, match="no training image has 3: it cannot be learned"):
        train_multi_label(RUN, absent, tmp_path / "run")
    with pytest.raises(KerasVisionError, match="too few"):
        train_multi_label(RUN, dataclasses.replace(collages, sources=[0], labels=collages.labels[:1]), tmp_path / "run")
    with pytest.raises(KerasVisionError, match="'haze' of an exclusive group is no label"):
        train_multi_label(dataclasses.replace(RUN, exclusive=(("haze", "dark"),)), collages, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for wrong in (dict(epochs=0), dict(head_epochs=4), dict(batch_size=0), dict(seed=-1)):
        with pytest.raises(KerasVisionError, match="at least one epoch"):
            dataclasses.replace(RUN, **wrong)


def test_the_constant_prediction_is_the_best_of_all():
    labels = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]], np.uint8)
    every = [np.array([int(c) for c in f"{n:04b}"], np.uint8) for n in range(1, 16)]
    best = max(f_beta(labels, np.broadcast_to(row, labels.shape)) for row in every)
    assert f_beta(labels, np.broadcast_to(most_frequent(labels), labels.shape)) == pytest.approx(best)


def test_files_that_cannot_be_read_are_left_out_with_the_reason(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    images = MultiLabelImages([tmp_path / "bad.png", tmp_path / "good.png"], np.eye(2, dtype=np.uint8), ("a", "b"))
    kept = readable_images(images)
    assert [source.name for source in kept.sources] == ["good.png"]
    assert kept.labels.tolist() == [[0, 1]]
    assert "bad.png" in kept.skipped[0][0]
    with pytest.raises(KerasVisionError, match="none of 1 images can be read"):
        readable_images(dataclasses.replace(images, sources=[tmp_path / "bad.png"], labels=images.labels[:1]))


@pytest.mark.slow
def test_the_five_chips_of_the_amazon_go_through_all_parts(shared):
    folder = shared / "data/planet_sample"
    images = readable_images(label_table(folder, folder / "train_v2.csv", missing="skip"))
    groups = LabelGroups(images.class_names, [("clear", "cloudy", "haze", "partly_cloudy")])
    labels = groups.check(images.labels, images.sources)
    keras.utils.set_random_seed(0)
    weights = shared / "weights/squeezenet_v1.1.npz"
    model = multi_label_classifier("SqueezeNetV1_1", groups, weights=weights, input_shape=(64, 64, 3))
    shown = np.concatenate([model.preprocessing(open_image(source))[None] for source in images.sources])
    batches = Pipeline(images, model.preprocessing, 5, seed=0)
    given = np.asarray(next(iter(Pipeline(images, model.preprocessing, 5).epoch(0)))[0])
    assert np.abs(given - shown).max() <= 3  # training and prediction see the same colours
    train_head_only(model, True)
    trained = logits_model(model)
    loss = MultiLabelCrossentropy(groups.positions, from_logits=True)
    trained.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    history = train(trained, lambda epoch, step: batches.epoch(epoch, step * 5), epochs=30)
    assert history[-1]["loss"] < history[0]["loss"] / 4
    scores = predict_labels(model, images.sources)
    assert scores.shape == (5, 17)
    np.testing.assert_allclose(scores[:, list(groups.positions[0])].sum(1), 1, rtol=1e-5)
    assert f_beta(labels, scores >= 0.3) > 0.8  # of the images it was trained on: that it learns, no more
