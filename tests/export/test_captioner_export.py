"""Captioners as files: LiteRT with a search in NumPy, SavedModel with whole captions, the command, overlays."""

import base64
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from keras_vision.captioning import ShowAttendTell
from keras_vision.cli import caption as command
from keras_vision.cli.main import app
from keras_vision.errors import ExportError, KerasVisionError
from keras_vision.export import to_litert, to_saved_model
from keras_vision.runtime import Captioner
from keras_vision.runtime.caption_words import SPECIAL, spoken
from keras_vision.visualization import attention_overlay, attention_page, attention_picture

WORDS = (*SPECIAL, "a", "dog", "runs", "on", "grass", "man", "in", "red", "shirt")


def small(row):
    model = ShowAttendTell(
        WORDS, row, encoder="SqueezeNetV1_1", tap="fire9", input_shape=(48, 64, 3), units=8, embedding=6, keys=5
    )
    rng = np.random.default_rng(len(row))
    for weight in model.decoder.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("captioner"), small("soft")
    model.save(folder / "model.keras")
    parity = to_litert(model, folder / "model.tflite")
    assert parity.max_difference <= parity.bound
    return folder, model


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(2):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        coarse.resize((90, 70)).save(folder / f"p{number}.png")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, ["caption", *map(str, arguments)])


def test_words_of_a_file_in_dynamic_range_are_about_as_probable(exported, photographs, tmp_path):
    folder, model = exported
    to_litert(model, tmp_path / "dynamic.tflite", quantize="dynamic")
    sizes = [path.stat().st_size for path in (tmp_path / "dynamic.tflite", folder / "model.tflite")]
    assert sizes[0] < 0.5 * sizes[1]
    path = min(photographs.iterdir())
    found, expected = (Captioner(f).caption(path, 3) for f in (tmp_path / "dynamic.tflite", folder / "model.tflite"))
    assert found.score == pytest.approx(expected.score, rel=0.05)
    with pytest.raises(ExportError, match="no int8 form"):
        to_litert(model, tmp_path / "int8.tflite", quantize="int8")
    assert [p.name for p in tmp_path.iterdir()] == ["dynamic.tflite"]


@pytest.mark.parametrize(("beam", "penalty"), [(1, 0.0), (3, 1.0), (len(WORDS), 0.0)])
def test_the_search_in_numpy_says_what_the_model_says(exported, photographs, beam, penalty):
    folder, model = exported
    captioner = Captioner(folder / "model.tflite")
    assert captioner.vocabulary == WORDS
    for path in sorted(photographs.iterdir()):
        found = captioner.caption(path, beam, longest=6, length_penalty=penalty)
        with Image.open(path) as image:
            pixels = model.preprocessing(image)[None]
        expected = model.tell(pixels, beam, longest=6, length_penalty=penalty)
        assert " ".join(found.words) == expected.sentences[0]
        assert found.score == pytest.approx(float(expected.scores[0, 0]), abs=1e-3)
        count = len(found.words)
        np.testing.assert_allclose(found.log_p, expected.log_p[0, 0, :count], atol=1e-3)
        np.testing.assert_allclose(found.attention, expected.attention[0, 0, :count], atol=1e-4)


def test_without_attention_and_with_sampled_attention_too(tmp_path):
    for row in ("mean", "hard"):
        to_litert(small(row), tmp_path / f"{row}.tflite")
        found = Captioner(tmp_path / f"{row}.tflite").caption(np.full((50, 60, 3), 90, np.uint8), beam=2, longest=4)
        np.testing.assert_allclose(found.attention.sum((1, 2)), 1, atol=1e-5)


def test_a_saved_model_says_whole_captions(exported, photographs, tmp_path):
    _, model = exported
    to_saved_model(model, tmp_path / "saved")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert set(loaded.signatures) == {"serving_default", "caption", "encode", "step"}
    paths = sorted(photographs.iterdir())
    pixels = np.stack([model.preprocessing(Image.open(path)) for path in paths])
    found = loaded.signatures["caption"](tf.constant(pixels))
    expected = model.tell(pixels, beam=5, longest=30)
    for number in range(2):
        assert " ".join(spoken(found["words"][number].numpy(), WORDS)) == expected.sentences[number]
    np.testing.assert_allclose(found["attention"], expected.attention[:, 0], atol=1e-4)
    assets = tmp_path / "saved" / "assets"
    assert json.loads((assets / "card.json").read_text())["card"]["task"] == "captioning"
    (tmp_path / "notes").mkdir()
    with pytest.raises(ExportError, match="is no SavedModel"):
        to_saved_model(model, tmp_path / "notes", overwrite=True)


