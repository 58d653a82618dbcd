"""Flickr8k and Flickr30k: the real sentences, and the files as published."""

import csv

import pytest

from keras_vision.data import flickr_captions, unpack
from keras_vision.errors import KerasVisionError


def test_the_real_captions(shared, tmp_path):
    root = unpack(shared / "data/flickr8k_1000/flickr8k_900.tar", tmp_path / "flickr")
    images = flickr_captions(root)
    assert len(images) == 900
    assert {len(captions) for captions in images.captions} == {5}
    with (root / "captions.txt").open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    assert len(rows) == 4500
    found = [
        (path.name, caption) for path, five in zip(images.sources, images.captions, strict=True) for caption in five
    ]
    assert sorted(found) == sorted((name, caption.strip()) for name, caption in rows)
    assert any("," in caption for _, caption in found)
    assert images.image(0).ndim == 3


@pytest.fixture
def flickr8k(tmp_path):
    (tmp_path / "Flicker8k_Dataset").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "Flicker8k_Dataset" / name).touch()
    lines = ["1.jpg#0\tA dog .", "1.jpg#1\tA brown dog # 1 .", "2.jpg#0\tA café .", "3.jpg.1#0\tNo file ."]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("2.jpg\n")
    return tmp_path


def test_tokens_and_splits_as_published(flickr8k):
    images = flickr_captions(flickr8k)
    assert images.captions == (("A dog .", "A brown dog # 1 ."), ("A café .",))
    assert [(path.rpartition("/")[2], why) for path, why in images.skipped] == [("3.jpg.1", "no such file")]
    images = flickr_captions(flickr8k, flickr8k / "Flickr_8k.trainImages.txt")
    assert [path.name for path in images.sources] == ["2.jpg"]
    assert images.skipped == ()


def test_captions_with_rare_letters_are_one_line(flickr8k):
    text = "A dog\x85and\u2028a\x0bcat\x0con\x1cgrass ."
    (flickr8k / "Flickr8k.token.txt").write_bytes(f"1.jpg#0\t{text}\r\n2.jpg#0\tA café .\r\n".encode())
    assert flickr_captions(flickr8k).captions == ((text,), ("A café .",))


def test_flickr30k_has_other_names(tmp_path):
    (tmp_path / "flickr30k-images").mkdir()
    (tmp_path / "flickr30k-images/7.jpg").touch()
    (tmp_path / "results_20130124.token").write_text("7.jpg#0\tTwo men .\n")
    assert flickr_captions(tmp_path).captions == (("Two men .",),)


@pytest.mark.parametrize(("file", "content", "message"), [
    ("Flickr8k.token.txt", "1.jpg A dog .\n", "'1.jpg A dog .'; expected a photograph, #"),
    ("Flickr8k.token.txt", "1.jpg#0\t\n", "'1.jpg' has an empty caption"),
    ("Flickr8k.token.txt", "../1.jpg#0\tA dog\n", "is no file name"),
    ("Flickr_8k.trainImages.txt", "9.jpg\n2.jpg\n", "1 photographs have no captions"),
    ("Flickr_8k.trainImages.txt", "3.jpg.1\n", "1 files that it names are missing"),
])  # fmt: skip
def test_files_that_do_not_fit_are_one_error(flickr8k, file, content, message):
    (flickr8k / file).write_text(content)
    with pytest.raises(KerasVisionError, match=message):
        flickr_captions(flickr8k, flickr8k / "Flickr_8k.trainImages.txt")


def test_missing_parts_are_one_error(flickr8k):
    (flickr8k / "Flicker8k_Dataset").rename(flickr8k / "elsewhere")
    with pytest.raises(KerasVisionError, match="holds no Flicker8k_Dataset and no"):
        flickr_captions(flickr8k)
