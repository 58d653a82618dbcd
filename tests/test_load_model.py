"""Models out of files, in a process that has not built any."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError

LOADS = """
import numpy as np, sys
import keras_vision as kv
model = kv.load_model(sys.argv[1])
assert model.labels == ("cat", "dog") and model.card.name == "CaffeNet", (model.labels, model.card)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def test_another_process_loads_what_this_one_saved(tmp_path):
    """CaffeNet has a layer of the package, local response normalisation."""
    model = kv.create_model("CaffeNet", weights=None, classes=2, input_shape=(67, 67, 3))
    model.labels = ["cat", "dog"]
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(0, 50, (2, 67, 67, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    arguments = [tmp_path / name for name in ("model.keras", "images.npy", "found.npy")]
    done = subprocess.run([sys.executable, "-c", LOADS, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), model.predict(images, verbose=0), atol=1e-6)


def test_compiled_or_not(tmp_path):
    model = kv.create_model("BaseCNNA", weights=None)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.keras")
    assert not kv.load_model(tmp_path / "model.keras").compiled
    assert kv.load_model(tmp_path / "model.keras", compile=True).loss == "sparse_categorical_crossentropy"


def test_other_files_are_one_clear_error(tmp_path):
    image = keras.Input((8,))
    keras.Model(image, keras.layers.Dense(2)(image)).save(tmp_path / "plain.keras")
    (tmp_path / "text.keras").write_text("hello")
    for name, says in {"plain": "not made by keras_vision", "text": "damaged", "none": "no such file"}.items():
        with pytest.raises(KerasVisionError, match=says):
            kv.load_model(tmp_path / f"{name}.keras")
