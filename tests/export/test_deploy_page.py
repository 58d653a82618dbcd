"""The snippets of docs/deploy.md name signatures, tensors and options that exported files and the command have."""

import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from typer.testing import CliRunner

import keras_vision as kv
from keras_vision.cli.main import app
from keras_vision.export import to_litert

PAGE = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
SNIPPETS = re.findall(r"```(kotlin|swift)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("logits", [False, True])
def test_signature_and_tensors_have_the_names_of_the_page(tmp_path, logits):
    activation = None if logits else "softmax"
    net = kv.create_model(
        "SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3, classifier_activation=activation
    )
    to_litert(net, tmp_path / "model.tflite", uint8_input=True)
    interpreter = Interpreter(model_path=str(tmp_path / "model.tflite"))
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    runner = interpreter.get_signature_runner("serving_default")
    assert [(name, d["dtype"]) for name, d in runner.get_input_details().items()] == [("image", np.uint8)]
    assert list(runner.get_output_details()) == ["logit" if logits else "probability"]
    code = next(text for language, text in SNIPPETS if "runSignature" in text)
    assert set(re.findall(r'"(\w+)" to|"(\w+)"\)$', code, re.MULTILINE)) == {
        ("image", ""), ("probability", ""), ("", "serving_default"),
    }  # fmt: skip


def test_the_page_has_both_languages_and_whole_snippets():
    assert {language for language, _ in SNIPPETS} == {"kotlin", "swift"}
    for _, text in SNIPPETS:
        for opened, closed in ("()", "{}", "[]"):
            assert text.count(opened) == text.count(closed)


def test_options_of_the_page_are_options_of_the_command():
    helps = " ".join(CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output.split())
    for option in set(re.findall(r"export \S+ \S+ .*?(--\w+)|`(--\w+)`", PAGE)):
        name = "".join(option)
        assert name in helps, name
