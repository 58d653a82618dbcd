"""Epochs: order, resumption, hosts, augmentation by seed, and pixels as in the runtime."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import CaptionedImages, EdgeImages, LabelledImages, MultiLabelImages, Pipeline, SegmentedImages
from keras_vision.data.augment.window import Augmentation, Window, show
from keras_vision.data.decode import decode_image, load_pixels
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing

SPEC = Preprocessing((12, 16), 20, "BGR", (104.0, 117.0, 123.0))
PLAIN = Preprocessing((12, 16), None)
COUNT = 37


def crop(source, target, seed):
    drawn = tf.random.stateless_uniform([5], seed)
    source = tf.cast(source, tf.float32)
    extent = source * (0.4 + 0.6 * drawn[:2])
    return Window((source - extent) * drawn[2:4], extent, drawn[4] < 0.5)


def brighter(pixels, seed):
    return pixels + tf.random.stateless_uniform([], seed, 0, 50)


AUGMENT = Augmentation(crop, (brighter,))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Noise of many sizes in JPEG and PNG files, some with odd names; the label is the position."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = []
    for number in range(COUNT):
        height, width = rng.integers(20, 60, 2)
        paths.append(folder / f"蜂 {number}é.{'png' if number % 5 == 0 else 'jpg'}")
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((int(width), int(height)), 3).save(paths[-1], exif=exif, quality=95)
    return LabelledImages(paths, np.arange(COUNT), tuple(map(str, range(COUNT))))


def batches(dataset):
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def labels(found):
    return np.concatenate([batch[1] for batch in found]).tolist()


def test_in_order_the_pixels_are_those_of_load_pixels(images):
    found = batches(Pipeline(images, SPEC, 8).epoch(0))
    assert [len(batch[0]) for batch in found] == [8, 8, 8, 8, 5]
    assert labels(found) == list(range(COUNT))
    expected = [SPEC.normalize(load_pixels(tf.io.read_file(str(p)), SPEC).numpy()) for p in images.sources]
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in found]), expected)


def test_each_epoch_has_each_image_once_in_its_own_order(images):
    pipeline = Pipeline(images, PLAIN, 8, augment=AUGMENT, seed=3)
    first, second = (labels(batches(pipeline.epoch(number))) for number in (0, 1))
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert labels(batches(Pipeline(images, PLAIN, 8, seed=4).epoch(0))) != first


@pytest.mark.parametrize("start", [0, 8, 24, 32, COUNT])
def test_resumed_in_the_middle_the_batches_are_the_same_bit_for_bit(images, start):
    whole = batches(Pipeline(images, SPEC, 8, augment=AUGMENT, seed=3).epoch(2))
    resumed = batches(Pipeline(images, SPEC, 8, augment=AUGMENT, seed=3, parallel=1).epoch(2, start))
    assert_same(resumed, whole[-(-start // 8) :])


def test_neither_threads_nor_caches_nor_hosts_change_an_image(images, tmp_path):
    whole = batches(Pipeline(images, SPEC, COUNT, augment=AUGMENT, seed=3, parallel=1).epoch(2))
    for options in dict(parallel=16), dict(cache="memory"), dict(cache=tmp_path), dict(cache=tmp_path):
        assert_same(batches(Pipeline(images, SPEC, COUNT, augment=AUGMENT, seed=3, **options).epoch(2)), whole)
    assert len(list(tmp_path.iterdir())) == COUNT
    by_label = dict(zip(whole[0][1].tolist(), whole[0][0], strict=True))
    for index in range(2):
        ((pixels, found),) = batches(Pipeline(images, SPEC, 18, augment=AUGMENT, seed=3, shard=(index, 2)).epoch(2))
        np.testing.assert_array_equal(pixels, [by_label[label] for label in found.tolist()])


def test_hosts_share_an_epoch(images):
    parts = [labels(batches(Pipeline(images, PLAIN, 4, seed=3, shard=(i, 3)).epoch(0))) for i in range(3)]
    assert [len(part) for part in parts] == [12, 12, 12]  # equally many, so one of 37 is left out
    assert len({*parts[0], *parts[1], *parts[2]}) == 36
    assert parts[0][0] == labels(batches(Pipeline(images, PLAIN, 4, seed=3).epoch(0)))[0]
    parts = [labels(batches(Pipeline(images, PLAIN, 4, shard=(i, 3)).epoch(0))) for i in range(3)]
    assert sorted([*parts[0], *parts[1], *parts[2]]) == list(range(COUNT))  # in evaluation none is
    assert [Pipeline(images, PLAIN, 4, shard=(i, 3)).steps for i in range(3)] == [4, 3, 3]


def test_epochs_follow_each_other_for_fit(images):
    pipeline = Pipeline(images, PLAIN, 8, augment=AUGMENT, seed=3, drop_remainder=True)
    assert pipeline.steps == 4
    expected = [batch for number in (1, 2) for batch in batches(pipeline.epoch(number))]
    assert_same(batches(pipeline.dataset(1, epochs=2)), expected)
    assert_same(batches(pipeline.dataset(1, 16).take(6)), expected[2:])


def test_any_order_still_has_each_image_once(images):
    pipeline = Pipeline(images, PLAIN, 8, augment=AUGMENT, seed=3, deterministic=False, parallel=8)
    assert sorted(labels(batches(pipeline.epoch(0)))) == list(range(COUNT))


def test_augmentation_is_the_same_eagerly_and_can_be_computed_by_hand(images):
    pipeline = Pipeline(images, PLAIN, COUNT, augment=AUGMENT, seed=3)
    ((pixels, found),) = batches(pipeline.epoch(0))
    seeds = np.random.default_rng([3, 0, 1]).integers(2**31, size=(COUNT, 2), dtype=np.int32)
    for place in range(0, COUNT, 5):
        whole = decode_image(tf.io.read_file(str(images.sources[found[place]])))
        geometry_seed, change_seed = tf.random.experimental.stateless_split(seeds[place], 2)
        shown = brighter(show(whole, crop(tf.shape(whole)[:2], (12, 16), geometry_seed), (12, 16)), change_seed)
        np.testing.assert_allclose(pixels[place], shown, atol=0.01)


def test_whole_batches_are_changed_before_they_are_normalised(images):
    def swap(pixels, targets, seed):
        return pixels[::-1] + tf.cast(seed[0] % 7, tf.float32), targets[::-1]

    plain = batches(Pipeline(images, SPEC, 8, seed=3).epoch(0))
    swapped = batches(Pipeline(images, SPEC, 8, seed=3, batch_augment=swap).epoch(0))
    for (ours, mine), (pixels, theirs) in zip(swapped, plain, strict=True):
        assert mine.tolist() == theirs.tolist()[::-1]
        added = (ours - pixels[::-1]).mean()
        np.testing.assert_allclose(ours - pixels[::-1], added, atol=1e-4)
        assert added == pytest.approx(round(float(added)), abs=1e-4)
    assert_same(batches(Pipeline(images, SPEC, 8, seed=3, batch_augment=swap).epoch(0, 16)), swapped[2:])


@pytest.mark.parametrize("color", ["RGB", "L"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
@pytest.mark.parametrize("varied", [False, True])
def test_arrays(color, shape, varied):
    rng, channels = np.random.default_rng(0), 3 if color == "RGB" else 1
    arrays = [rng.integers(0, 256, (shape[0] + varied * i, *shape[1:]), dtype=np.uint8) for i in range(5)]
    spec = Preprocessing((10, 10), 12, color, (0.0,) * channels, (1.0,) * channels)
    data = LabelledImages(arrays, np.arange(5), tuple("abcde"))
    ((pixels, _),) = batches(Pipeline(data, spec, 5).epoch(0))
    expected = [spec.pixels(Image.fromarray(array)) for array in arrays]
    assert np.abs(pixels - np.array(expected, np.float32)).max() <= 1
    assert batches(Pipeline(data, spec, 5, augment=AUGMENT, seed=0).epoch(0))[0][0].shape == (5, 10, 10, channels)


def test_masks_and_boundaries_go_where_their_images_go():
    """Grey levels say the class, and the image is shown by the nearest pixel's class but for its rounding."""
    rng = np.random.default_rng(0)
    masks = [np.kron(rng.integers(0, 2, (3, 3)), np.ones((20, 20))).astype(np.uint8) for _ in range(6)]
    sources = [np.repeat(mask[..., None] * 200, 3, 2) for mask in masks]
    data = SegmentedImages(sources, masks, ("no", "yes"))
    edges = EdgeImages(sources, masks, lambda mask: (np.stack([mask, mask * 0]), mask[None]))
    spec = Preprocessing((30, 30), 36)
    for options in dict(), dict(augment=Augmentation(crop), seed=1):
        for pixels, found in batches(Pipeline(data, spec, 3, **options).epoch(0)):
            assert found.shape == (3, 30, 30)
            assert ((pixels[..., 0] > 100) == (found == 1)).mean() > 0.98
        for pixels, found in batches(Pipeline(edges, spec, 3, **options).epoch(0)):
            np.testing.assert_allclose(found, pixels[..., 0] / 400, atol=0.01)  # one person of two drew it


