"""Folders of images: what is read, what is skipped and why, how it is split."""

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import digits, image_folder
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing

RGB = Preprocessing((16, 16), 16, "BGR", (104.0, 117.0, 123.0))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "ant"):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_classes_are_the_sorted_subfolders(folder):
    images = image_folder(folder)
    assert images.class_names == ("ant", "cat")
    assert len(images) == 24
    assert all(
        images.class_names[label] == path.parent.name for path, label in zip(images.sources, images.labels, strict=True)
    )


def test_unreadable_files_are_skipped_with_the_reason(folder):
    (folder / "ant/empty.jpg").write_bytes(b"")
    (folder / "ant/text.jpg").write_text("hello")
    whole = (folder / "ant/0.png").read_bytes()
    (folder / "cat/half.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (8, 8)).save(folder / "cat/scan.tiff")
    Image.new("P", (8, 8)).save(folder / "cat/palette.bmp")
    Image.new("CMYK", (20, 20)).save(folder / "cat/print.jpg")
    (folder / "cat/notes.txt").write_text("not an image, and not claimed to be one")
    images = image_folder(folder)
    reasons = {path.rpartition("/")[2]: reason for path, reason in images.skipped}
    assert set(reasons) == {"empty.jpg", "text.jpg", "half.png", "scan.tiff", "palette.bmp"}
    assert reasons["empty.jpg"] == "the file is empty"
    assert "not an image" in reasons["text.jpg"]
    assert "damaged" in reasons["half.png"]
    assert "TIFF" in reasons["scan.tiff"]
    assert len(images) == 25
    assert sum(len(labels) for _, labels in images.dataset(RGB, 8)) == 25  # and every one that is kept decodes


def test_pixels_reach_the_network_as_in_the_runtime(folder):
    images = image_folder(folder)
    batch, labels = next(iter(images.dataset(RGB, 24)))
    expected = np.stack([RGB(Image.open(path)) for path in images.sources])
    assert np.abs(batch.numpy() - expected).max() <= 1
    assert (labels.numpy() == images.labels).all()


def test_training_batches_are_shuffled_and_moved_but_keep_their_labels():
    images = digits()
    plain = {tuple(labels.numpy()) for _, labels in images.dataset(RGB, 1797)}
    (pixels, labels), (again, _) = (next(iter(images.dataset(RGB, 1797, shuffle_seed=s))) for s in (0, 0))
    assert tuple(labels.numpy()) not in plain
    assert sorted(labels.numpy()) == sorted(images.labels)
    assert np.array_equal(pixels, again)  # the same seed, the same batch


def test_split_is_disjoint_and_keeps_proportions():
    images = digits()
    rest, test = images.split(0.2, seed=0)
    assert len(rest) + len(test) == len(images) == 1797
    assert len(test) == 360
    share = np.bincount(test.labels) / np.bincount(images.labels)
    assert np.abs(share - 0.2).max() < 0.01
    ids = {id(source) for source in rest.sources} & {id(source) for source in test.sources}
    assert not ids
    assert np.array_equal(images.split(0.2, seed=0)[1].labels, test.labels)


def test_what_is_no_data_set_is_one_clear_error(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(KerasVisionError, match="no such folder"):
        image_folder(empty / "none")
    with pytest.raises(KerasVisionError, match="0 images in 0 subfolders"):
        image_folder(empty)
    (folder / "few").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "few/one.png")
    with pytest.raises(KerasVisionError, match="few: 1 readable images"):
        image_folder(folder)


def test_reasons_survive_the_split_and_the_fewest_images_allowed_do_split(tmp_path):
    for name in ("ant", "cat"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "ant/empty.png").write_bytes(b"")
    rest, test = image_folder(tmp_path).split(0.2, seed=0)
    train, validation = rest.split(0.125, seed=0)
    assert [set(part.labels) for part in (train, validation, test)] == [{0, 1}] * 3
    assert test.skipped[0][1] == "the file is empty"
    assert rest.fingerprint() != test.fingerprint() == image_folder(tmp_path).split(0.2, seed=0)[1].fingerprint()
