"""The fully-connected CRF after a trained network, on labelled photographs."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_vision.data import SegmentedImages
from keras_vision.evaluation import segmentation_scores
from keras_vision.ops import Bilateral, Gaussian, dense_crf
from keras_vision.runtime import DensePredictor, Preprocessing

KERNELS = Bilateral(weight=5, theta_alpha=50, theta_beta=3), Gaussian(weight=3, theta_gamma=3)  # DeepLab's first ones


@pytest.fixture(scope="module")
def photographs(shared):
    folder = shared / "data/voc_samples"
    sources = sorted((folder / "JPEGImages").glob("*.jpg"))
    masks = [folder / "SegmentationClass" / f"{source.stem}.png" for source in sources]
    return SegmentedImages(sources, masks, tuple((folder / "class_names.txt").read_text().split()))


def test_it_raises_the_scores_of_a_network_trained_on_voc(shared, photographs):
    """DeepLab v3 on MobileNet v2, which takes photographs squashed to 257 x 257."""
    normalization = Preprocessing((257, 257), None, "RGB", (127.5,) * 3, (127.5,) * 3)
    file = shared / "weights/deeplabv3_mobilenetv2_voc_float.tflite"
    network = DensePredictor(file, preprocessing=normalization, output="logit")
    maps = {"alone": [], "refined": []}
    for source in photographs.sources:
        pixels = np.asarray(Image.open(source))
        probabilities = network.predict(Image.fromarray(pixels).resize((257, 257)))
        probabilities = np.asarray(keras.ops.image.resize(probabilities, pixels.shape[:2]))
        marginals = dense_crf(probabilities[None], pixels[None], kernels=KERNELS, from_probabilities=True)
        maps["alone"].append(probabilities.argmax(-1))
        maps["refined"].append(np.asarray(marginals)[0].argmax(-1))
    alone, refined = (segmentation_scores(photographs, found) for found in maps.values())
    assert refined.pixel_accuracy >= alone.pixel_accuracy + 0.005
    assert refined.mean_iu >= alone.mean_iu + 0.005