def test_beyond_the_image_a_mask_is_void():
    def beyond(source, target, seed):
        return Window(tf.constant([0.0, -10.0]), tf.constant([10.0, 20.0]), tf.constant(False))

    data = SegmentedImages([np.zeros((10, 10, 3), np.uint8)], [np.ones((10, 10), np.uint8)], ("a", "b"), void=7)
    pipeline = Pipeline(data, Preprocessing((5, 10), None), 1, augment=Augmentation(beyond), seed=0)
    assert batches(pipeline.epoch(0))[0][1][0].tolist() == [[7] * 5 + [1] * 5] * 5


def test_changes_that_move_pixels_are_refused_for_masks():
    class Moving(Augmentation):
        mask_safe = False

    data = SegmentedImages([np.zeros((4, 4, 3), np.uint8)], [np.zeros((4, 4), np.uint8)], ("a",))
    with pytest.raises(KerasVisionError, match="masks would stay behind"):
        Pipeline(data, PLAIN, 1, augment=Moving(crop), seed=0)


def test_several_labels_and_sentences():
    sources = [np.zeros((4, 4, 3), np.uint8)] * 2
    several = MultiLabelImages(sources, np.array([[1, 0, 1], [0, 0, 0]], np.uint8), ("a", "b", "c"))
    assert batches(Pipeline(several, PLAIN, 2).epoch(0))[0][1].tolist() == [[1, 0, 1], [0, 0, 0]]
    captions = CaptionedImages(sources, (("A bee.",), ("Ein Bär.", "Noch einer.")))
    assert batches(Pipeline(captions, PLAIN, 2).epoch(0))[0][1].tolist() == [
        [b"A bee.", b""], ["Ein Bär.".encode(), b"Noch einer."],
    ]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), [
    (dict(batch_size=0), "batch_size=0"),
    (dict(shard=(2, 2)), r"shard=\(2, 2\)"),
    (dict(tolerated=2), "tolerated=2"),
    (dict(seed=-1), "seed=-1"),
    (dict(augment=AUGMENT), "augmentation without a seed"),
    (dict(batch_size=50, drop_remainder=True), "37 images do not fill a batch of 50"),
    (dict(preprocessing=Preprocessing((8, 8), None, "raw")), "raw channels"),
    (dict(images=LabelledImages([], np.array([], int), ())), "no images"),
    (dict(images=LabelledImages(["a"], np.array([2]), ("a", "b"))), "label 2 of image 0 .*expected 0 to 1"),
    (dict(images=LabelledImages(["a", "b"], np.array([0]), ("a",))), "1 labels for 2 images"),
    (dict(images=LabelledImages([np.zeros((4, 4), int)], np.array([0]), ("a",))), "image 0: array of int64"),
    (dict(images=LabelledImages([None], np.array([0]), ("a",))), "images of NoneType"),
    (dict(images=[1]), "list"),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_one_error(images, options, message):
    with pytest.raises(KerasVisionError, match=message):
        Pipeline(**{"images": images, "preprocessing": SPEC, "batch_size": 8, **options})


@pytest.mark.parametrize(("number", "start"), [(-1, 0), (0, 3), (0, 48), (0, -8)])
def test_starts_outside_or_within_a_batch_are_one_error(images, number, start):
    with pytest.raises(KerasVisionError, match=f"epoch {number} from image {start}; accepted"):
        Pipeline(images, SPEC, 8).epoch(number, start)
