"""A small network with random weights, and a folder of images, some of them unreadable."""

import numpy as np
import pytest
from PIL import Image

import keras_vision as kv
from keras_vision.analytics import ImageEmbedder

NAMES = ["a/ö 1.png", "a/same.jpg", "b/same.jpg", "b/<img src=x onerror=alert(1)>.png", "top.png"]


@pytest.fixture(scope="module")
def model(randomize):
    """A classifier of five classes."""
    return randomize(kv.applications.SqueezeNetV1_1(weights=None, classes=5, input_shape=(48, 48, 3)))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    """The network of features as a LiteRT file."""
    path = tmp_path_factory.mktemp("features") / "features.tflite"
    ImageEmbedder(model).export(path)
    return path


@pytest.fixture
def photographs(tmp_path):
    """A folder of five images, three files that cannot be read, and two that are not listed."""
    folder = tmp_path / "photographs"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((72, 54)).save(folder / name)
    (folder / "b" / "damaged.jpg").write_bytes((folder / "b" / "same.jpg").read_bytes()[:200])
    (folder / "b" / "empty.png").write_bytes(b"")
    (folder / "b" / "text.gif").write_text("no image")
    (folder / "notes.txt").write_text("not listed")
    (folder / ".hidden.png").write_bytes(b"not listed")
    return folder


@pytest.fixture
def paths(photographs):
    """Those of the folder's images that can be read."""
    return [photographs / name for name in NAMES]
