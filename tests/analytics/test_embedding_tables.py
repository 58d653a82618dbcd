"""Listed folders, and tables of embeddings."""

import csv
import os

import pyarrow as pa
import pyarrow.parquet
import pytest

from keras_vision.analytics import (
    ImageEmbedder,
    label_of,
    read_embeddings,
    walk_images,
    write_embeddings,
)  # fmt: skip
from keras_vision.errors import KerasVisionError


def test_parquet_of_a_folder(file, photographs, tmp_path):
    embedder = ImageEmbedder(file, cache=False, batch_size=2)
    out = tmp_path / "out.parquet"
    parts = embedder.stream(walk_images([photographs]))
    counts = write_embeddings(
        parts, out, embedder.n_features, photographs, embedder.network_name, embedder.network_hash
    )
    assert counts == (5, 3)
    table = read_embeddings(out)
    expected = embedder.embed(walk_images([photographs]))
    assert table.paths == expected.paths
    assert table.labels == [None, "a", "a", "b", "b"]
    assert (table.vectors == expected.vectors).all()
    assert table.content == expected.content
    assert table.model == "SqueezeNetV1_1"
    assert pa.parquet.read_schema(out).field("embedding").type == pa.list_(pa.float32(), 512)
    with (tmp_path / "out.skipped.csv").open(newline="") as stream:
        assert {row["reason"].split(":")[0] for row in csv.DictReader(stream)} >= {"damaged", "the file is empty"}
    with pytest.raises(KerasVisionError, match="exists already"):
        write_embeddings([], out, 512)


def test_parquet_of_nothing_and_other_files(tmp_path):
    assert write_embeddings([], tmp_path / "none.parquet", 7) == (0, 0)
    assert read_embeddings(tmp_path / "none.parquet").vectors.shape == (0, 7)
    assert not (tmp_path / "none.skipped.csv").exists()
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("x")
    for name in ("other", "text"):
        with pytest.raises(KerasVisionError, match="no file of"):
            read_embeddings(tmp_path / f"{name}.parquet")
    with pytest.raises(KerasVisionError, match="no such file"):
        read_embeddings(tmp_path / "gone.parquet")


def test_names_that_are_no_text(file, photographs, tmp_path):
    odd = os.fsencode(photographs) + b"/a/\xff.png"
    os.rename(photographs / "top.png", odd)
    write_embeddings(
        ImageEmbedder(file, cache=False).stream(walk_images([photographs / "a"])), tmp_path / "o.parquet", 512
    )
    assert [path for path in read_embeddings(tmp_path / "o.parquet").paths if path.endswith("\\xff.png")]


def test_a_folder_is_listed_lazily(tmp_path, monkeypatch):
    from keras_vision.analytics import listing

    for number in range(30):
        (tmp_path / f"{number:02}.png").touch()
    monkeypatch.setattr(listing, "SORTED", 10)
    read = []
    scan = os.scandir

    class Counting:
        def __init__(self, folder):
            self.entries = scan(folder)

        def __enter__(self):
            return self

        def __exit__(self, *reason):
            self.entries.close()

        def __iter__(self):
            return self

        def __next__(self):
            read.append(1)
            return next(self.entries)

    monkeypatch.setattr(listing.os, "scandir", Counting)
    walk = walk_images([tmp_path])
    first = [next(walk).name for _ in range(10)]
    assert first == sorted(first)
    assert len(read) == 10
    assert len(list(walk)) == 20
    with pytest.raises(KerasVisionError, match="no such file or folder"):
        list(walk_images([tmp_path / "gone"]))


def test_labels_are_folders():
    assert label_of("photos/a/x.png", "photos") == "a"
    assert label_of("photos/x.png", "photos") is None
    assert label_of("photos/a/x.png", None) is None
