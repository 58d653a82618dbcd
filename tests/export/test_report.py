"""Reports of exported files: what they say, and where it comes from."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_vision as kv
from keras_vision.errors import ExportError
from keras_vision.export import contents, examine, show, to_litert, write_report
from keras_vision.export.layer_errors import layer_errors
from keras_vision.export.parity import sample_pixels
from keras_vision.model import VisionModel
from keras_vision.runtime import Predictor


@pytest.fixture(scope="module")
def model(randomize):
    """With local response normalisation, which has no integer form."""
    base = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=5)
    image = keras.Input((48, 48, 3))
    x = kv.layers.LocalResponseNormalization(name="norm")(base.get_layer("conv1")(image))
    x = base.get_layer("fire2_squeeze1x1")(x)
    for number in range(8):
        x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name=f"more{number}")(x)
    x = keras.layers.Dense(5, "softmax", name="answer")(keras.layers.GlobalAveragePooling2D()(x))
    return randomize(VisionModel(image, x)).with_card(base.card)


@pytest.fixture(scope="module")
def pixels(model):
    return sample_pixels(model.preprocessing, images=20)


@pytest.fixture(scope="module")
def report(model, pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "model.tflite"
    to_litert(model, path, quantize="int8", representative=pixels, agreement=0.5)
    return path, examine(model, path, pixels, agreement=0.5, calls=3)


def test_an_int8_report_names_islands_layers_and_times(model, report):
    path, found = report
    assert (found.form, found.passed, found.photographs, found.images) == ("int8", True, True, 20)
    assert found.required_agreement == 0.5 <= found.agreement
    assert found.size == path.stat().st_size < found.float_size
    assert found.fully_quantised is False
    assert found.islands
    assert "CONV_2D" not in found.islands
    assert found.flex == []
    assert len(found.worst_layers) == 10
    assert list(found.worst_layers.values()) == sorted(found.worst_layers.values(), reverse=True)
    assert {layer.name for layer in model.layers} & set(found.worst_layers)
    assert set(found.latency) == set(found.float_latency) == {1, 2}
    assert all(ms > 0 for ms in found.latency.values())
    assert found.fastest.split(",")[0] in ("int8", "float32")


def test_operations_are_those_the_interpreter_runs(report):
    interpreter = Interpreter(model_path=str(report[0]))
    interpreter.allocate_tensors()
    expected = [op["op_name"] for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]
    assert [operation.name for operation in contents(report[0]).operations] == expected


def test_too_little_agreement_is_said_and_not_raised(model, pixels, report):
    found = examine(model, report[0], pixels, agreement=1.01, threads=(1,), calls=1)
    assert not found.passed
    assert "less than 101.0%" in found.failure
    assert found.agreement == report[1].agreement


def test_a_float_report_holds_the_bound_of_float32(model, tmp_path):
    to_litert(model, tmp_path / "model.tflite", uint8_input=True)
    found = examine(model, tmp_path / "model.tflite", calls=1)
    assert (found.form, found.passed, found.photographs) == ("float32", True, False)
    assert found.max_difference <= 1e-4 * found.output_range
    assert found.fully_quantised is None
    assert found.worst_layers == {}
    assert found.latency == found.float_latency


def test_json_html_and_terminal_say_the_same(report, tmp_path, capsys):
    _, found = report
    as_json, as_html = write_report(found, tmp_path / "model.tflite")
    document = json.loads(as_json.read_text())
    assert document["agreement"] == found.agreement
    assert document["worst_layers"] == found.worst_layers
    text = as_html.read_text()
    assert "http" not in text  # nothing is loaded
    assert "<script" not in text
    show(found)
    printed = " ".join(capsys.readouterr().out.split())
    for word in (f"{found.agreement:.1%} of 20 photographs", "fully quantised", next(iter(found.worst_layers))):
        assert word in text
        assert word in printed
    with pytest.raises(kv.KerasVisionError, match="exists already"):
        write_report(found, tmp_path / "model.tflite")


def test_forms_are_told_by_the_file(model, report, tmp_path, shared):
    for form in ("float16", "dynamic"):
        to_litert(model, tmp_path / f"{form}.tflite", quantize=form)
        assert contents(tmp_path / f"{form}.tflite").form == form
    assert contents(shared / "weights/mlperf_tiny_resnet8_int8.tflite").fully_quantised
    assert contents(shared / "weights/mlperf_tiny_resnet8_float.tflite").form == "float32"


def test_a_damaged_file_is_one_clear_error(report, tmp_path):
    content = report[0].read_bytes()
    for name, bad in {"empty": b"", "text": b"not a model", "head": content[:1000]}.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(ExportError, match="damaged, or not a LiteRT model"):
            contents(tmp_path / name)


def test_layer_errors_are_those_of_another_projects_files(shared):
    """The last layer's, computed here from the files' outputs alone."""
    floating, quantised = (shared / f"weights/mlperf_tiny_resnet8_{form}.tflite" for form in ("float", "int8"))
    images = list(sample_pixels(kv.Preprocessing((32, 32), None), images=2)[:, None].astype(np.float32))
    assert set(layer_errors(floating, floating, images).values()) == {0.0}
    errors = layer_errors(floating, quantised, images)
    assert len(errors) >= 10
    assert 0 < max(errors.values()) < 0.2
    spec = kv.Preprocessing((32, 32), None)
    expected, got = (
        Predictor(file, preprocessing=spec).predict([image[0].astype(np.uint8) for image in images])
        for file in (floating, quantised)
    )
    error = np.sqrt(np.square(expected - got).sum() / np.square(expected).sum())
    assert contents(floating).operations[-1].output == "Identity"
    assert errors["Identity"] == pytest.approx(error, rel=1e-3)
