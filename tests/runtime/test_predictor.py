"""The runtime on files that are not what it needs; its agreement with Keras is tested with the export."""

import subprocess
import sys

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.runtime import Predictor, Preprocessing
from keras_vision.runtime.predictor import top_predictions


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("runtime") / "model.tflite"
    net = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(48, 48, 3), classes=3)
    net.labels = ["ant", "bee", "cat"]
    kv.export.to_litert(net, file, uint8_input=True)
    return file


def test_runs_without_tensorflow_or_keras(path):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; import numpy as np;"
        "from keras_vision.runtime import Predictor;"
        "print(len(Predictor(sys.argv[1]).classify(np.zeros((60, 80, 3), np.uint8))))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "3"


def test_top_predictions_are_ranked_and_named():
    found = top_predictions(np.array([0.2, 0.5, 0.3]), ["ant", "bee", "cat"], top=2)
    assert [(p.label, p.index, p.probability) for p in found] == [("bee", 1, 0.5), ("cat", 2, 0.3)]
    assert [p.label for p in top_predictions(np.array([0.2, 0.8]), None)] == ["1", "0"]


def test_batches_and_single_images_agree(path):
    predictor = Predictor(path)
    images = list(np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8))
    rows = predictor.predict(images)
    assert rows.shape == (3, 3)
    for image, row in zip(images, rows, strict=True):
        assert [p.probability for p in predictor.classify(image)] == sorted(row, reverse=True)
    assert predictor.predict([]).shape == (0, 3)


def test_missing_empty_text_and_truncated_files_are_one_clear_error(path, tmp_path):
    with pytest.raises(KerasVisionError, match="no such file"):
        Predictor(tmp_path / "none.tflite")
    for name, content in {"empty": b"", "text": b"not a model", "head": path.read_bytes()[:1000]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(KerasVisionError, match="damaged, or not a LiteRT model"):
            Predictor(tmp_path / name)


def test_a_file_without_metadata_needs_preprocessing(path, tmp_path):
    bare = path.read_bytes()
    bare = bare[: bare.index(b"PK\x03\x04")]
    (tmp_path / "bare.tflite").write_bytes(bare)
    with pytest.raises(KerasVisionError, match="preprocessing="):
        Predictor(tmp_path / "bare.tflite")
    predictor = Predictor(tmp_path / "bare.tflite", preprocessing=Preprocessing((48, 48), 54))
    assert predictor.classify(np.zeros((48, 48, 3), np.uint8))[0].label.isdigit()


def test_labels_and_preprocessing_must_fit(path):
    with pytest.raises(KerasVisionError, match="2 labels for the 3 classes"):
        Predictor(path, labels=["a", "b"])
    with pytest.raises(KerasVisionError, match="takes"):
        Predictor(path, preprocessing=Preprocessing((32, 32), 40))


def test_an_unreadable_image_is_an_image_error(path, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ImageError, match=r"text\.jpg: not an image"):
        Predictor(path).classify(tmp_path / "text.jpg")


def test_many_images_run_in_threads_in_their_order(path):
    images = list(np.random.default_rng(0).integers(0, 256, (45, 60, 60, 3), dtype=np.uint8))
    alone, several = (Predictor(path, threads=threads).predict(iter(images)) for threads in (1, 3))
    np.testing.assert_allclose(several, alone, atol=1e-6)
    with pytest.raises(ImageError, match="not an image"):
        Predictor(path, threads=3).predict([*images, b"hello"])


def test_a_file_that_was_changed_is_one_clear_error(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # a weight: nothing else would notice
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(KerasVisionError, match="changed since it was exported"):
        Predictor(tmp_path / "model.tflite")
