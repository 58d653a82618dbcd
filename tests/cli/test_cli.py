"""The command line as a user runs it: in a process of its own, but for errors, which `call` sees in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_vision as kv

COMMAND = [sys.executable, "-m", "keras_vision.cli.main"]


def run(*arguments, **options):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory, randomize):
    """A folder as `train` leaves it: model.keras and model.tflite."""
    folder = tmp_path_factory.mktemp("model")
    net = randomize(kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3))
    net.labels = ["ant", "bee", "cat"]
    net.save(folder / "model.keras")
    kv.export.to_litert(net, folder / "model.tflite", uint8_input=True)
    return folder


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "good.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "print.jpg")
    Image.fromarray(np.linspace(0, 65535, 4800).reshape(60, 80).astype(np.uint16)).save(folder / "deep.png")
    frames = [Image.new("RGB", (60, 60), color) for color in ("red", "blue")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    (folder / "half.png").write_bytes((folder / "good.png").read_bytes()[:2000])
    (folder / "[odd] name.jpg").write_text("hello")
    return folder


def test_json_lists_results_and_reasons(model, photographs):
    done = run("classify", photographs, "--model", model / "model.tflite", "--json", "--top", 2)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    results = {r["file"].rpartition("/")[2]: r["predictions"] for r in document["results"]}
    assert set(results) == {"good.png", "print.jpg", "deep.png", "moving.gif"}
    assert all(len(p) == 2 and p[0]["label"] in ("ant", "bee", "cat") for p in results.values())
    reasons = {s["file"].rpartition("/")[2]: s["reason"] for s in document["skipped"]}
    assert set(reasons) == {"empty.jpg", "text.jpg", "half.png", "[odd] name.jpg"}


def test_table_shows_names_with_brackets(model, photographs):
    done = run("classify", photographs, "--model", model, env={"COLUMNS": "200", "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "[odd] name.jpg" in done.stdout
    assert "not an image" in done.stdout


def test_keras_file_and_litert_file_agree(model, photographs):
    answers = [
        json.loads(run("classify", photographs / "good.png", "--model", model / name, "--json").stdout)["results"]
        for name in ("model.keras", "model.tflite")
    ]
    first, second = ([p["probability"] for p in found[0]["predictions"]] for found in answers)
    assert first == pytest.approx(second, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "none.jpg", "--model", "{model}"], "none.jpg: no such file"),
        (["classify", "{empty}", "--model", "{model}"], "no images in"),
        (["classify", "{good}", "--model", "none.tflite"], "none.tflite: no such file"),
        (["classify", "{good}", "--model", "{good}"], "expected a model's name, or a .keras file"),
        (["classify", "{good}", "--model", "SqueezeNetV1_1"], "give --weights FILE, --weights torchvision, or"),
        (["classify", "{good}", "--model", "SqueezNet"], "Did you mean SqueezeNet"),
        (
            ["classify", "{good}", "--model", "SqueezeNetV1_1", "--weights", "none.h5"],
            "neither a file nor a known name",
        ),
        (["classify", "{good}", "--model", "{model}", "--labels", "{good}"], "cannot be read as a list of labels"),
        (["train", "--data", "{empty}", "--out", "{empty}/out"], "0 images in 0 subfolders"),
        (["train", "--data", "none", "--out", "{empty}/out"], "none: no such folder"),
        (["train", "--out", "{good}", "--epochs", "1"], "is a file; give a folder"),
        (["train", "--out", "{good}/below", "--epochs", "1"], "cannot be written"),
        (["train", "--out", "{empty}/out", "--size", "8"], "too small for SqueezeNetV1_1: at least"),
        (["export", "SqueezeNetV1_1", "{good}", "--weights", "none"], "exists already"),
        (["models", "info", "InceptionV4"], "Did you mean InceptionV3"),
    ],
)
def test_bad_input_is_one_line_and_exit_1(arguments, message, model, photographs, tmp_path, call):
    (tmp_path / "nothing").mkdir()
    names = {"model": model, "empty": tmp_path / "nothing", "good": photographs / "good.png"}
    done = call(*(str(a).format(**names) for a in arguments))
    assert done.returncode == 1
    assert message in done.stderr
    assert (photographs / "good.png").stat().st_size > 1000  # nothing was overwritten


def test_an_error_in_a_process_of_its_own_has_no_traceback(model):
    done = run("classify", "none.jpg", "--model", model)
    assert done.returncode == 1
    assert "none.jpg: no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_broken_images_exits_1(model, photographs):
    done = run("classify", photographs / "text.jpg", photographs / "empty.jpg", "--model", model)
    assert done.returncode == 1
    assert "the file is empty" in done.stdout


def test_export_writes_both_formats_and_says_how_exact(model, tmp_path):
    done = run("export", model / "model.keras", tmp_path / "out.tflite", "--uint8")
    assert done.returncode == 0, done.stderr
    assert "differs from the Keras model by" in done.stdout
    assert (tmp_path / "out.tflite").read_bytes() == (model / "model.tflite").read_bytes()
    assert run("export", model / "model.keras", tmp_path / "saved").returncode == 0
    assert (tmp_path / "saved/saved_model.pb").exists()


def test_export_quantises_with_a_report(model, tmp_path, call):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)):
        Image.fromarray(pixels).resize((60, 60), Image.Resampling.BICUBIC).save(photographs / f"{number}.png")
    out = tmp_path / "out.tflite"
    options = ["--quantize", "int8", "--calibrate", photographs, "--agreement", "0.5", "--uint8", "--report"]
    done = run("export", model / "model.keras", out, *options, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert "of 10 photographs" in done.stdout
    assert json.loads((tmp_path / "out.tflite.report.json").read_text())["fully_quantised"] is True
    assert (tmp_path / "out.tflite.report.html").stat().st_size > 1000
    again = call("export", model / "model.keras", out, *options)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    for bad, message in [
        (["--quantize", "int8"], "needs photographs"),
        (["--io", "int8"], "goes with quantize='int8'"),
        (["--quantize", "int8", "--calibrate", tmp_path / "none"], "no such file or folder"),
    ]:
        done = call("export", model / "model.keras", tmp_path / "other.tflite", *bad)
        assert done.returncode == 1
        assert message in done.stderr
    assert not (tmp_path / "other.tflite").exists()


def test_a_damaged_keras_file_is_one_clear_error(model, tmp_path, call):
    whole = (model / "model.keras").read_bytes()
    for name, content in {"half": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}.items():
        (tmp_path / f"{name}.keras").write_bytes(content)
        done = call("export", tmp_path / f"{name}.keras", tmp_path / "out.tflite")
        assert done.returncode == 1
        assert "damaged, or not a Keras model file" in done.stderr


def test_models_and_doctor_answer(call):
    table = run("models", "list", "--markdown").stdout
    assert table in (Path(__file__).parents[2] / "README.md").read_text(), "README's table: models list --markdown"
    done = call("models", "list", "squeezenet*")
    assert "1,235,496" in done.stdout
    assert "Inception" not in done.stdout
    assert json.loads(call("models", "info", "squeezenet", "--json").stdout)["parameters"] == 1_248_424
    done = run("doctor", "--build")
    assert "compiled in" in done.stdout
    assert "of its reference on average" in done.stdout
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok ") == 5


def test_help_and_classifying_litert_never_import_tensorflow(model, photographs):
    blocked = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; sys.argv[0] = 'keras-vision';"
    for arguments in (["--help"], ["classify", photographs / "good.png", "--model", model / "model.tflite"]):
        code = f"{blocked} from keras_vision.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
