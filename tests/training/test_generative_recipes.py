"""Recipes of DRAW and of glimpses: from small data on disk to a model and its figures; interrupted; gone wrong."""

import dataclasses
import gzip
import json
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.io import savemat
from stopping import Stop, StopAt

from keras_vision.errors import KerasVisionError
from keras_vision.generative import DRAW, nats, variational_bound
from keras_vision.training import (
    GENERATIVE_RECIPES,
    GLIMPSE_RECIPES,
    TimeBudget,
    find_recipe,
    plan_generative,
    run_generative_recipe,
    run_glimpse_recipe,
    schedule_of,
    train,
    with_settings,
)
from keras_vision.training.recipes.generative_data import drawable_parts, epochs_of, with_targets

SIZES = dict(steps=2, units=12, codes=3, learned_start=True)
TINY = dataclasses.replace(
    find_recipe("draw-mnist"), model_settings=dict(row="mnist", **SIZES), epochs=2, batch_size=16, samples=4,
    samples_every=1, held_out=20, importance_images=5, importance_samples=3,
)  # fmt: skip


def strokes(count, seed):
    """Digits of a kind: one upright bar in each."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, left in zip(images, rng.integers(4, 20, count), strict=True):
        image[6:22, left : left + 3] = 1
    return images


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for seed, (part, count) in enumerate(dict(train=64, valid=30, test=20).items()):
        savemat(folder / f"binarized_mnist_{part}.amat", {"X": strokes(count, seed).reshape(count, -1)})
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """MNIST's four files, with bars for digits."""
    folder = tmp_path_factory.mktemp("digits")
    for seed, (name, count) in enumerate(dict(train=48, t10k=20).items()):
        for kind, array in dict(images=255 * strokes(count, seed), labels=np.arange(count) % 10).items():
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            file = folder / f"{name}-{kind}-idx{array.ndim}-ubyte.gz"
            file.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return folder


@pytest.fixture(scope="module")
def finished(bars, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    return out, run_generative_recipe(TINY, bars, out)


def test_a_run_leaves_a_model_sheets_and_its_nats(finished, bars):
    out, metrics = finished
    files = {"history.csv", "metrics.json", "model.keras", "nearest.png", "run.json", "samples"}
    assert {path.name for path in out.iterdir()} == files
    assert json.loads((out / "metrics.json").read_text()) == metrics
    model = keras.models.load_model(out / "model.keras")
    test = drawable_parts("binarized_mnist", bars).test.some(20, 0)
    assert variational_bound(model, test).nats == pytest.approx(metrics["nats"], rel=1e-5)
    assert metrics["nats"] == pytest.approx(metrics["reconstruction_nats"] + metrics["latent_nats"], rel=1e-6)
    assert sorted(path.name for path in (out / "samples").iterdir()) == ["epoch_0001.gif", "epoch_0002.gif"]
    with Image.open(out / "samples" / "epoch_0002.gif") as film:
        assert film.n_frames == 2
    assert len((out / "history.csv").read_text().splitlines()) == 3


def test_an_interrupted_run_ends_with_the_same_weights(finished, bars, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stop):
        run_generative_recipe(TINY, bars, out, callbacks=[StopAt(6)], every=0.0)
    assert not (out / "model.keras").exists()
    run_generative_recipe(TINY, bars, out)
    expected, found = (keras.models.load_model(folder / "model.keras").get_weights() for folder in (finished[0], out))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_training_lowers_the_bound(bars, tmp_path):
    longer = dataclasses.replace(TINY, epochs=30, learning_rate=1e-2, schedule="constant", samples_every=100)
    before = variational_bound(DRAW(**longer.model_settings), strokes(20, 2)).nats
    assert run_generative_recipe(longer, bars, tmp_path / "out")["nats"] < before / 3


def test_a_budget_ends_training_and_lets_the_rate_fall(bars, tmp_path, monkeypatch):
    clock = iter(np.arange(0, 1e6, 0.5))  # each step takes half a second
    monkeypatch.setattr("keras_vision.training.time_budget.perf_counter", lambda: float(next(clock)))
    recipe = dataclasses.replace(TINY, minutes=0.05, schedule="constant", epochs=50)  # 3 seconds: six steps of four
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate.numpy()))

    run_generative_recipe(recipe, bars, tmp_path / "out", callbacks=[Rates()])
    assert len(rates) == 6
    expected = [1e-3 * (1 + np.cos(np.pi * k / 6)) / 2 for k in range(6)]
    np.testing.assert_allclose(rates, expected, rtol=1e-4)
    with pytest.raises(KerasVisionError, match="above 0"):
        TimeBudget(0, 1e-3)


