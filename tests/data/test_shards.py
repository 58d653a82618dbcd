"""TFRecord shards: written, interrupted, damaged, and read back as the data set they came from."""

import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vision.data import (
    CaptionedImages,
    LabelledImages,
    MultiLabelImages,
    Pipeline,
    SegmentedImages,
    class_folders,
    shards,
    write_shards,
)
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.runtime import Preprocessing

SPEC = Preprocessing((8, 8), None)


@pytest.fixture
def images(tmp_path):
    """11 photographs in two classes, one of them a PNG."""
    rng = np.random.default_rng(0)
    for number in range(11):
        path = tmp_path / "images" / ("ant", "bée")[number % 2] / f"{number}.{'png' if number == 5 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return class_folders(tmp_path / "images")


@pytest.fixture
def written(images, tmp_path):
    write_shards(images, tmp_path / "shards", shards=3)
    return tmp_path / "shards"


def assert_same_batches(found, expected, **options):
    for ours, theirs in zip(
        Pipeline(found, SPEC, 4, **options).epoch(1), Pipeline(expected, SPEC, 4, **options).epoch(1), strict=True
    ):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_encoded_bytes_come_back_in_order(images, written):
    found = shards(written, verify=True)
    assert isinstance(found, LabelledImages)
    assert list(found.sources) == [path.read_bytes() for path in images.sources]
    assert found.labels.tolist() == images.labels.tolist()
    assert found.class_names == ("ant", "bée")
    assert sorted(path.name for path in written.iterdir()) == [
        "index.json", *(f"train-0000{n}-of-00003.tfrecord" for n in range(3)),
    ]  # fmt: skip


@pytest.mark.parametrize("options", [dict(), dict(seed=2), dict(seed=2, cache="memory", shard=(1, 2))])
def test_batches_are_those_of_the_files(images, written, options):
    assert_same_batches(shards(written), images, **options)


def test_other_programs_read_the_records(images, written):
    files = sorted(map(str, written.glob("*.tfrecord")))
    features = {
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/filename": tf.io.FixedLenFeature([], tf.string),
    }
    records = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(files)]
    expected = {
        f"{path.parent.name}/{path.name}".encode(): label
        for path, label in zip(images.sources, images.labels, strict=True)
    }
    assert {r["image/filename"].numpy(): r["image/class/label"].numpy() for r in records} == expected


def test_parts_of_the_records_are_split_and_identified_like_files(written):
    found = shards(written)
    first, second = found.split(0.4, seed=0)
    assert len(first) + len(second) == 11
    assert set(first.sources).isdisjoint(second.sources)
    assert set(first.sources) | set(second.sources) == set(found.sources)
    assert first.fingerprint() == shards(written).split(0.4, seed=0)[0].fingerprint() != second.fingerprint()
    assert list(found.sources[2:4]) == [found.sources[2], found.sources[3]]
    with pytest.raises(KerasVisionError, match="use Pipeline"):
        found.dataset(SPEC, 4)


def test_masks_sentences_and_several_labels(tmp_path):
    rng = np.random.default_rng(0)
    sources = [rng.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(5)]
    masks = [rng.choice([0, 1, 255], (9, 9)).astype(np.uint8) for _ in range(5)]
    wide = [mask.astype(np.uint16) + 255 * (mask == 1) for mask in masks]
    for name, data in {
        "masks": SegmentedImages(sources, masks, ("sky", "tree")),
        "wide": SegmentedImages(sources, wide, tuple(map(str, range(300))), void=None),
        "captions": CaptionedImages(sources, tuple((f"Bär {n}.",) * (1 + n % 2) for n in range(5))),
        "labels": MultiLabelImages(
            sources, rng.integers(0, 2, (5, 3)).astype(np.uint8), tuple("abc"), np.eye(5, 3) > 0
        ),
    }.items():
        write_shards(data, tmp_path / name, shards=2)
        found = shards(tmp_path / name)
        assert type(found) is type(data)
        assert_same_batches(found, data)
    np.testing.assert_array_equal(shards(tmp_path / "labels").ignored, np.eye(5, 3) > 0)
    assert shards(tmp_path / "masks").void == 255


def test_an_interrupted_run_keeps_what_is_whole(images, tmp_path, monkeypatch):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "shards"
    with pytest.raises(KeyboardInterrupt):
        write_shards(images, out, 5, stop, threads=1)
    assert not (out / "index.json").exists()
    with pytest.raises(KerasVisionError, match=r"index\.json: cannot be read"):
        shards(out)
    kept = {path: path.stat().st_mtime_ns for path in sorted(out.glob("*.tfrecord"))}
    assert len(kept) >= 2
    damaged = sorted(kept)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    (out / ".train-00004-of-00005.tfrecord.abc").mkdir()  # what a killed process leaves
    (out / ".train-00004-of-00005.tfrecord.abc/train-00004-of-00005.tfrecord").write_bytes(b"half")
    seen = []
    write_shards(images, out, 5, lambda done, total: seen.append(done))
    assert seen == list(range(seen[0], 6))
    assert sorted(kept)[1].stat().st_mtime_ns == kept[sorted(kept)[1]]
    assert list(shards(out, verify=True).sources) == [path.read_bytes() for path in images.sources]