def test_what_cannot_be_is_refused(exported, tmp_path):
    folder, model = exported
    with pytest.raises(ExportError, match="one normalised image"):
        to_litert(model, tmp_path / "x.tflite", preprocessing=True)
    captioner = Captioner(folder / "model.tflite")
    for settings in (dict(beam=0), dict(beam=len(WORDS) + 1), dict(longest=0)):
        with pytest.raises(KerasVisionError, match=f"from 1 to {len(WORDS)}"):
            captioner.caption(np.zeros((9, 9, 3), np.uint8), **settings)


# --------------------------------------------------------------------------------------------------- command


def test_the_command_needs_no_tensorflow_and_writes_a_page(exported, photographs, tmp_path):
    code = (
        "import sys; from keras_vision.cli.main import main\ntry: main()\nfinally:"
        " assert not {'tensorflow', 'keras'} & set(sys.modules), sorted(sys.modules)"
    )
    arguments = ["caption", photographs, "--model", exported[0], "--explain", tmp_path / "page.html", "--longest", 4]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    captioner = Captioner(exported[0] / "model.tflite")
    page = (tmp_path / "page.html").read_text()
    for path in sorted(photographs.iterdir()):
        words = captioner.caption(path, 5, 4).words
        assert f"{path}: {' '.join(words)}" in done.stdout
        assert f"<p class=caption>{' '.join(words) or '(no words)'}</p>" in page
    pictures = re.findall(r"base64,([^\"]+)", page)
    assert len(pictures) == page.count("<figure>") >= 2
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0]))).size == (64, 48)


def test_both_files_say_the_same_and_damaged_images_are_skipped(exported, photographs, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no")
    lines = {}
    for name in ("model.keras", "model.tflite"):
        arguments = [photographs, tmp_path / "broken.jpg", "--model", exported[0] / name, "--json", "--longest", 5]
        result = invoke(*arguments)
        assert "1 of 3 images could not be read" in str(result.exception)
        lines[name] = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert len(lines["model.keras"]) == 2
    for a, b in zip(*lines.values(), strict=True):
        assert (a["caption"], len(a["log_p"])) == (b["caption"], len(b["words"]))
        assert a["score"] == pytest.approx(b["score"], abs=1e-3)


@pytest.mark.parametrize(("arguments", "says"), [
    (["nowhere"], "no such file or folder"),
    (["x.png", "--explain", "page.pdf"], "give an .html file"),
    (["x.png", "--model", "nowhere"], "nowhere: no model"),
])  # fmt: skip
def test_wrong_arguments_are_one_error(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("x.png")
    result = invoke(*arguments)
    assert isinstance(result.exception, KerasVisionError)
    assert says in str(result.exception)


def test_without_a_trained_model_the_command_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(command, "SMALL", "no-such-model")
    with pytest.raises(KerasVisionError, match="recipes run show-attend-tell-small"):
        command.model_file(None)


# -------------------------------------------------------------------------------------------------- pictures


def test_an_overlay_is_bright_where_the_network_looked(exported):
    _, model = exported
    attention = np.zeros((4, 6))
    attention[1, 4] = 1.0
    found = np.asarray(attention_overlay(np.full((80, 90, 3), 200, np.uint8), attention, model.preprocessing), float)
    assert found.shape == (64, 96, 3)
    row, column = np.unravel_index(found[..., 0].argmax(), found.shape[:2])
    assert abs(row - 23.5) <= 1
    assert abs(column - 71.5) <= 1
    assert found.max() == pytest.approx(200, abs=1)
    assert found.min() == pytest.approx(50, abs=1)


def test_a_picture_has_an_overlay_for_each_word(exported, tmp_path):
    image, spec = np.full((80, 90, 3), 200, np.uint8), exported[1].preprocessing
    sheet = attention_picture(image, ["a", "dog"], np.full((2, 3, 4), 1 / 12), spec, columns=2)
    assert sheet.size == (2 * 68, 2 * 70)
    attention_page([("<x>", image, ["a", "<b>"], np.ones((2, 3, 4)))], spec, tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    for words, maps in ((["a"], np.ones((2, 3, 4))), ([], np.ones((0, 3, 4)))):
        with pytest.raises(KerasVisionError, match="give words"):
            attention_picture(image, words, maps, spec)
    with pytest.raises(KerasVisionError, match="finite weights"):
        attention_overlay(image, np.full((2, 2), -1.0), spec)
