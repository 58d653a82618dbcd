"""`keras-vision multi-label` on collages of digits in files: one run, Ctrl-C, and what is refused."""

import json
import signal
import subprocess
import time

import keras
import pytest
from PIL import Image
from test_cli import COMMAND, run

from keras_vision.data import digit_collages
from keras_vision.evaluation import Thresholds

GROUNDS = "dark,light,striped,noisy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """200 collages and their table, one row of which has two grounds, and one no image."""
    root = tmp_path_factory.mktemp("collages")
    images = digit_collages(200, size=32)
    lines = ["image_name,tags", "0,1 dark light", "missing,1 dark"]
    for number, (pixels, row) in enumerate(zip(images.sources, images.labels, strict=True)):
        Image.fromarray(pixels).save(root / f"{number}.png")
        named = [name for name, there in zip(images.class_names, row, strict=True) if there]
        lines.append(f"{number},{' '.join(named)}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def arguments(folder, out, *more):
    common = ("--weights", "none", "--size", "32", "--suffix", ".png", "--exclusive", GROUNDS)
    return ["multi-label", folder / "labels.csv", folder, out, *common, *more]


def test_a_run_writes_model_thresholds_and_metrics(folder, tmp_path):
    out = tmp_path / "run"
    done = run(*arguments(folder, out, "--skip", "--epochs", "1"))
    assert done.returncode == 0, done.stderr
    assert "missing.png: no such file" in done.stdout
    assert "0.png: not one label of each exclusive group" in done.stdout
    assert "epoch   1  f2" in done.stdout
    assert "held-out F2" in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["training_images"], metrics["validation_images"], metrics["test_images"]) == (140, 20, 40)
    assert metrics["validation_f2"] >= metrics["validation_f2_at_half"]
    model = keras.saving.load_model(out / "model.keras")
    assert len(Thresholds.load(out / "thresholds.json", model.labels).values) == 14


@pytest.mark.parametrize(("more", "message"), [
    ((), r"1 files that it names are missing"),
    (("--skip", "--exclusive", "dark,9"), "label 'dark' is in the exclusive groups twice"),
    (("--skip", "--columns", "image_name"), "--columns image_name; give two names"),
])  # fmt: skip
def test_what_is_refused_in_one_line(folder, tmp_path, more, message, call):
    done = call(*arguments(folder, tmp_path / "run", *more))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_goes_on(folder, tmp_path):
    out = tmp_path / "run"
    command = [str(part) for part in arguments(folder, out, "--skip", "--epochs", "4", "--head-epochs", "1")]
    process = subprocess.Popen([*COMMAND, *command], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (out / "checkpoints/all.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert "the same command goes on" in said
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "classifier, epoch" not in done.stdout  # finished before the interruption
    assert "epoch   1" not in done.stdout
    assert not (out / "checkpoints").exists()
