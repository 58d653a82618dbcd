"""SavedModels of networks of maps: an encoded image to maps of its size, in plain TensorFlow."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vision.zoo  # noqa: F401 - registers the classes of the files
from keras_vision.export import to_saved_model
from keras_vision.runtime import DensePredictor

FOLDER = Path(__file__).parents[2] / "savedmodels"
PLAIN_TENSORFLOW = """
import sys
sys.modules["keras_vision"] = sys.modules["keras"] = None  # importing either now fails
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
np.savez(sys.argv[4], **model.signatures[sys.argv[2]](image_bytes=tf.constant(open(sys.argv[3], "rb").read())))
"""


@pytest.mark.parametrize(("name", "signature"), [("fcn-8s-camvid", "segment"), ("hed-squeezenet-bsds", "edges")])
def test_an_encoded_image_gives_the_maps_that_the_runtime_gives(name, signature, tmp_path):
    model = keras.models.load_model(FOLDER / name / "model.keras", compile=False)
    to_saved_model(model, tmp_path / "saved")
    coarse = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize((102, 75), Image.Resampling.BICUBIC).save(tmp_path / "image.png")
    arguments = [str(tmp_path / "saved"), signature, str(tmp_path / "image.png"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", PLAIN_TENSORFLOW, *arguments], check=True, timeout=300)
    expected = DensePredictor(FOLDER / name / "model.tflite").predict(tmp_path / "image.png")
    found = np.load(tmp_path / "out.npz")
    if signature == "edges":
        np.testing.assert_allclose(found["probability"], expected[..., 0], atol=1e-4)
    else:
        np.testing.assert_allclose(found["probability"], expected, atol=1e-4)
        assert found["class"].dtype == np.int32
        assert (found["class"] == expected.argmax(-1)).mean() >= 0.999