def test_a_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_checkpoint(bars, tmp_path):
    model = DRAW(row="mnist", **SIZES)
    model.compile(keras.optimizers.Adam(1e-3), nats(), jit_compile=False)
    good = strokes(16, 0)[..., None].astype("float32")
    images = np.stack([good, good, np.full_like(good, np.nan)])
    data = tf.data.Dataset.from_tensor_slices(images).map(with_targets)
    with pytest.raises(KerasVisionError, match=r"loss is nan in epoch 1 at batch 3.*all\.npz keeps what was good"):
        train(model, data, epochs=1, snapshots=tmp_path / "all.npz", every=0.0)
    again = DRAW(row="mnist", **SIZES)
    again.compile(keras.optimizers.Adam(1e-3), nats(), jit_compile=False)
    train(again, data.take(2), epochs=1, snapshots=tmp_path / "all.npz")
    assert all(np.isfinite(weight).all() for weight in again.get_weights())


@pytest.mark.slow
def test_mixed_precision_trains_and_keeps_float32(bars, tmp_path):
    half = dataclasses.replace(TINY, epochs=1, precision="mixed_float16")
    assert np.isfinite(run_generative_recipe(half, bars, tmp_path / "out")["nats"])
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert model.cell.encoder.compute_dtype == "float32"


# ------------------------------------------------------------------------------------------------------ data


def test_batches_are_the_same_however_training_got_there(digits):
    training = drawable_parts("two_digits", digits).training
    assert training.count == 40
    epochs = epochs_of(training, 16, seed=3)
    whole = [images.numpy() for images, _ in epochs(1, 0)]
    np.testing.assert_array_equal(next(iter(epochs(1, 1)))[0], whole[1])
    assert whole[0].shape == (16, 60, 60, 1)
    assert 0 <= whole[0].min() < whole[0].max() <= 1
    assert np.abs(whole[0] - next(iter(epochs(0, 0)))[0]).max() > 0
    with pytest.raises(KerasVisionError, match="do not fill a batch of 50"):
        epochs_of(training, 50, seed=3)


def test_cifar_is_drawn_with_a_tenth_held_out(tmp_path):
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        rows = rng.integers(0, 256, (4, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    parts = drawable_parts("cifar10", tmp_path)
    assert [part.count for part in parts] == [18, 2, 4]
    assert parts.test.some(4, 0).shape == (4, 32, 32, 3)


# --------------------------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize("name", [*GENERATIVE_RECIPES, *GLIMPSE_RECIPES])
def test_every_recipe_has_a_rate_to_the_end_and_a_result(name):
    recipe = find_recipe(name)
    schedule = schedule_of(recipe, 500)
    assert 0 < float(schedule(recipe.epochs * 495) if callable(schedule) else schedule) <= recipe.learning_rate
    assert recipe.result


def test_a_plan_counts_and_measures(bars):
    found = plan_generative(TINY, bars, measure=1)
    assert found.images == (64, 30, 20)
    assert (found.steps, found.shape) == (4, (28, 28, 1))
    assert found.parameters == DRAW(**TINY.model_settings).card.parameters
    assert found.images_per_second > 0


def test_glimpses_are_trained_and_measured(digits, tmp_path):
    settings = ["epochs=2", "batch=10", "minutes=none", "size=30", "held_out=10", "test_images=20", "side=5"]
    for name, sizes in (
        ("glimpses-8-cluttered-mnist", dict(steps=2, units=8, patch=4)),
        ("convolutional-cluttered-mnist", {}),
    ):
        recipe = dataclasses.replace(with_settings(find_recipe(name), settings), model_settings=sizes)
        found = run_glimpse_recipe(recipe, digits, tmp_path / name)
        assert found["test_images"] == 20
        assert 0 <= found["error"] <= 1
        rows = (tmp_path / name / "history.csv").read_text().splitlines()
        assert "val_top1" in rows[0]
        assert len(rows) == 3


@pytest.mark.parametrize(("name", "settings", "says"), [
    ("draw-mnist", dict(images="mnist"), "images='mnist'; accepted: binarized_mnist"),
    ("draw-mnist", dict(minutes=60.0), "the schedule is 'constant'"),
    ("draw-mnist", dict(model="VGG16"), "trains DRAW"),
    ("draw-mnist", dict(samples=0), "from 1"),
    ("ram-8-cluttered-mnist", dict(model="DRAW"), "accepted: GlimpseClassifier, RAM"),
    ("ram-8-cluttered-mnist", dict(minutes=-1.0), "above 0"),
])  # fmt: skip
def test_settings_that_make_no_sense(name, settings, says):
    with pytest.raises(KerasVisionError, match=says):
        dataclasses.replace(find_recipe(name), **settings)


def test_networks_of_other_images_are_refused(bars, tmp_path):
    wrong = dataclasses.replace(TINY, model_settings=dict(row="svhn"))
    with pytest.raises(KerasVisionError, match=r"images of \(28, 28, 1\) for a network of \(54, 54, 3\)"):
        run_generative_recipe(wrong, bars, tmp_path / "out")
    assert not (tmp_path / "out").exists()