def test_threads_do_not_change_the_files(images, tmp_path):
    for threads in 1, 4:
        write_shards(images, tmp_path / str(threads), 3, threads=threads)
    assert (tmp_path / "1/index.json").read_bytes() == (tmp_path / "4/index.json").read_bytes()
    assert threading.active_count() < 50


def test_what_is_there_is_not_overwritten_unasked(images, written):
    with pytest.raises(KerasVisionError, match="holds finished shards"):
        write_shards(images, written, 3)
    write_shards(images, written, 2, overwrite=True)
    assert len(shards(written, verify=True)) == 11
    assert len(json.loads((written / "index.json").read_text())["shards"]) == 2


def test_unfinished_shards_of_other_images_are_refused(images, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(images, tmp_path / "shards", 3, stop)
    with pytest.raises(KerasVisionError, match="belongs to other images"):
        write_shards(images, tmp_path / "shards", 4)


@pytest.mark.parametrize(("count", "message"), [(0, "11 images in 0 shards; give 1 to 11"), (12, "11 images in 12")])
def test_numbers_of_shards(images, tmp_path, count, message):
    with pytest.raises(KerasVisionError, match=message):
        write_shards(images, tmp_path / "shards", count)
    assert not (tmp_path / "shards").exists()


def test_a_missing_image_is_named(images, tmp_path):
    images.sources[4].unlink()
    with pytest.raises(KerasVisionError, match=rf"{images.sources[4].name} cannot be read .*skip list"):
        write_shards(images, tmp_path / "shards", 3)
    with pytest.raises(KerasVisionError, match="images of type list; accepted: LabelledImages"):
        write_shards([1], tmp_path / "shards", 1)


def test_truncated_missing_and_changed_shards_are_named(written):
    file = written / "train-00001-of-00003.tfrecord"
    content = file.read_bytes()
    file.write_bytes(content[:-5])
    with pytest.raises(KerasVisionError, match=r"train-00001-of-00003\.tfrecord: \d+ bytes instead of \d+: truncated"):
        shards(written)
    file.unlink()
    with pytest.raises(KerasVisionError, match=r"train-00001-of-00003\.tfrecord: missing"):
        shards(written)
    file.write_bytes(content[:-100] + bytes(50) + content[-50:])
    assert len(shards(written)) == 11  # of the same length
    with pytest.raises(KerasVisionError, match=r"train-00001-of-00003\.tfrecord: its SHA-256"):
        shards(written, verify=True)


def test_a_damaged_record_is_left_out_by_name(images, written):
    file = written / "train-00001-of-00003.tfrecord"
    content = bytearray(file.read_bytes())
    content[300:310] = bytes(10)
    file.write_bytes(content)
    pipeline = Pipeline(shards(written), SPEC, 4, tolerated=0.1)
    with pytest.warns(KerasVisionWarning, match="left out"):
        labels = [label for _, batch in pipeline.epoch(0) for label in batch.numpy().tolist()]
    assert labels == np.delete(images.labels, 1).tolist()
    assert [name.partition(":")[0] for name in pipeline.skipped] == ["train-00001-of-00003.tfrecord"]


@pytest.mark.parametrize(("change", "message"), [
    (dict(type="Other"), "of another schema"),
    ({"keras_vision shards": 2}, "of another schema"),
    (dict(shards=[{"file": "a"}]), "damaged"),
    (dict(shards=[{"file": "a", "bytes": 9, "sha256": "", "offsets": [0]}]), "missing"),
    (dict(labels=None, images="x"), "damaged"),
])  # fmt: skip
def test_an_index_of_another_schema_is_refused(written, change, message):
    index = json.loads((written / "index.json").read_text())
    (written / "index.json").write_text(json.dumps({**index, **change}))
    with pytest.raises(KerasVisionError, match=message):
        shards(written)
    (written / "index.json").write_text("[")
    with pytest.raises(KerasVisionError, match=r"index\.json: damaged"):
        shards(written)


def test_records_of_another_schema_are_named(images, written):
    file = written / "train-00002-of-00003.tfrecord"
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    index = json.loads((written / "index.json").read_text())
    index["shards"][2] |= {"bytes": file.stat().st_size, "offsets": [0] * 4}
    (written / "index.json").write_text(json.dumps(index))
    found = shards(written)
    with pytest.raises(KerasVisionError, match=r"train-00002-of-00003\.tfrecord: no image/encoded at byte 0"):
        found.sources[2]
    with pytest.raises(KerasVisionError, match=r"more than the tolerated .*train-00002-of-00003\.tfrecord"):
        list(Pipeline(found, SPEC, 11).batches(0))
