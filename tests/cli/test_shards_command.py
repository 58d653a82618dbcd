"""`keras-vision data shards` and `train --skip` as a user runs them: in a process of their own."""

import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image
from test_cli import COMMAND, run

from keras_vision.data import shards


@pytest.fixture
def folder(tmp_path):
    for number in range(24):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return tmp_path / "images"


def test_a_folder_is_packed_without_the_files_of_the_skip_list(folder, tmp_path, call):
    (tmp_path / "skip.txt").write_text("a/2.png\tblurred\n")
    command = ["data", "shards", folder, tmp_path / "out", "--shards", "4", "--skip", tmp_path / "skip.txt"]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "23 images of 2 classes, 1 left out, in 4 shards, " in done.stdout
    found = shards(tmp_path / "out", verify=True)
    assert sorted(found.sources) == sorted(p.read_bytes() for p in folder.rglob("*.png") if p.name != "2.png")
    again = call(*command)
    assert again.returncode == 1
    assert "error: " in again.stderr
    assert "holds finished shards" in again.stderr
    assert run(*command, "--overwrite").returncode == 0


def test_an_empty_class_folder_is_no_class_of_images(folder, tmp_path):
    (folder / "empty").mkdir()
    done = run("data", "shards", folder, tmp_path / "out", "--shards", "4")
    assert done.returncode == 0, done.stderr
    assert np.bincount(shards(tmp_path / "out").labels, minlength=3).tolist() == [12, 12, 0]


def test_interrupted_the_same_command_goes_on(folder, tmp_path):
    large = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    Image.fromarray(large).save(folder / "a/large.png")
    for number in range(600):
        (folder / "b" / f"link {number}.png").symlink_to(folder / "a/large.png")
    command = ["data", "shards", folder, tmp_path / "out", "--shards", "100", "--threads", "1"]
    process = subprocess.Popen([*COMMAND, *map(str, command)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("*.tfrecord")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert "the same command goes on after the last finished shard" in errors
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "index.json" not in names
    assert not [name for name in names if name.startswith(".")]


def test_training_leaves_out_the_files_of_a_skip_list(folder, tmp_path, call):
    (tmp_path / "skip.txt").write_text("a/2.png\tblurred\n")
    options = ["--size", "32", "--epochs", "1", "--weights", "none", "--skip", tmp_path / "skip.txt"]
    done = run("train", "--data", folder, "--out", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert "blurred" in done.stdout
    assert "on 5 images" in " ".join(done.stdout.split())  # a fifth of 23
    wrong = call("train", "--out", tmp_path / "digits", "--skip", tmp_path / "skip.txt")
    assert wrong.returncode == 1
    assert "the digits have no files to leave out" in wrong.stderr
