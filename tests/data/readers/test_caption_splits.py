"""The listings of captions and splits, as they are published."""

import json

import pytest
from PIL import Image

from keras_vision.data import caption_split
from keras_vision.errors import KerasVisionError


def sentences(*texts):
    return [{"raw": f"{text}.", "tokens": text.lower().split(), "sentid": 0} for text in texts]


@pytest.fixture
def published(tmp_path):
    for name in ("train2014/a.jpg", "val2014/b.jpg", "val2014/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    records = [
        dict(filepath="train2014", filename="a.jpg", split="train", sentences=sentences(*"ABCDEFG")),
        dict(filepath="val2014", filename="b.jpg", split="val", sentences=[{"raw": "A dog."}]),
        dict(filepath="val2014", filename="c.jpg", split="val", sentences=[]),
        dict(filepath="val2014", filename="gone.jpg", split="val", sentences=sentences("A cat")),
        dict(filepath="val2014", filename="d.jpg", split="test", sentences=sentences("A cow")),
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": records, "dataset": "coco"}))
    return tmp_path, tmp_path / "dataset_coco.json"


def test_a_split_has_its_photographs_and_five_sentences(published):
    found = caption_split(*published, "train")
    assert found.captions == (("a", "b", "c", "d", "e"),)
    assert found.image(0).shape == (6, 8, 3)
    assert len(caption_split(*published, "train", most=None).captions[0]) == 7


def test_what_is_missing_is_reported_and_left_out(published):
    found = caption_split(*published, "val")
    assert found.captions == (("A dog.",),)
    assert [(path.rpartition("/")[2], why) for path, why in found.skipped] == [
        ("c.jpg", "no caption"), ("gone.jpg", "no such file"),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), [
    ("{", "damaged"), ("{}", "damaged"), ('{"images": 3}', "damaged"), ('{"images": [{"filename": 1}]}', "no listing"),
    ('{"images": [{"filename": "a", "sentences": [3]}]}', "no listing"),
])  # fmt: skip
def test_other_files_are_one_error(published, text, says):
    published[1].write_text(text)
    with pytest.raises(KerasVisionError, match=says):
        caption_split(*published, "val")


def test_a_split_that_is_not_there_is_an_error(published):
    with pytest.raises(KerasVisionError, match="accepted: train, restval, val, test"):
        caption_split(*published, "valid")
    with pytest.raises(KerasVisionError, match="none of its 1 photographs of 'test'"):
        caption_split(*published, "test")
