"""Reports of exported files: what they say, and where it comes from."""

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_vision as kv
from keras_vision.errors import ExportError
from keras_vision.export import contents, examine, show, to_litert, write_report
from keras_vision.export.parity import sample_pixels


@pytest.fixture(scope="module")
def model(randomize):
    """With local response normalisation, which has no integer form."""
    return randomize(kv.create_model("AlexNet", weights=None, input_shape=(67, 67, 3), classes=5))


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
    assert found.size == path.stat().st_size < 0.3 * found.float_size
    assert found.fully_quantised is False
    assert "LOCAL_RESPONSE_NORMALIZATION" in found.islands or sum(found.islands.values()) > 2
    assert found.flex == []
    assert len(found.worst_layers) == 10
    assert list(found.worst_layers.values()) == sorted(found.worst_layers.values(), reverse=True)
    assert any(name in {layer.name for layer in model.layers} for name in found.worst_layers)
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


def test_layer_errors_of_equal_files_are_zero(model, pixels, tmp_path):
    from keras_vision.export.layer_errors import layer_errors

    to_litert(model, tmp_path / "model.tflite")
    errors = layer_errors(
        tmp_path / "model.tflite", tmp_path / "model.tflite", [model.preprocessing.normalize(np.asarray(pixels[:1]))]
    )
    assert len(errors) > 10
    assert max(errors.values()) == 0
