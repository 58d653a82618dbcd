"""Quantised LiteRT files: what they compute, what they refuse, what happens when the converter cannot."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_vision as kv
from keras_vision.errors import ExportError
from keras_vision.export import child, conversion, running, to_litert
from keras_vision.export.parity import compare_quantized, sample_pixels
from keras_vision.model import VisionModel
from keras_vision.runtime import DensePredictor, Predictor

LABELS = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def model(randomize):
    """Three classes that its scores tell apart well, so that agreement says something."""
    net = randomize(kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 64, 3), classes=3))
    net.labels = LABELS
    return net


@pytest.fixture(scope="module")
def pixels(model):
    return sample_pixels(model.preprocessing, images=40, seed=3)


@pytest.fixture(scope="module")
def int8(model, pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.tflite"
    checked = to_litert(model, path, quantize="int8", representative=pixels, uint8_input=True, agreement=0.9)
    return path, checked


@pytest.mark.parametrize(("form", "share"), [("float16", 0.55), ("dynamic", 0.35)])
def test_stored_weights_shrink_and_the_outputs_stay_near(model, pixels, tmp_path, form, share):
    checked = to_litert(model, tmp_path / "model.tflite", quantize=form, representative=pixels, agreement=0.9)
    assert (tmp_path / "model.tflite").stat().st_size < share * 4 * model.count_params() + 30_000
    assert checked.images == 40
    assert checked.agreement >= 0.9
    assert 0 < checked.mean_difference <= 0.02 * checked.output_range


def test_int8_takes_pixels_as_they_are_and_computes_in_integers(model, pixels, int8):
    path, checked = int8
    assert checked.agreement >= 0.9
    detail = Interpreter(model_path=str(path)).get_input_details()[0]
    assert detail["dtype"] == np.uint8
    assert detail["quantization"] == (1.0, 0)  # so that a program may hand over a camera's pixels
    interpreter = Interpreter(model_path=str(path))
    kinds = {t["dtype"] for t in interpreter.get_tensor_details() if len(t["shape"]) == 4}
    assert kinds <= {np.int8, np.uint8}
    spec = kv.Preprocessing.from_dict({**Predictor(path).preprocessing.to_dict(), "resize_shorter": None})
    found = Predictor(path, preprocessing=spec).predict(pixels)
    expected = model.predict(model.preprocessing.normalize(pixels), verbose=0)
    assert (found.argmax(1) == expected.argmax(1)).mean() == checked.agreement
    assert np.median(np.abs(found - expected)) <= 1 / 256  # the last operation's step


def test_integer_outputs_are_real_values_in_the_runtime(model, pixels, int8, tmp_path):
    to_litert(model, tmp_path / "model.tflite", quantize="int8", representative=pixels, io="int8", agreement=0.9)
    details = Interpreter(model_path=str(tmp_path / "model.tflite"))
    assert details.get_input_details()[0]["dtype"] == details.get_output_details()[0]["dtype"] == np.int8
    image = np.asarray(pixels[0])
    integer, floats = (Predictor(p).predict([image])[0] for p in (tmp_path / "model.tflite", int8[0]))
    assert integer.sum() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(integer, floats, atol=0.08)


def test_metadata_is_in_quantised_files_and_mediapipe_reads_it(model, pixels, int8):
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    with zipfile.ZipFile(int8[0]) as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS
        assert json.loads(archive.read("card.json"))["card"]["licence"] == "Apache-2.0"
    options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=str(int8[0])))
    try:
        classifier = vision.ImageClassifier.create_from_options(options)
    except OSError as error:
        pytest.skip(f"MediaPipe's native library does not load here: {error}")
    with classifier:
        result = classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels[0]))
    found = {c.category_name: c.score for c in result.classifications[0].categories}
    runner = Interpreter(model_path=str(int8[0])).get_signature_runner()
    expected = runner(image=pixels[:1])["probability"][0]
    assert found == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-3)


def test_an_open_batch_is_resized(model, pixels, tmp_path):
    to_litert(model, tmp_path / "model.tflite", batch=None)
    runner = Interpreter(model_path=str(tmp_path / "model.tflite")).get_signature_runner()
    prepared = model.preprocessing.normalize(pixels[:5])
    found = runner(image=prepared)["probability"]
    np.testing.assert_allclose(found, model.predict(prepared, verbose=0), atol=1e-4)


def test_a_segmenter_of_open_size_converts_to_int8(randomize, tmp_path):
    net = randomize(kv.segmentation.FCN32s(backbone="SqueezeNetV1_1", weights=None, classes=4))
    images = sample_pixels(kv.Preprocessing((64, 96), None), images=6)
    checked = to_litert(net, tmp_path / "m.tflite", quantize="int8", representative=images, agreement=0.8)
    assert checked.mean_iu is not None
    predictor = DensePredictor(tmp_path / "m.tflite")
    assert predictor.size is None
    assert predictor.predict(images[0]).shape == (64, 96, 4)


BAD = {
    "none": (None, "needs photographs"),
    "empty": ([], "no calibration images"),
    "shape": (np.zeros((2, 32, 32, 3), np.float32), r"\(32, 32, 3\); .* takes \(48, 64, 3\)"),
    "infinite": (np.full((1, 48, 64, 3), np.inf, np.float32), "not finite"),
    "names": ([{"picture": np.zeros((48, 64, 3))}], "'image'"),
    "nothing": (tf.data.Dataset.from_tensor_slices(np.zeros((0, 48, 64, 3), np.float32)), "no calibration images"),
}


@pytest.mark.parametrize("name", BAD)
def test_unfit_calibration_is_refused_before_converting(model, tmp_path, name, monkeypatch):
    monkeypatch.setattr("keras_vision.export.litert.to_lite", None)
    data, message = BAD[name]
    with pytest.raises(ExportError, match=message):
        to_litert(model, tmp_path / "model.tflite", quantize="int8", representative=data)
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_go_together_are_refused(model, tmp_path):
    for options in ({"quantize": "int4"}, {"io": "int8"}, {"quantize": "int8", "io": "int16"}, {"batch": 0}):
        with pytest.raises(ExportError):
            to_litert(model, tmp_path / "model.tflite", **options)
    with pytest.raises(ExportError, match="one of them"):
        to_litert(model, tmp_path / "model.tflite", quantize="int8", io="int8", uint8_input=True)


def test_data_sets_of_pairs_and_of_prepared_images_are_taken(model, pixels):
    from keras_vision.export.calibration import as_pixels, calibration_images

    prepared = model.preprocessing.normalize(pixels)
    data = tf.data.Dataset.from_tensor_slices((prepared, np.zeros(40))).batch(16)
    found = calibration_images(data, model, most=20)
    assert len(found) == 20
    np.testing.assert_array_equal(np.concatenate(found), prepared[:20])
    back = np.concatenate(list(as_pixels(found, model.preprocessing, corner=False)))
    np.testing.assert_allclose(back, pixels[:20], atol=1e-3)


def test_too_little_agreement_leaves_no_file(model, pixels, tmp_path):
    reference = np.eye(3)[[0, 1, 2, 0]]
    with pytest.raises(ExportError, match=r"75\.0% of 4 images, less than 98\.0%"):
        compare_quantized([reference], [np.eye(3)[[0, 1, 2, 1]]], model.card, "x", 0.98)
    with pytest.raises(ExportError, match="nothing was written"):
        to_litert(model, tmp_path / "model.tflite", quantize="float16", representative=pixels, agreement=1.01)
    assert list(tmp_path.iterdir()) == []


def with_top(base, layer):
    return VisionModel(base.input, layer(base.output)).with_card(base.card)


@keras.saving.register_keras_serializable("tests")
class Special(keras.layers.Layer):
    """An operation that LiteRT has no builtin for: Erfinv has no Flex operation either, Cumprod has one."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(1 + 0.5 * x)


