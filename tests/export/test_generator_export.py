"""A DRAW as LiteRT file and SavedModel, used without this package's models."""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_vision.errors import ExportError, KerasVisionError
from keras_vision.export import to_litert, to_saved_model
from keras_vision.generative import DRAW
from keras_vision.runtime import Generator

SIZES = dict(image_shape=(10, 12, 1), steps=4, units=9, codes=5, read=3, write=4, learned_start=True)


def randomized(**settings):
    keras.utils.set_random_seed(0)
    model = DRAW(**{**SIZES, **settings})
    for weight in model.trainable_weights:
        weight.assign(keras.random.normal(weight.shape) * 0.4)
    return model


@pytest.fixture(scope="module", params=[dict(), dict(attention=False, image_shape=(6, 5, 3))], ids=["window", "whole"])
def exported(request, tmp_path_factory):
    model, folder = randomized(**request.param), tmp_path_factory.mktemp("exported")
    return model, folder, to_litert(model, folder / "draw.tflite"), to_saved_model(model, folder / "saved")


def test_a_litert_file_draws_what_the_model_draws(exported):
    model, folder, parity, _ = exported
    assert parity.max_difference <= parity.bound
    generator = Generator(folder / "draw.tflite")
    assert (generator.steps, generator.codes, generator.patch) == (4, 5, model.cell.patches[1] or 0)
    for n in (1, 7, 3):
        found = generator.generate(n, seed=n)
        np.testing.assert_allclose(found.canvases, model.generate(n, seed=n, steps=True), atol=1e-5)
        expected = model.draw(model.codes_of(n, seed=n)).windows
        assert (found.windows is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(found.windows, expected, rtol=1e-4, atol=1e-4)


def test_the_file_takes_codes_time_first_and_has_builtin_operations_only(exported):
    _, folder, _, _ = exported
    interpreter = Interpreter(model_path=str(folder / "draw.tflite"))
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [4, -1, 5]
    assert not [op["op_name"] for op in interpreter._get_ops_details() if op["op_name"].startswith("Flex")]


def test_a_saved_model_draws_its_own_codes_in_a_process_without_keras(exported):
    model, folder, _, parity = exported
    assert parity.max_difference <= parity.bound
    code = f"""
        import json, sys, numpy as np, tensorflow as tf
        loaded = tf.saved_model.load(r"{folder}/saved")
        draw = loaded.signatures["generate"]
        a, b, c = (draw(seed=tf.constant(s), n=tf.constant(3))["images"].numpy() for s in (1, 1, 2))
        assert (a == b).all() and np.abs(a - c).max() > 0 and a.shape[0] == 3, a.shape
        z = np.random.default_rng(0).standard_normal((4, 2, 5), "float32")
        np.save(r"{folder}/found.npy", loaded.signatures["draw"](z=tf.constant(z))["canvases"].numpy())
        assert "keras_vision" not in sys.modules
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)
    z = np.random.default_rng(0).standard_normal((4, 2, 5), "float32")
    np.testing.assert_allclose(np.load(folder / "found.npy"), model.draw(z.swapaxes(0, 1)).canvases, atol=1e-5)
    assert json.loads((folder / "saved/assets/card.json").read_text())["task"] == "generation"


def test_codes_of_the_saved_model_are_standard_normal(exported):
    """The canvases of many codes have the mean that codes drawn here have."""
    model, folder, _, _ = exported
    found = tf.saved_model.load(str(folder / "saved")).signatures["generate"](seed=tf.constant(5), n=tf.constant(3000))
    expected = model.generate(3000, seed=6)
    spread = expected.std(0) / np.sqrt(3000)
    assert (np.abs(found["images"].numpy().mean(0) - expected.mean(0)) < 8 * spread + 1e-4).all()


def test_what_cannot_be_is_refused(exported, tmp_path):
    model, folder, _, _ = exported
    with pytest.raises(ExportError, match="takes codes, not images"):
        to_litert(model, tmp_path / "x.tflite", preprocessing=True)
    with pytest.raises(KerasVisionError, match="exists already"):
        to_litert(model, folder / "draw.tflite")
    (tmp_path / "notes").mkdir()
    with pytest.raises(ExportError, match="is no SavedModel"):
        to_saved_model(model, tmp_path / "notes", overwrite=True)
    generator = Generator(folder / "draw.tflite")
    for codes in (np.zeros((2, 3, 5)), np.zeros((0, 4, 5)), np.zeros((4, 5))):
        with pytest.raises(KerasVisionError, match=r"give \(n, 4, 5\)"):
            generator.draw(codes)
    with pytest.raises(KerasVisionError, match="at a time"):
        generator.generate(10_000_000)
    with pytest.raises(KerasVisionError, match="seed=-1"):
        generator.generate(1, seed=-1)
    (tmp_path / "no.tflite").write_bytes(b"no")
    with pytest.raises(KerasVisionError, match="damaged, or not a LiteRT model"):
        Generator(tmp_path / "no.tflite")
