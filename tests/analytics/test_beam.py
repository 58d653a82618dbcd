"""The Beam pipeline in this process against `ImageEmbedder`: files in, tables out, damaged images aside."""

import csv
import hashlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from PIL import Image

import keras_vision as kv
from keras_vision.analytics import ImageEmbedder, read_embeddings
from keras_vision.analytics.beam import EmbedImages, WriteEmbeddings, embed_files
from keras_vision.data import LabelledImages, write_shards
from keras_vision.errors import KerasVisionError

NAMES = ["a/ö 1.png", "a/2.jpg", "b/2.jpg", "b/3.png", "top.png"]


@pytest.fixture(scope="module")
def network(randomize, tmp_path_factory):
    model = randomize(kv.applications.SqueezeNetV1_1(weights=None, classes=5, input_shape=(48, 48, 3)))
    path = tmp_path_factory.mktemp("network") / "features.tflite"
    ImageEmbedder(model).export(path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs [1]")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((72, 54)).save(folder / name)
    (folder / "b" / "damaged, half.jpg").write_bytes((folder / "b" / "2.jpg").read_bytes()[:200])
    (folder / "b" / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not read")
    (folder / ".hidden.png").write_bytes(b"not read")
    return folder


def rows_of(folder, pattern="out*.parquet"):
    """Rows of all files, by path."""
    tables = [pyarrow.parquet.read_table(file) for file in folder.glob(pattern)]
    return {row["path"]: row for row in pa.concat_tables(tables).to_pylist()}


def skipped_of(folder):
    (file,) = folder.glob("out.skipped*.csv")
    header, *rows = csv.reader(file.read_text().splitlines())
    assert header == ["path", "reason"]
    return dict(rows)


def test_a_folder_as_the_command_does_it(network, photographs, tmp_path):
    command = [sys.executable, "-m", "keras_vision.cli.main", "embed", photographs, tmp_path / "out.parquet"]
    command += ["--model", network, "--beam", "--no-cache"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "5 images, vectors of 512 by SqueezeNetV1_1" in done.stdout
    assert "2 files could not be read" in done.stdout
    rows = rows_of(tmp_path)
    paths = [str(photographs / name) for name in NAMES]
    assert sorted(rows) == sorted(paths)
    expected = ImageEmbedder(network, cache=False).transform(paths)
    np.testing.assert_allclose([rows[path]["embedding"] for path in paths], expected, rtol=1e-6)
    assert [rows[path]["label"] for path in paths] == ["a", "a", "b", "b", None]
    content = [hashlib.sha256((photographs / name).read_bytes()).digest() for name in NAMES]
    assert [rows[path]["sha256"] for path in paths] == content
    skipped = {path.rpartition("/")[2]: reason.split(":")[0] for path, reason in skipped_of(tmp_path).items()}
    assert skipped == {"damaged, half.jpg": "damaged", "empty.png": "the file is empty"}
    (file,) = tmp_path.glob("out-*.parquet")
    assert read_embeddings(file).vectors.shape == (5, 512)


def test_shards_in_and_records_out(network, photographs, tmp_path):
    paths = [photographs / name for name in NAMES[:4]]
    write_shards(LabelledImages(paths, np.array([0, 0, 1, 1]), ["a", "b"]), tmp_path / "shards", shards=2)
    with tf.io.TFRecordWriter(str(tmp_path / "shards" / "broken.tfrecord")) as writer:
        writer.write(b"no example")
    counts = embed_files(str(tmp_path / "shards" / "*.tfrecord"), str(tmp_path / "out.tfrecord"), str(network))
    assert counts == (4, 1)
    form = {
        "path": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.VarLenFeature(tf.string),
        "sha256": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([512], tf.float32),
    }
    files = [str(file) for file in tmp_path.glob("out-*.tfrecord")]
    rows = [tf.io.parse_single_example(record, form) for record in tf.data.TFRecordDataset(files)]
    found = {row["sha256"].numpy(): row["embedding"].numpy() for row in rows}
    expected = ImageEmbedder(network, cache=False).transform(paths)
    for path, vector in zip(paths, expected, strict=True):
        np.testing.assert_allclose(found[hashlib.sha256(path.read_bytes()).digest()], vector, rtol=1e-6)
    assert skipped_of(tmp_path) == {"": "the file is empty"}


def test_parquet_in(network, photographs, tmp_path):
    images = [(photographs / name).read_bytes() for name in NAMES[:2]]
    table = pa.table({"path": ["x", "y", "z"], "image": [*images, None], "other": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    assert embed_files(str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), str(network)) == (2, 1)
    rows = rows_of(tmp_path)
    expected = ImageEmbedder(network, cache=False).transform([photographs / name for name in NAMES[:2]])
    np.testing.assert_allclose([rows["x"]["embedding"], rows["y"]["embedding"]], expected, rtol=1e-6)
    assert rows["x"]["label"] is None
    assert skipped_of(tmp_path) == {"z": "the file is empty"}


def test_what_cannot_be_used_is_said_before_the_pipeline_runs(network, photographs, tmp_path):
    with pytest.raises(KerasVisionError, match="no file matches"):
        embed_files(str(tmp_path / "gone" / "**"), str(tmp_path / "out.parquet"), str(network))
    with pytest.raises(KerasVisionError, match=r"go to .parquet or .tfrecord files"):
        WriteEmbeddings("out.csv", 4)
    with pytest.raises(KerasVisionError, match="cannot be read"):
        EmbedImages(str(tmp_path / "gone.tflite"))
    assert list(tmp_path.iterdir()) == []