def test_an_operation_that_litert_lacks_is_named(model, tmp_path):
    net = with_top(model, Special(tf.math.erfinv))
    with pytest.raises(ExportError, match=r"uses Erfinv, which LiteRT lacks; .* flex=True"):
        to_litert(net, tmp_path / "model.tflite")
    with pytest.raises(ExportError, match="uses Erfinv, which LiteRT and its Flex delegate lack"):
        to_litert(net, tmp_path / "model.tflite", flex=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_flex_operations_that_cannot_be_run_here_is_not_kept(model, tmp_path, monkeypatch):
    """TensorFlow's wheels differ in whether they hold the delegate."""
    monkeypatch.setattr(running.tf.lite, "Interpreter", Interpreter)  # which has none
    net = with_top(model, Special(lambda x: tf.math.cumprod(x, axis=-1)))
    with pytest.raises(ExportError, match="no Flex delegate here"):
        to_litert(net, tmp_path / "model.tflite", flex=True)
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_cannot_be_done_is_an_error_here(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    code = child._ask(dict(folder=str(folder), quantize=None, takes="", gives="", flex=False, crash=True))
    assert code == 1  # no such option, no such model: an error of Python
    assert "crash" in (folder / conversion.MESSAGES).read_text()
    assert "signal 11" in child._explanation("a", "int8", False, -11, "")


def test_a_file_that_litert_aborts_over_ends_only_the_child(model, tmp_path):
    """A sum whose range is that of float32 itself has no multiplier that int8 can hold."""
    inputs = keras.Input((48, 64, 3))
    x = keras.layers.Conv2D(2, 3)(inputs)
    far = keras.ops.pad(x, [(0, 0), (0, 2), (0, 2), (0, 0)], constant_values=-3e38)
    x = keras.layers.Add()([keras.layers.MaxPooling2D(3, 1)(far), x])
    net = VisionModel(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(x))).with_card(model.card)
    images = np.random.default_rng(0).normal(size=(3, 48, 64, 3)).astype(np.float32)
    with pytest.raises(ExportError, match=r"LiteRT crashed when it opened .* as int8: Aborted"):
        to_litert(net, tmp_path / "model.tflite", quantize="int8", representative=images, agreement=0.0)
    assert list(tmp_path.iterdir()) == []


def test_poolings_of_negative_cells_quantise(tmp_path):
    """The residual attention network pools sums, whose overhang must not widen their range."""
    net = kv.create_model("ResidualAttention56CIFAR", weights=None)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    to_litert(net, tmp_path / "model.tflite", quantize="int8", representative=images, agreement=0.0)
    interpreter = Interpreter(model_path=str(tmp_path / "model.tflite"))
    assert max(max(t["quantization_parameters"]["scales"], default=0) for t in interpreter.get_tensor_details()) < 1e3


def test_a_converter_that_cannot_even_start_says_why(model, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'libtensorflow is too old' >&2\nexit 3\n")
    program.chmod(0o755)
    child._end()
    monkeypatch.setattr(child.sys, "executable", str(program))
    with pytest.raises(ExportError, match="does not convert to LiteRT as float32: libtensorflow is too old"):
        to_litert(model, tmp_path / "model.tflite")
    child._end()


def test_a_recurrent_network_as_int8_is_one_clear_error(model, tmp_path):
    inputs = keras.Input((48, 64, 3))
    x = keras.layers.Reshape((48, 192))(inputs)
    net = VisionModel(inputs, keras.layers.Dense(3, "softmax")(keras.layers.LSTM(4)(x))).with_card(model.card)
    images = np.random.default_rng(0).normal(size=(3, 48, 64, 3)).astype(np.float32)
    with pytest.raises(ExportError, match=r"the converter crashed|does not convert"):
        to_litert(net, tmp_path / "model.tflite", quantize="int8", representative=images, agreement=0.3)
    assert list(tmp_path.iterdir()) == []
    to_litert(net, tmp_path / "float.tflite")  # in the same process, which goes on


def test_mlperfs_int8_file_runs_as_its_float_file(shared):
    """Files of another project, made by other code: images from all over the colour space."""
    spec = kv.Preprocessing((32, 32), None)
    images = sample_pixels(spec, images=20)
    exact, rounded = (
        Predictor(shared / f"weights/mlperf_tiny_resnet8_{form}.tflite", preprocessing=spec).predict(images)
        for form in ("float", "int8")
    )
    assert (exact.argmax(1) == rounded.argmax(1)).mean() >= 0.9
    np.testing.assert_allclose(rounded.sum(1), 1, atol=0.02)
