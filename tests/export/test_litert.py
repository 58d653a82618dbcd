"""LiteRT files: what they compute, what they say of themselves, what happens when something is wrong."""

import json
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_vision as kv
from keras_vision.errors import ExportError, KerasVisionError
from keras_vision.export import parity, to_litert
from keras_vision.runtime import Predictor

LABELS = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def model(randomize):
    net = randomize(kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 64, 3), classes=3))
    net.labels = LABELS
    return net


def _ops(path):
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    return {op["op_name"] for op in interpreter._get_ops_details()}


@pytest.mark.parametrize(
    ("options", "dtype"),
    [({}, np.float32), ({"preprocessing": True}, np.float32), ({"uint8_input": True}, np.uint8)],
    ids=["plain", "preprocessing", "uint8"],
)
def test_every_form_gives_the_keras_models_output(model, tmp_path, options, dtype):
    path = tmp_path / "model.tflite"
    checked = to_litert(model, path, **options)
    assert checked.max_difference <= checked.bound <= 1e-4 * checked.output_range
    predictor = Predictor(path, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    expected = model.predict(model.preprocessing.normalize(pixels), verbose=0)
    # the exact size, so that resizing changes nothing: 54 is the shorter side the protocol would crop from
    spec = kv.Preprocessing.from_dict({**predictor.preprocessing.to_dict(), "resize_shorter": None})
    exact = Predictor(path, threads=1, preprocessing=spec)
    assert np.abs(exact.predict(pixels) - expected).max() <= 1e-4 * np.ptp(expected)
    assert Interpreter(model_path=str(path)).get_input_details()[0]["dtype"] == dtype


def test_ops_are_builtin_and_few(model, tmp_path):
    to_litert(model, tmp_path / "model.tflite")
    found = {op for op in _ops(tmp_path / "model.tflite") if op != "DELEGATE"}
    assert found == {"CONV_2D", "MAX_POOL_2D", "CONCATENATION", "MEAN", "SOFTMAX"}


def test_card_and_labels_travel_in_the_file(model, tmp_path):
    to_litert(model, tmp_path / "model.tflite", uint8_input=True)
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS
        stored = json.loads(archive.read("card.json"))
    assert stored["card"]["name"] == "SqueezeNetV1_1"
    assert stored["preprocessing"]["mean"] == [0.0, 0.0, 0.0]  # nothing left to subtract: the graph does it
    assert Predictor(tmp_path / "model.tflite").labels == tuple(LABELS)


def test_the_same_model_gives_the_same_bytes(model, tmp_path):
    to_litert(model, tmp_path / "a.tflite")
    to_litert(model, tmp_path / "b.tflite")
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()


def test_mediapipe_reads_the_metadata_and_agrees(model, tmp_path):
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    path = tmp_path / "model.tflite"
    to_litert(model, path, uint8_input=True)
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=str(path)))
    try:
        classifier = vision.ImageClassifier.create_from_options(options)
    except OSError as error:
        pytest.skip(f"MediaPipe's native library does not load here: {error}")
    with classifier:
        result = classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
    found = {c.category_name: c.score for c in result.classifications[0].categories}
    expected = model.predict(model.preprocessing.normalize(pixels[None]), verbose=0)[0]
    assert found == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-3)


def test_logits_become_probabilities_in_the_runtime(tmp_path):
    net = kv.create_model(
        "SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3, classifier_activation=None
    )
    to_litert(net, tmp_path / "model.tflite", uint8_input=True)
    scores = Predictor(tmp_path / "model.tflite").predict([np.zeros((48, 48, 3), np.uint8)])
    assert scores.sum() == pytest.approx(1, abs=1e-6)


def test_feature_maps_export_by_name(tmp_path):
    net = kv.create_model(
        "SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), features_only=True, taps=("fire3", "fire9")
    )
    assert to_litert(net, tmp_path / "features.tflite").images == 4
    runner = Interpreter(model_path=str(tmp_path / "features.tflite")).get_signature_runner()
    assert set(runner.get_output_details()) == {"fire3", "fire9"}


def test_open_input_size_is_refused(tmp_path):
    net = kv.create_model("SqueezeNetV1_1", weights=None, include_top=False)
    with pytest.raises(ExportError, match="fixed size"):
        to_litert(net, tmp_path / "model.tflite")


def test_existing_file_is_kept_unless_told(model, tmp_path):
    (tmp_path / "model.tflite").write_text("mine")
    with pytest.raises(KerasVisionError, match="exists already"):
        to_litert(model, tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").read_text() == "mine"


def test_a_file_that_differs_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "_ROUND_OFF", 0.0)
    monkeypatch.setattr("keras_vision.export.litert.normalize", lambda x, spec: x / 2)  # a broken graph
    with pytest.raises(ExportError, match="differs from the Keras model"):
        to_litert(model, tmp_path / "model.tflite", preprocessing=True)
    assert list(tmp_path.iterdir()) == []


def test_nan_weights_are_refused(tmp_path):
    net = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3)
    net.get_layer("conv10").bias.assign([np.nan, 0, 0])
    with pytest.raises(ExportError, match="not finite"):
        to_litert(net, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_auxiliary_heads_stay_behind(tmp_path, randomize):
    net = kv.create_model("InceptionV3_79", weights=None, classes=3, auxiliary="dropout")
    net = randomize(net)
    to_litert(net, tmp_path / "model.tflite", uint8_input=True)
    assert len(Predictor(tmp_path / "model.tflite").classify(np.zeros((79, 79, 3), np.uint8))) == 3


def test_a_model_without_a_card_is_told_what_to_do(model, tmp_path):
    with pytest.raises(ExportError, match="has no model card"):
        to_litert(keras.Model(model.input, model.output), tmp_path / "model.tflite")
