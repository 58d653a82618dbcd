"""Exported networks of maps on images of any size, against Keras; without TensorFlow; on what is not theirs."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from dense_networks import dense_network, expected_probabilities
from PIL import Image

import keras_vision as kv
from keras_vision.data import SegmentedImages, read_mask
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation import SegmentationScores, confusion_matrix, segmentation_scores
from keras_vision.export import to_litert
from keras_vision.runtime import DensePredictor, Preprocessing
from keras_vision.runtime.dense import probabilities


def pixels(height, width, channels=3, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, channels))
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Each network, and its file."""
    folder = tmp_path_factory.mktemp("dense")
    made = {}
    for name, options in {
        "classes": dict(strided=True),
        "edges": dict(maps=1),
        "probability": dict(output="probability"),
        "fixed": dict(size=(64, 96)),
        "grey": dict(channels=1, strided=True),
    }.items():
        model = dense_network(**options)
        to_litert(model, folder / f"{name}.tflite")
        made[name] = (model, folder / f"{name}.tflite")
    return made


@pytest.mark.parametrize("name", ["classes", "edges", "probability", "grey"])
def test_any_size_gives_what_keras_gives(exported, name):
    model, path = exported[name]
    predictor = DensePredictor(path, threads=1)
    assert (predictor.task, predictor.size) == ("edges" if name == "edges" else "segmentation", None)
    assert predictor.labels == model.labels
    for size in ((64, 96), (33, 70), (96, 64), (1, 1), (5, 130)):
        image = pixels(*size, channels=model.preprocessing.channels)
        found, expected = predictor.predict(image), expected_probabilities(model, image)
        assert found.shape == (*size, predictor.maps)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert predictor.predict(image.copy()).tolist() == found.tolist()


@pytest.mark.parametrize("option", ["preprocessing", "uint8_input"])
def test_files_that_normalise_in_their_graph(tmp_path, option):
    model = dense_network(strided=True)
    assert to_litert(model, tmp_path / "model.tflite", **{option: True}).max_difference < 1e-3
    image = pixels(50, 61)
    found = DensePredictor(tmp_path / "model.tflite").predict(image)
    np.testing.assert_allclose(found, expected_probabilities(model, image), atol=1e-4)


def test_tiles_are_the_whole_image_where_the_network_sees_little(exported):
    model, path = exported["edges"]  # sees 5 pixels to each side; tiles of 128 leave out 16
    image = pixels(150, 200)
    found = DensePredictor(path).predict(image, tile=128)
    assert np.abs(found - expected_probabilities(model, image)).max() < 1e-4


def test_a_fixed_size_is_the_tile(exported):
    model, path = exported["fixed"]
    predictor = DensePredictor(path)
    assert predictor.size == (64, 96)
    exact = pixels(64, 96)
    np.testing.assert_allclose(predictor.predict(exact), expected_probabilities(model, exact), atol=1e-4)
    for size in ((100, 200), (20, 30), (1, 1)):
        assert predictor.predict(pixels(*size)).shape == (*size, 4)


def test_a_shorter_side_for_the_network_and_maps_of_the_image(exported):
    model, path = exported["classes"]
    image = Image.fromarray(pixels(100, 160))
    found = DensePredictor(path).predict(image, shorter=50)
    small = np.asarray(image.resize((80, 50), Image.Resampling.BILINEAR))
    whole = expected_probabilities(model, small)
    assert found.shape == (100, 160, 4)
    resized = keras.ops.convert_to_numpy(keras.ops.image.resize(whole, (100, 160), "bilinear"))
    np.testing.assert_allclose(found, resized, atol=1e-4)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_probabilities_of_extreme_logits():
    one = probabilities(np.array([[[-1e4], [0.0], [1e4]]], np.float32), "logit")
    assert one.ravel().tolist() == [0, 0.5, 1]
    two = probabilities(np.array([[[1e4, 0.0]]], np.float32), "logit")
    assert two.ravel().tolist() == [1, 0]


# Of ../shared/weights/README.md, there computed by another program: at 257 x 257, void left out.
PUBLISHED = {"2011_000003": 0.941, "2011_000006": 0.799, "2011_000025": 0.871}


def test_a_trained_deeplab_v3_on_photographs(shared):
    spec = Preprocessing((257, 257), None, "RGB", (127.5,) * 3, (127.5,) * 3)
    path = shared / "weights/deeplabv3_mobilenetv2_voc_float.tflite"
    predictor = DensePredictor(path, preprocessing=spec, output="logit")
    folder = shared / "data/voc_samples"
    sources = [folder / f"JPEGImages/{name}.jpg" for name in PUBLISHED]
    masks = [read_mask(folder / f"SegmentationClass/{name}.png") for name in PUBLISHED]
    for source, mask, published in zip(sources, masks, PUBLISHED.values(), strict=True):
        with Image.open(source) as image:
            found = predictor.run(spec(image)[None]).argmax(-1)[0]
        small = np.asarray(Image.fromarray(mask).resize((257, 257), Image.Resampling.NEAREST))
        scores = SegmentationScores(confusion_matrix(small, found, 21))
        assert scores.pixel_accuracy == pytest.approx(published, abs=0.003)
    data = SegmentedImages(sources, masks, tuple(map(str, range(21))))
    tiled = segmentation_scores(data, (predictor.predict(source).argmax(-1) for source in sources))
    assert tiled.pixel_accuracy > 0.83  # of 500-pixel photographs in tiles of 257; measured: 0.859


def test_runs_without_tensorflow_or_keras(exported):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; import numpy as np;"
        "from keras_vision.runtime import DensePredictor;"
        "print(DensePredictor(sys.argv[1]).predict(np.zeros((70, 130, 3), np.uint8), tile=64).shape)"
    )
    command = [sys.executable, "-c", code, exported["classes"][1]]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "(70, 130, 4)"


def test_what_is_not_a_network_of_maps(exported, tmp_path):
    (tmp_path / "text.tflite").write_text("hello")
    for name in ("none", "text"):
        with pytest.raises(KerasVisionError, match=r"no such file|does not say how"):
            DensePredictor(tmp_path / f"{name}.tflite")
    classifier = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3)
    to_litert(classifier, tmp_path / "classifier.tflite")
    with pytest.raises(KerasVisionError, match=r"takes \(1, 48, 48, 3\) and gives \[\(1, 3\)\]; a network of maps"):
        DensePredictor(tmp_path / "classifier.tflite")
    with pytest.raises(KerasVisionError, match="2 labels for the 4 maps"):
        DensePredictor(exported["classes"][1], labels=["a", "b"])
    with pytest.raises(ImageError, match="the file is empty"):
        DensePredictor(exported["classes"][1]).predict(b"")
