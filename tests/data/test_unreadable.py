"""Images that cannot be read in the middle of a data set: the rest of it goes on, and they are named."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import LabelledImages, Pipeline, SegmentedImages
from keras_vision.data.augment.window import Augmentation, Window
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.runtime import Preprocessing

SPEC = Preprocessing((8, 8), None)
COUNT = 40
BAD = {7: "missing", 8: "half", 22: "empty", 39: "text"}


def whole(source, target, seed):
    return Window(tf.zeros(2), tf.cast(source, tf.float32), tf.constant(False))


@pytest.fixture
def images(tmp_path):
    """Image i is all of the grey i, but for four that cannot be read."""
    paths = [tmp_path / f"{number}.jpg" for number in range(COUNT)]
    for number, path in enumerate(paths):
        Image.new("L", (40, 40), number).save(path, quality=100)
    content = paths[8].read_bytes()
    paths[7].unlink()
    paths[8].write_bytes(content[: len(content) // 2])
    paths[22].write_bytes(b"")
    paths[39].write_text("no image")
    return LabelledImages(paths, np.arange(COUNT), tuple(map(str, range(COUNT))))


def epoch(pipeline, start=0):
    with pytest.warns(KerasVisionWarning, match="left out, as they cannot be read"):
        return [(pixels.numpy(), labels.numpy()) for pixels, labels in pipeline.epoch(0, start)]


def assert_consistent(found):
    for pixels, labels in found:
        np.testing.assert_allclose(pixels[:, 0, 0, 0], labels, atol=1)
        assert not set(labels.tolist()) & set(BAD)


@pytest.mark.parametrize("augment", [None, Augmentation(whole)], ids=["as it is", "augmented"])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 40])
def test_in_training_others_take_the_place(images, batch_size, augment):
    pipeline = Pipeline(images, SPEC, batch_size, augment=augment, seed=5, tolerated=0.1)
    order = np.random.default_rng([5, 0, 0]).permutation(COUNT)
    found = epoch(pipeline)
    assert_consistent(found)
    expected = [order[i : i + batch_size] for i in range(0, COUNT, batch_size)]
    expected = [batch for batch in expected if set(batch.tolist()) - set(BAD)]  # none is left of the others
    assert [len(labels) for _, labels in found] == [len(batch) for batch in expected]
    for (_, labels), batch in zip(found, expected, strict=True):
        good = ~np.isin(batch, list(BAD))
        assert labels[good].tolist() == batch[good].tolist()
        assert set(labels.tolist()) <= set(batch.tolist())
    assert {name.rpartition("/")[2] for name in pipeline.skipped} == {f"{number}.jpg" for number in BAD}


def test_the_reasons_are_those_of_the_runtime(images):
    pipeline = Pipeline(images, SPEC, 8, tolerated=0.1)
    assert_consistent(epoch(pipeline))
    reasons = {name.rpartition("/")[2]: reason for name, reason in pipeline.skipped.items()}
    assert "no such file" in reasons["7.jpg"].lower()
    assert "damaged" in reasons["8.jpg"]
    assert reasons["22.jpg"] == "the file is empty"
    assert reasons["39.jpg"] == "not an image in a known format"


@pytest.mark.parametrize("deterministic", [True, False])
def test_in_evaluation_each_other_image_comes_once(images, deterministic):
    found = epoch(Pipeline(images, SPEC, 8, tolerated=0.1, deterministic=deterministic, parallel=4))
    assert_consistent(found)
    labels = np.concatenate([labels for _, labels in found])
    assert sorted(labels) == sorted(set(range(COUNT)) - set(BAD))
    if deterministic:
        assert [len(batch) for _, batch in found] == [7, 7, 7, 8, 7]


def test_resumption_is_exact_all_the_same(images):
    options = dict(augment=Augmentation(whole), seed=5, tolerated=0.1)
    expected = epoch(Pipeline(images, SPEC, 8, **options))
    found = [*epoch(Pipeline(images, SPEC, 8, **options), 16)]
    for (ours, mine), (pixels, labels) in zip(found, expected[2:], strict=True):
        np.testing.assert_array_equal(ours, pixels)
        np.testing.assert_array_equal(mine, labels)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.filterwarnings("ignore::keras_vision.errors.KerasVisionWarning")
def test_more_than_the_tolerated_share_is_one_error(images, deterministic):
    pipeline = Pipeline(images, SPEC, 8, tolerated=0.09, deterministic=deterministic)
    with pytest.raises(
        KerasVisionError, match=r"4 of 40 images cannot be read, more than the tolerated 9\.0%: .*jpg: "
    ):
        list(pipeline.batches(0))
    with pytest.raises(tf.errors.OpError, match="4 of 40 images cannot be read"):
        list(Pipeline(images, SPEC, 8, tolerated=0.09, deterministic=deterministic).epoch(0))


def test_masks_that_do_not_fit_are_left_out_with_their_image(images):
    sources = [np.zeros((6, 6, 3), np.uint8)] * 4
    masks = [
        np.zeros((6, 6), np.uint8),
        np.zeros((5, 6), np.uint8),
        np.full((6, 6), 9, np.uint8),
        np.ones((6, 6), np.uint8),
    ]
    pipeline = Pipeline(SegmentedImages(sources, masks, ("a", "b")), SPEC, 4, tolerated=0.5)
    ((_, found),) = epoch(pipeline)
    assert found[:, 0, 0].tolist() == [0, 1]
    assert "a mask of (5, 6) pixels for an image of (6, 6)" in pipeline.skipped["image 1"]
    assert "labels 9 at 36 pixels" in pipeline.skipped["image 2"]


def test_errors_of_an_augmentation_are_its_own(images):
    def broken(pixels, seed):
        return tf.debugging.check_numerics(pixels / 0.0, "not finite")

    pipeline = Pipeline(images, SPEC, 8, augment=Augmentation(whole, (broken,)), seed=0, tolerated=1.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        list(pipeline.batches(0))


def test_formats_that_tensorflow_does_not_read_are_named(tmp_path):
    for number in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.{('png', 'tiff')[number]}")
    pipeline = Pipeline(LabelledImages(sorted(tmp_path.iterdir()), np.arange(2), ("a", "b")), SPEC, 2, tolerated=0.5)
    epoch(pipeline)
    assert next(iter(pipeline.skipped.values())).startswith("TensorFlow: ")
