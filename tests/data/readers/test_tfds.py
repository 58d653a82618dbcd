"""Data sets prepared by TensorFlow Datasets itself, against what it reads from them."""

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import Pipeline, from_tfds
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing

COUNT, NAMES = 23, ["bee", "wasp", "fly"]


@pytest.fixture(scope="module")
def tfds():
    return pytest.importorskip("tensorflow_datasets")


def encoded(number):
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((40 + number, 30), 3)
    buffer = io.BytesIO()
    coarse.save(buffer, "PNG" if number % 4 == 0 else "JPEG", quality=95)
    return buffer.getvalue()


def prepared(tfds, folder, form="tfrecord"):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=NAMES), "number": np.int64}
    )

    def rows(numbers):
        for number in numbers:
            yield number, {"image": io.BytesIO(encoded(number)), "label": number % 3, "number": number}

    builder = tfds.dataset_builders.AdhocBuilder(
        name="insects", version="1.0.0", features=features, data_dir=folder, file_format=form,
        split_datasets={"train": rows(range(COUNT)), "test": rows(range(COUNT, COUNT + 4))},
    )  # fmt: skip
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def builder(tfds, tmp_path_factory):
    return prepared(tfds, tmp_path_factory.mktemp("tfds"))


@pytest.mark.parametrize("split", ["train", "test", "train[5:11]", "train[50%:]", "train+test"])
def test_images_and_classes_are_theirs_in_their_order(tfds, builder, split):
    found = from_tfds(builder.data_dir, split)
    one_by_one = tfds.ReadConfig(interleave_cycle_length=1)
    expected = [*builder.as_dataset(split, read_config=one_by_one).as_numpy_iterator()]
    assert len(found) == len(expected) > 3
    assert found.class_names == tuple(NAMES)
    assert found.labels.tolist() == [row["label"] for row in expected]
    for source, row in zip(found.sources, expected, strict=True):
        assert source == encoded(int(row["number"]))  # never decoded and encoded again
        np.testing.assert_array_equal(tf.io.decode_image(source, channels=3), row["image"])


def test_by_name_and_through_a_pipeline(builder):
    found = from_tfds("insects:1.0.0", "train", data_dir=builder.data_path.parent.parent)
    pipeline = Pipeline(found, Preprocessing((16, 16), None), 5)
    labels = np.concatenate([batch[1] for batch in pipeline.epoch(0)])
    assert labels.tolist() == found.labels.tolist()
    assert not pipeline.skipped


@pytest.mark.parametrize(("options", "message"), [
    (dict(split="validation"), "split='validation'; .* has train, test"),
    (dict(split="train", image="picture"), "image='picture' is no feature of 8-bit images; .*'number'"),
    (dict(split="train", image="number"), "image='number' is no feature of 8-bit images"),
    (dict(split="train", label="number"), "label='number' is no feature of one class"),
])  # fmt: skip
def test_what_is_not_there_is_one_error(builder, options, message):
    with pytest.raises(KerasVisionError, match=message):
        from_tfds(builder.data_dir, **options)


def test_a_missing_data_set_is_one_error_and_nothing_is_loaded(tfds, tmp_path):
    with pytest.raises(KerasVisionError, match="no_such_insects: neither the folder"):
        from_tfds("no_such_insects", "train", data_dir=tmp_path)
    with pytest.raises(KerasVisionError, match=r"mnist: not prepared in .*download=True"):
        from_tfds("mnist", "train", data_dir=tmp_path)
    assert not [*tmp_path.rglob("*.*")]


def test_a_cut_off_file_is_one_error(tfds, tmp_path):
    builder = prepared(tfds, tmp_path)
    (file,) = builder.data_path.glob("*train*tfrecord*")
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(KerasVisionError, match="damaged or cut off at byte"):
        from_tfds(builder.data_dir, "train")


def test_without_the_library_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(KerasVisionError, match=r"pip install keras-vision\[tfds\]"):
        from_tfds(tmp_path, "train")
