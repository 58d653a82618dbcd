"""`keras-vision evaluate` as a user runs it."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image
from test_cli import COMMAND, run
from typer.testing import CliRunner

import keras_vision as kv
from keras_vision.cli.loading import load_model, parse_settings
from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def model(tmp_path_factory, randomize):
    """A `.keras` file whose labels are in another order than the sorted folders."""
    net = randomize(kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3))
    net.labels = CLASSES[::-1]
    path = tmp_path_factory.mktemp("model") / "model.keras"
    net.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """240 images in three folders, and one that is none."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(240):
        path = root / CLASSES[number % 3] / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((8, 8, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    (root / "cat/[odd] name.jpg").write_text("hello")
    return root


def test_the_authors_network_scores_as_published(shared):
    done = run(
        "evaluate", shared / "data/imagenet_sample", "--synsets", shared / "data/imagenet_labels/synset_words.txt",
        "--model", "SqueezeNet", "--weights", shared / "weights/compressed_SqueezeNet.net",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SqueezeNet: protocol single, 1 view per image, 500 images" in done.stdout
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line.startswith("top-")}
    assert abs(int(rows["top-1"].removesuffix("/500")) - 312) <= 2
    assert abs(int(rows["top-5"].removesuffix("/500")) - 413) <= 2


def test_ctrl_c_keeps_finished_images_and_the_same_command_goes_on(model, folder, tmp_path):
    journal = tmp_path / "journal.jsonl"
    options = ["--protocol", "fifty", "--scale", "60", "--scale", "70", "--resume", str(journal)]
    arguments = ["evaluate", str(folder), "--model", str(model), *options]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert "the same command goes on from" in said
    finished = journal.read_bytes()
    assert finished.count(b"\n") < 241

    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert journal.read_bytes().startswith(finished[: finished.rfind(b"\n") + 1])
    result = json.loads(done.stdout)
    assert (result["n"], result["views"], result["top5"]) == (240, 100, None)
    assert result["models"] == ["SqueezeNetV1_1"]
    assert [s["reason"] for s in result["skipped"]] == ["not an image in a known format"]
    assert {image["name"].split("/")[-2]: image["label"] for image in result["images"]} == {
        "cat": 0,
        "bee": 1,
        "ant": 2,
    }
    assert result["hits1"] == sum(image["classes"][0] == image["label"] for image in result["images"])

    table = run(*arguments, env={"COLUMNS": "200", "PATH": ""})  # every image is in the file
    assert f"{result['hits1']}/240" in table.stdout
    assert "100 views per image, 240 images" in table.stdout
    assert "[odd] name.jpg" in table.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (["{folder}", "--model", "{model}", "--protocol", "fifti"], "no protocol is called 'fifti'. Did you mean fifty"),
    (["{folder}/none", "--model", "{model}"], "no such folder"),
    (["{folder}", "--model", "{model}", "--weights", "a", "--weights", "b"], "1 --model and 2 --weights"),
    (["{folder}", "--model", "SqueezeNet", "--weights", "none"], "the images have 3 classes and squeezenet has 1000"),
    (["{folder}", "--model", "{model}", "--protocol", "ten", "--scale", "40"], "give at least 48"),
    (["{folder}", "--model", "{model}", "--synsets", "{folder}/none.txt"], "none.txt: cannot be read"),
    (["{folder}", "--model", "{model}", "--labels", "{folder}/none.csv"], "none.csv: cannot be read"),
    (["{folder}", "--model", "{model}", "--size", "96"], "brings its own settings; leave input_shape out"),
])  # fmt: skip
def test_bad_input_is_a_clear_error(arguments, message, model, folder):
    done = CliRunner().invoke(app, ["evaluate", *(a.format(model=model, folder=folder) for a in arguments)])
    assert isinstance(done.exception, KerasVisionError)
    assert message in str(done.exception)


def test_an_error_is_one_line_and_exit_1(model, folder):
    done = run("evaluate", folder / "none", "--model", model)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "no such folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_the_constructor(model):
    given = ["ceil_mode=true", "a=False", "b=3", "c=0.5", "d=None", "e=none", "f=torch", "g=[1, 2]", "h=a=b"]
    read = {
        "ceil_mode": True,
        "a": False,
        "b": 3,
        "c": 0.5,
        "d": None,
        "e": None,
        "f": "torch",
        "g": [1, 2],
        "h": "a=b",
    }
    assert parse_settings(given) == read
    floor, ceil = (load_model("SqueezeNetV1_1", "none", parse_settings([f"ceil_mode={v}"])) for v in ("false", "true"))
    assert (floor.get_layer("conv10").output.shape[1], ceil.get_layer("conv10").output.shape[1]) == (13, 14)
    with pytest.raises(KerasVisionError, match="give key=value"):
        parse_settings(["ceil_mode"])
    with pytest.raises(KerasVisionError, match=r"takes no .*ceil"):
        load_model("SqueezeNetV1_1", "none", {"ceil": True})
    with pytest.raises(KerasVisionError, match="brings its own settings; leave ceil_mode out"):
        load_model(str(model), settings={"ceil_mode": True})


def test_size_and_an_ensemble_of_two_files(shared, tmp_path):
    """Two pairs of --model and --weights, each network at an input of 131 pixels."""
    photographs = sorted((shared / "data/imagenet_sample").glob("*.JPEG"))[:20]
    for file in photographs:
        (tmp_path / file.name).symlink_to(file)
    pairs = [("SqueezeNet", "squeezenet_v1.0.npz"), ("SqueezeNetV1_1", "squeezenet_v1.1.npz")]
    options = [part for name, file in pairs for part in ("--model", name, "--weights", shared / "weights" / file)]
    synsets = shared / "data/imagenet_labels/synset_words.txt"
    done = run("evaluate", tmp_path, *options, "--synsets", synsets, "--size", 131, "--protocol", "dense", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["models"] == ["SqueezeNet", "SqueezeNetV1_1"]
    assert result["n"] == 20
    assert result["top5"] > 0.3
