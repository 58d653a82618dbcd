"""Batch norm's recipe on real digits: the paper's ordering, and the recorded curves against NumPy."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from keras_vision.cli.main import app
from keras_vision.data import mnist
from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes import batch_norm


@pytest.fixture(scope="module")
def digits(shared):
    folder = shared / "data" / "mnist"
    return mnist(folder, "train"), mnist(folder, "test")


def test_the_network_is_that_of_section_4_1():
    without, with_norm = (batch_norm.network(batch_norm.ARMS[name]) for name in ("Without BN", "With BN"))
    dense = 784 * 100 + 2 * 100 * 100 + 100 * 10 + 10
    assert without.count_params() == dense + 3 * 100
    assert sum(int(np.prod(w.shape)) for w in with_norm.trainable_weights) == dense + 3 * 2 * 100
    assert [layer.activation.__name__ for layer in without.layers if "hidden" in layer.name] == ["sigmoid"] * 3


def test_arms_have_the_papers_rates():
    rates = {name: arm.rate for name, arm in batch_norm.ARMS.items()}
    assert (rates["BN-x5"], rates["BN-x30"], rates["BN-x5-Sigmoid"]) == (0.0075 / 0.0015, 0.045 / 0.0015, 5)
    assert rates["Baseline"] == rates["BN-Baseline"] == 1
    assert batch_norm.ARMS["BN-x5-Sigmoid"].activation == "sigmoid"


def test_images_are_binary(digits):
    images, labels = batch_norm.binary(digits[1])
    assert images.shape == (10_000, 28, 28)
    assert set(np.unique(images)) == {0, 1}
    np.testing.assert_array_equal(images[0], digits[1].sources[0] >= 128)
    assert labels[0] == 7  # the first test image


def test_batch_norm_learns_what_the_plain_network_does_not_in_the_same_steps(digits):
    """Figure 1a, its beginning: at the same rate, the sigmoids without batch norm are still at chance."""
    settings = dict(steps=600, every=200, seed=1)
    without = batch_norm.train(batch_norm.ARMS["Without BN"], *digits, **settings)
    with_norm = batch_norm.train(batch_norm.ARMS["With BN"], *digits, **settings)
    assert list(with_norm.steps) == [200, 400, 600]
    assert without.accuracy[2] < 0.3
    assert with_norm.accuracy[2] > 0.85
    assert with_norm.steps_to(0.85) <= 600
    assert without.steps_to(0.85) == float("inf")


@pytest.mark.parametrize("numbers", [dict(steps=150, every=100), dict(steps=0), dict(steps=2000, every=2000)])
def test_steps_that_do_not_fit_are_one_error(numbers, digits):
    with pytest.raises(KerasVisionError, match="give a multiple of every, which is from 1 to 1000"):
        batch_norm.train(batch_norm.ARMS["With BN"], *digits, **numbers)


def numpy_inputs(model, images):
    """What goes into the last sigmoids, each batch norm with the statistics of these images."""
    x = images.reshape(len(images), -1).astype("float64")
    for number in (1, 2, 3):
        kernel = np.asarray(model.get_layer(f"fc{number}").kernel, "float64")
        norm = model.get_layer(f"fc{number}_bn")
        x = x @ kernel
        x = (x - x.mean(0)) / np.sqrt(x.var(0) + norm.epsilon) * np.asarray(norm.gamma) + np.asarray(norm.beta)
        if number < 3:
            x = 1 / (1 + np.exp(-x))
    return x


def test_percentiles_are_those_of_the_training_network(digits, randomize):
    model = randomize(batch_norm.network(batch_norm.ARMS["With BN"]))
    model.compile(keras.optimizers.SGD(0.1))
    images, labels = batch_norm.binary(digits[1])
    recorder = batch_norm.Recorder(model, images, labels)
    recorder.set_model(model)
    before = model.get_weights()
    recorder.on_train_batch_end(0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # looking moves no statistics
    expected = np.percentile(numpy_inputs(model, images[: batch_norm.PROBE]), (15, 50, 85), axis=0)
    np.testing.assert_allclose(recorder.curves().percentiles[0], expected, atol=1e-3)


def test_the_command_draws_figure_1(digits, shared, tmp_path):
    out = tmp_path / "figure1.png"
    arguments = ["recipes", "batch-norm", str(shared / "data" / "mnist"), str(out), "--steps", "100"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "after 100 steps" in result.output
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 10_000


def test_a_folder_without_mnist_is_one_error(tmp_path):
    code = [sys.executable, "-m", "keras_vision.cli.main", "recipes", "batch-norm", str(tmp_path), "out.png"]
    result = subprocess.run(code, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert "error:" in result.stderr
    assert "train-images-idx3-ubyte" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", ["figure1", "figure1.xyz", "there.png"])
def test_a_picture_that_cannot_be_written_is_refused_before_training(name, shared, tmp_path):
    (tmp_path / "there.png").write_bytes(b"mine")
    with pytest.raises(KerasVisionError, match=r"must end in one of: .*png|exists already"):
        batch_norm.run(shared / "data" / "mnist", tmp_path / name, steps=10**9)
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"mine"
