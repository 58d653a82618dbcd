"""What a pipeline reads, and keeps: caches that tell images apart, orientations, formats, other backends."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_vision as kv
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.runtime import Preprocessing

SPEC = Preprocessing((8, 8), None)


def grey(path, value, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path, **settings)
    return path


def images_of(paths, labels=None):
    return kv.data.LabelledImages(
        paths, np.arange(len(paths)) if labels is None else labels, tuple("abcdefgh"[: len(paths)])
    )


def values(pipeline):
    return [int(image.mean()) for batch, _ in pipeline.batches(0) for image in batch.numpy()]


def test_a_cache_tells_equal_names_apart_and_sees_changed_files(tmp_path, monkeypatch):
    first = [grey(tmp_path / "cat/x/1.png", 10), grey(tmp_path / "dog/x/1.png", 200)]
    kv.data.write_shards(images_of(first), tmp_path / "one", 1)
    kv.data.write_shards(images_of([grey(tmp_path / "new/x/1.png", 99)]), tmp_path / "two", 1)
    for source in (images_of(first), kv.data.shards(tmp_path / "one")):
        assert values(kv.data.Pipeline(source, SPEC, 2, cache=tmp_path / "cache")) == [10, 200]
    assert values(kv.data.Pipeline(kv.data.shards(tmp_path / "two"), SPEC, 1, cache=tmp_path / "cache")) == [99]
    grey(first[0], 50)
    os.utime(first[0], ns=(1, 1))
    assert values(kv.data.Pipeline(images_of(first), SPEC, 2, cache=tmp_path / "cache")) == [50, 200]
    for name, value in (("here", 1), ("there", 2)):
        grey(tmp_path / name / "1.png", value)
        monkeypatch.chdir(tmp_path / name)
        assert values(kv.data.Pipeline(images_of(["1.png"]), SPEC, 1, cache=tmp_path / "cache")) == [value]


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("settings", [{}, dict(seed=3), dict(seed=3, shard=(1, 2), drop_remainder=True)])
def test_batches_of_arrays_are_those_of_files(colours, settings, tmp_path):
    """Arrays of the network's size are taken out in batches, files one by one."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3)[: 3 + (colours == 3)], np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    spec = Preprocessing((8, 8), None, mean=(10.0, 20.0, 30.0), std=(2.0, 3.0, 4.0))
    sources = list(pixels), sorted(tmp_path.glob("*.png"))
    arrays, files = (
        kv.data.Pipeline(kv.data.LabelledImages(source, np.arange(7), tuple("abcdefg")), spec, 2, **settings)
        for source in sources
    )
    for epoch, start in ((0, 0), (1, 2)):
        found, expected = (list(p.epoch(epoch, start).as_numpy_iterator()) for p in (arrays, files))
        assert len(found) == len(expected) == arrays.steps - start // 2
        for one, other in zip(found, expected, strict=True):
            assert one[0].dtype == other[0].dtype
            np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
            np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_png_files_are_upright_with_their_masks(orientation, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = np.asarray(kv.data.load_pixels(tf.io.read_file(str(tmp_path / "a.png")), Preprocessing((24, 24), None)))
    expected = Preprocessing((24, 24), None).pixels(kv.runtime.images.open_image(tmp_path / "a.png"))
    assert np.abs(upright - expected).max() <= 1
    encoded = (tmp_path / "a.png").read_bytes()
    shape = kv.data.decode_image(tf.constant(encoded)).shape
    assert tuple(shape[:2]) == ((6, 8) if orientation > 4 else (8, 6))
    geometry = kv.data.augment.CentreCrop()
    shown, _ = kv.data.decode_window.show_encoded(tf.constant(encoded), geometry, (24, 24), 3, tf.constant([0, 0]))
    assert np.abs(np.round(shown) - upright).max() <= 1


def test_bmp_files_are_named_and_left_out(tmp_path):
    paths = [grey(tmp_path / "a.png", 3), grey(tmp_path / "b.bmp", 4)]
    pipeline = kv.data.Pipeline(images_of(paths), SPEC, 2, tolerated=0.5)
    with pytest.warns(KerasVisionWarning, match="b.bmp: TensorFlow: .*BMP is not read here: convert it to PNG"):
        assert values(pipeline) == [3]


def test_many_missing_files_are_reported_before_room_is_made_for_them(tmp_path):
    paths = [grey(tmp_path / "0.png", 3), *(tmp_path / f"{i}.png" for i in range(1, 4000))]
    images = kv.data.LabelledImages(paths, np.zeros(4000, int), ("a",))
    with pytest.raises(KerasVisionError, match=r"\d+ of 4000 images cannot be read.* and \d+ more"):
        list(kv.data.Pipeline(images, Preprocessing((64, 64), None), 32, seed=0).batches(0))


def test_an_epoch_can_be_taken_up_after_its_last_batch(tmp_path):
    images = images_of([np.full((8, 8, 3), i, np.uint8) for i in range(5)])
    pipeline = kv.data.Pipeline(images, SPEC, 2, seed=0)
    assert list(pipeline.batches(0, pipeline.steps * 2)) == []
    with pytest.raises(KerasVisionError, match="up to 6"):
        pipeline.epoch(0, 8)


def test_writing_other_shards_leaves_no_old_ones(tmp_path):
    images = images_of([np.full((8, 8, 3), i, np.uint8) for i in range(6)])
    kv.data.write_shards(images, tmp_path / "out", 4)
    kv.data.write_shards(images, tmp_path / "out", 2, overwrite=True)
    assert len(list((tmp_path / "out").glob("*.tfrecord"))) == 2
    assert len(kv.data.shards(tmp_path / "out", verify=True)) == 6


@pytest.mark.parametrize("change", [
    lambda index: index.update(shards=[]),
    lambda index: index.update(labels=[2**70] * 2),
    lambda index: index.update(type=[]),
    lambda index: index["shards"][0].update(offsets=[-16, 0]),
    lambda index: index["shards"][0].update(offsets=[0, 2**63]),
    lambda index: index["shards"][0].update(file="../out/train-00000-of-00001.tfrecord"),
])  # fmt: skip
def test_a_damaged_index_is_one_clear_error(change, tmp_path):
    images = images_of([np.full((8, 8, 3), i, np.uint8) for i in range(2)])
    file = kv.data.write_shards(images, tmp_path / "out", 1)
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))
    with pytest.raises(KerasVisionError, match=r"index\.json: (damaged|of another schema)"):
        kv.data.shards(tmp_path / "out")


def test_keras_may_run_on_jax(on_jax):
    program = """
        import numpy as np
        import keras_vision as kv
        from keras_vision.runtime import Preprocessing
        images = kv.data.LabelledImages([np.full((8, 8, 3), 100, np.uint8)] * 4, np.zeros(4, int), ("a",))
        spec = Preprocessing((8, 8), None, color="BGR", mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 3.0))
        (batch, _), = kv.data.Pipeline(images, spec, 4).batches(0)
        np.testing.assert_allclose(np.asarray(batch)[0, 0, 0], [99, 98, 97 / 3], rtol=1e-6)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=on_jax, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
