"""`keras-vision draw` as a user runs it, and its pictures."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from keras_vision.cli import draw as command
from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError
from keras_vision.export import to_litert
from keras_vision.generative import DRAW
from keras_vision.visualization import drawing_frames, grid, write_animation


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("trained"), DRAW(steps=3, units=8, codes=4)
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(weight.shape[-1]).normal(0, 0.4, weight.shape))
    model.save(folder / "model.keras")
    to_litert(model, folder / "model.tflite")
    return folder, model


def invoke(*arguments):
    return CliRunner().invoke(app, ["draw", *map(str, arguments)])


def test_a_grid_and_its_drawing_without_tensorflow(trained, tmp_path):
    folder, model = trained
    code = (
        "import sys; from keras_vision.cli.main import main\ntry: main()\nfinally:"
        " assert not {'tensorflow', 'keras'} & set(sys.modules), sorted(sys.modules)"
    )
    arguments = ["draw", "--model", folder, "--n", 6, "--seed", 1, "--out", tmp_path / "grid.png", "--animate"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "grid.png" in done.stdout
    assert "3 steps" in done.stdout
    with Image.open(tmp_path / "grid.png") as picture:
        np.testing.assert_allclose(picture, grid(model.generate(6, seed=1), enlarge=3), atol=1)
    with Image.open(tmp_path / "grid.gif") as film:
        assert film.n_frames == 3


def test_both_files_draw_the_same(trained, tmp_path):
    folder, _ = trained
    for name in ("model.keras", "model.tflite"):
        result = invoke("--model", folder / name, "--n", 2, "--seed", 5, "--out", tmp_path / f"{name}.png")
        assert result.exit_code == 0, result.output
    pictures = [np.asarray(Image.open(tmp_path / f"{name}.png"), int) for name in ("model.keras", "model.tflite")]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_attention_is_drawn_where_the_windows_are():
    """A window of 5 x 5 filters, two pixels from each other, around row 10 and column 14: from 6 to 14, 10 to 18."""
    frames = drawing_frames(np.zeros((1, 1, 28, 28, 1)), np.array([[[10.0, 14.0, 2.0, 0.1]]]), patch=5, enlarge=4)
    red = np.argwhere((np.asarray(frames[0]) == (230, 40, 40)).all(-1)) / 4
    centres = red.min(0) - 1 + 0.5, red.max(0) - 1 + 0.5  # one pixel of gap; the first pixel's centre is 1
    np.testing.assert_allclose(centres, [(6, 10), (14, 18)], atol=0.3)


def test_a_grid_is_the_images_side_by_side(tmp_path):
    images = np.random.default_rng(0).uniform(0, 1, (3, 4, 5, 3))
    sheet = np.asarray(grid(images, columns=2))
    assert sheet.shape == (2 * 5 + 1, 2 * 6 + 1, 3)
    np.testing.assert_array_equal(sheet[6:10, 1:6], np.rint(255 * images[2]))
    for wrong in (images[0], images + 1, images[:0], images[..., :2]):
        with pytest.raises(KerasVisionError, match="give"):
            grid(wrong)
    with pytest.raises(KerasVisionError, match=r"give a \.gif"):
        write_animation([grid(images)], tmp_path / "a.png")
    with pytest.raises(KerasVisionError, match="at least one frame"):
        write_animation([], tmp_path / "a.gif")


@pytest.mark.parametrize(("arguments", "says"), [
    (["--out", "grid.bmp"], "give a .png, .jpg or .webp"),
    (["--out", "grid.png", "--model", "nowhere"], "nowhere: no model. Give a .tflite or .keras file"),
    (["--out", "grid.png", "--attention"], "add --animate"),
])  # fmt: skip
def test_wrong_arguments_are_one_error(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert isinstance(result.exception, KerasVisionError)
    assert says in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_are_there_stay(trained, tmp_path):
    (tmp_path / "grid.gif").write_bytes(b"mine")
    result = invoke("--model", trained[0], "--out", tmp_path / "grid.png", "--animate")
    assert "exists already; pass --overwrite" in str(result.exception)
    assert (tmp_path / "grid.gif").read_bytes() == b"mine"
    assert not (tmp_path / "grid.png").exists()


def test_without_a_trained_model_the_command_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(command, "DIGITS", "no-such-model")
    with pytest.raises(KerasVisionError, match="train one with `keras-vision recipes run draw-mnist-hour`"):
        command.model_file(None)
