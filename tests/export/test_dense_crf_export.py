"""Networks that end in a CRF: files hold its reference, and load without this package."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import keras_vision as kv
from keras_vision.export.portable import portable
from keras_vision.model import VisionModel

SIZE = (48, 64)
PLAIN_TENSORFLOW = """
import sys
sys.modules["keras_vision"] = sys.modules["keras"] = None  # importing either now fails
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[3], model.signatures["serve"](image=tf.constant(np.load(sys.argv[2])))["features"])
"""


@pytest.fixture(scope="module")
def model(randomize):
    """A segmentation network of one convolution over SqueezeNet's first maps, and a CRF with weights of its own."""
    trunk = kv.create_model("SqueezeNetV1_1", weights=None, include_top=False, input_shape=(*SIZE, 3))
    x = keras.layers.Conv2D(3, 1, name="score")(trunk.get_layer("conv1").output)
    logits = keras.layers.Resizing(*SIZE, name="upsampled")(x)
    network = randomize(VisionModel(trunk.input, logits, card=trunk.card))
    score = network.get_layer("score")  # for logits of a few units, among which the CRF has something to decide
    score.set_weights([0.02 * np.asarray(score.kernel), 0 * np.asarray(score.bias)])
    crf = kv.layers.DenseCRF(compatibility=kv.ops.Potts().matrix(3), iterations=5, name="crf")
    model = VisionModel(network.inputs, crf([network.outputs[0], network.inputs[0]]), card=trunk.card)
    crf.kernel_weights.assign([4.0, 2.0])
    return model


@pytest.fixture(scope="module")
def photograph(shared, model):
    pixels = Image.open(shared / "data" / "crf_examples" / "im1.png").convert("RGB").resize(SIZE[::-1])
    return model.preprocessing.normalize(np.asarray(pixels)[None])


def test_the_reference_stands_in_for_the_operation(model, photograph):
    copy = portable(model)
    assert copy.get_layer("crf").impl == "reference"
    assert copy.card == model.card
    assert portable(copy) is copy
    ours, theirs = np.asarray(model(photograph)), np.asarray(copy(photograph))
    assert np.mean(theirs.max(-1) < 0.9) > 0.02  # a decision that is not trivial
    assert np.mean(ours.argmax(-1) == theirs.argmax(-1)) >= 0.99


def test_a_model_without_a_crf_is_left_alone(randomize):
    plain = kv.create_model("SqueezeNetV1_1", weights=None, include_top=False, input_shape=(48, 48, 3))
    assert portable(plain) is plain


def test_a_saved_model_loads_without_this_package(model, photograph, tmp_path):
    checked = kv.export.to_saved_model(model, tmp_path / "saved")
    assert checked.max_difference <= 1e-4
    np.save(tmp_path / "image.npy", photograph)
    paths = [str(tmp_path / name) for name in ("saved", "image.npy", "out.npy")]
    subprocess.run([sys.executable, "-c", PLAIN_TENSORFLOW, *paths], check=True, timeout=300)
    expected = np.asarray(portable(model)(photograph))
    assert np.abs(np.load(tmp_path / "out.npy") - expected).max() <= 1e-4


def test_a_litert_file_gives_the_same(model, photograph, tmp_path):
    kv.export.to_litert(model, tmp_path / "model.tflite")
    run = Interpreter(model_path=str(tmp_path / "model.tflite")).get_signature_runner()
    got = run(image=np.asarray(photograph, np.float32))["features"]
    assert np.abs(got - np.asarray(portable(model)(photograph))).max() <= 1e-4


def test_the_operation_itself_stays_in_a_keras_file(model, photograph, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("crf").impl == "auto"
    np.testing.assert_allclose(loaded(photograph), model(photograph), atol=1e-6)
    assert isinstance(loaded(tf.constant(photograph)), tf.Tensor)


def test_a_compiled_model_exports_whatever_its_loss(model, photograph, tmp_path):
    """A loss of the user's own cannot be rebuilt from its configuration, and is not needed."""
    model.compile("adam", loss=lambda truth, marginals: keras.ops.mean(marginals))
    try:
        kv.export.to_saved_model(model, tmp_path / "saved")
    finally:
        model.compiled = False
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


class Refiner(keras.layers.Layer):
    """Hides a CRF."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.crf = kv.layers.DenseCRF(iterations=1)

    def build(self, shapes):
        self.crf.build(shapes)
        self.built = True

    def call(self, inputs):
        return self.crf(inputs)

    def compute_output_shape(self, shapes):
        return tuple(shapes[0])


def test_a_crf_inside_another_layer_is_refused(model, tmp_path):
    logits = model.get_layer("upsampled").output
    hidden = VisionModel(model.inputs, Refiner(name="refiner")([logits, model.inputs[0]]), card=model.card)
    with pytest.raises(kv.errors.ExportError, match="inside a layer of another class"):
        kv.export.to_saved_model(hidden, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
