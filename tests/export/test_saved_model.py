"""SavedModel: signatures, assets, and a process that has TensorFlow but not this package."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.export import to_saved_model

PLAIN_TENSORFLOW = """
import sys
sys.modules["keras_vision"] = sys.modules["keras"] = None  # importing either now fails
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
image = np.load(sys.argv[2])
encoded = tf.constant([open(sys.argv[3], "rb").read()])
np.savez(sys.argv[4], serve=model.signatures["serve"](image=tf.constant(image))["probability"],
         serve_bytes=model.signatures["serve_bytes"](image_bytes=encoded)["probability"])
"""


@pytest.fixture(scope="module")
def model(randomize):
    net = randomize(kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3))
    net.labels = ["ant", "bee", "cat"]
    return net


def test_loads_without_this_package_and_gives_the_same(model, tmp_path):
    to_saved_model(model, tmp_path / "saved")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
    (tmp_path / "image.png").write_bytes(tf.io.encode_png(pixels[0]).numpy())
    spec = model.preprocessing
    prepared = spec(kv.runtime.open_image(tmp_path / "image.png"))[None]
    np.save(tmp_path / "image.npy", prepared)
    paths = [str(tmp_path / name) for name in ("saved", "image.npy", "image.png", "out.npz")]
    subprocess.run([sys.executable, "-c", PLAIN_TENSORFLOW, *paths], check=True, timeout=300)
    expected = model.predict(prepared, verbose=0)
    got = np.load(tmp_path / "out.npz")
    assert np.abs(got["serve"] - expected).max() <= 1e-4 * np.ptp(expected)
    # TensorFlow's resize rounds a few pixels to the neighbouring grey level
    assert np.abs(got["serve_bytes"] - expected).max() <= 1e-2 * np.ptp(expected)


def test_labels_and_card_are_assets(model, tmp_path):
    to_saved_model(model, tmp_path / "saved")
    assert (tmp_path / "saved/assets/labels.txt").read_text().split() == ["ant", "bee", "cat"]
    assert json.loads((tmp_path / "saved/assets/card.json").read_text())["name"] == "SqueezeNetV1_1"


def test_existing_folder_is_kept_unless_told(model, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/mine").write_text("mine")
    with pytest.raises(KerasVisionError, match="left alone"):
        to_saved_model(model, tmp_path / "saved", overwrite=True)  # a folder of photographs, say
    assert (tmp_path / "saved/mine").exists()
    (tmp_path / "saved/saved_model.pb").write_text("an older one")
    with pytest.raises(KerasVisionError, match="exists already"):
        to_saved_model(model, tmp_path / "saved")
    to_saved_model(model, tmp_path / "saved", overwrite=True)
    assert not (tmp_path / "saved/mine").exists()
    assert os.listdir(tmp_path) == ["saved"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KerasVisionError, match="cannot be written"):
        to_saved_model(model, tmp_path / "file" / "saved")


@pytest.mark.parametrize("shape", [(48, 48, 5), (48, 48, 1), (None, None, 3)])
def test_other_channels_and_open_sizes_export_what_fits(shape, tmp_path, randomize):
    options = dict(weights=None, input_shape=shape, include_top=False, pooling="avg")
    net = randomize(kv.create_model("SqueezeNetV1_1", **options))
    to_saved_model(net, tmp_path / "saved")
    signatures = tf.saved_model.load(str(tmp_path / "saved")).signatures
    assert ("serve_bytes" in signatures) == (shape == (48, 48, 1))
    if None not in shape:
        assert kv.export.to_litert(net, tmp_path / "model.tflite", preprocessing=True).images == 4
