"""Pictures of the CRF's iterations."""

import io

import numpy as np
import pytest
from PIL import Image

import keras_vision as kv
from keras_vision.data import voc_palette
from keras_vision.errors import KerasVisionError


@pytest.fixture
def scene():
    """A disk whose scores are shifted by three pixels, and its picture."""
    y, x = np.mgrid[:40, :60]
    image = np.where((((x - 30) ** 2 + (y - 20) ** 2) < 150)[..., None], (200, 60, 40), (30, 90, 160)).astype(np.uint8)
    disk = ((x - 33) ** 2 + (y - 20) ** 2) < 150
    return np.stack([~disk, disk], -1).astype(np.float32) * 2, image


@pytest.mark.parametrize("label", [None, 1])
def test_pictures_show_the_steps(scene, label):
    logits, image = scene
    figure = kv.visualization.crf_iterations(logits, image, label=label, iterations=(1, 5))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["image", "network", "iteration 1", "iteration 5", "result"]
    shown = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], image)
    marginals = np.asarray(kv.ops.dense_crf(logits[None], image[None], iterations=5)[0])
    if label is None:
        np.testing.assert_array_equal(shown[3], voc_palette(2)[marginals.argmax(-1)])
    else:
        np.testing.assert_array_equal(shown[3], marginals[..., label])
    truth = image[..., 0] == 200
    before, after = (np.mean((step.argmax(-1) == 1) == truth) for step in (logits, marginals))
    assert after > before + 0.02  # the CRF moves the border to where the image has it
    file = io.BytesIO()
    figure.savefig(file)
    assert Image.open(file).size[0] > 600


def test_bad_input(scene):
    logits, image = scene
    with pytest.raises(KerasVisionError, match=r"takes logits \(h, w, labels\) and an image \(h, w, 3\)"):
        kv.visualization.crf_iterations(logits[None], image)
    with pytest.raises(KerasVisionError, match="label must be from 0 to 1, or None"):
        kv.visualization.crf_iterations(logits, image, label=2)
