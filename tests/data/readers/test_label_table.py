"""Several labels per image: the real table of the Amazon, and tables that do not fit."""

import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import label_table
from keras_vision.errors import KerasVisionError

LABELS = 17  # of the competition


def test_the_real_table(shared):
    folder = shared / "data/planet_sample"
    images = label_table(folder, folder / "train_v2.csv", missing="skip")
    assert len(images) == 5
    assert len(images.class_names) == LABELS
    assert len(images.skipped) == 40479 - 5
    lines = (folder / "train_v2.csv").read_text().splitlines()[1:6]  # the five that have a chip
    for line, row, path in zip(lines, images.labels, images.sources, strict=True):
        name, tags = line.split(",")
        assert path.stem == name
        assert {images.class_names[i] for i in np.flatnonzero(row)} == set(tags.split())
    assert images.image(0).shape == (256, 256, 3)  # from CMYK


def test_label_counts_of_the_whole_real_table(shared, tmp_path, monkeypatch):
    table = shared / "data/planet_sample/train_v2.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    monkeypatch.setattr(os, "listdir", lambda folder: [f"{name}.jpg" for name, _ in rows])  # as if all were there
    images = label_table(tmp_path, table)
    counted = Counter(label for _, tags in rows for label in set(tags.split()))  # some rows name a label twice
    assert len(images) == len(rows) == 40479
    assert dict(zip(images.class_names, images.labels.sum(0).tolist(), strict=True)) == counted


@pytest.mark.parametrize(("content", "message"), [
    ("image_name,labels\na,x\n", "columns image_name, labels; expected image_name, tags, so tags is missing"),
    ("", "columns none"),
    ("image_name,tags\n", "no rows"),
    ("image_name,tags\na,x\nb,y\n", r"1 files that it names are missing: .*b\.png"),
    ("image_name,tags\na,x z\n", "label 'z' in row 1 is not among the 2 classes"),
    (b"image_name,tags\n\xff\xfe,x\n", "cannot be read"),
])  # fmt: skip
def test_tables_that_do_not_fit_are_one_error(content, message, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    table = tmp_path / "table.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KerasVisionError, match=message):
        label_table(tmp_path, table, ".png", class_names=("x", "y"))


def test_nothing_that_is_there_is_no_data_set(tmp_path):
    (tmp_path / "table.csv").write_text("image_name,tags\na,x\n")
    with pytest.raises(KerasVisionError, match="none of the 1 images"):
        label_table(tmp_path, tmp_path / "table.csv", missing="skip")
    with pytest.raises(KerasVisionError, match="missing='ignore'"):
        label_table(tmp_path, tmp_path / "table.csv", missing="ignore")
