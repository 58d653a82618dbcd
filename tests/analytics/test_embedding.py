"""Embeddings against the Keras model called by hand; caches, tables and bad files."""

import contextlib
import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import keras_vision as kv
import keras_vision.zoo
from keras_vision.analytics import (
    ImageEmbedder,
    feature_network,
    label_of,
    read_embeddings,
    reading,
    walk_images,
    write_embeddings,
)  # fmt: skip
from keras_vision.cli.embed import opened
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.runtime import open_image

NAMES = ["a/ö 1.png", "a/same.jpg", "b/same.jpg", "b/<img src=x onerror=alert(1)>.png", "top.png"]


@pytest.fixture(scope="module")
def model(randomize):
    return randomize(kv.applications.SqueezeNetV1_1(weights=None, classes=5, input_shape=(48, 48, 3)))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    """The network of features as a LiteRT file."""
    path = tmp_path_factory.mktemp("features") / "features.tflite"
    ImageEmbedder(model).export(path)
    return path


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((72, 54)).save(folder / name)
    (folder / "b" / "damaged.jpg").write_bytes((folder / "b" / "same.jpg").read_bytes()[:200])
    (folder / "b" / "empty.png").write_bytes(b"")
    (folder / "b" / "text.gif").write_text("no image")
    (folder / "notes.txt").write_text("not listed")
    (folder / ".hidden.png").write_bytes(b"not listed")
    return folder


def by_hand(model, paths, layer="fire9"):
    import keras

    features = keras.Model(model.input, model.get_layer(layer).output)
    maps = [features(model.preprocessing(open_image(path))[None]).numpy()[0] for path in paths]
    return np.stack([each.mean((0, 1)) for each in maps])


def close(actual, expected, share=1e-4):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= share * np.ptp(expected)


@pytest.mark.parametrize("backend", ["litert", "keras"])
def test_vectors_are_those_of_the_model(model, photographs, tmp_path, backend):
    paths = [photographs / name for name in NAMES]
    embedder = ImageEmbedder(model, backend=backend, cache=tmp_path / "cache", batch_size=2, threads=3)
    found = embedder.fit_transform(paths)
    assert found.dtype == np.float32
    close(found, by_hand(model, paths))
    close(embedder.transform(np.array(paths, object)[:, None]), found)  # as a column, and from the cache


def test_layers_and_poolings(model):
    maps = model.get_layer("fire4").output
    assert feature_network(model, "fire4").output.shape == (None, maps.shape[-1])
    assert feature_network(model, "fire4", "none").output.shape == (None, np.prod(maps.shape[1:]))
    pixels = np.random.default_rng(0).normal(size=(2, 48, 48, 3)).astype("float32") * 50
    average, largest = (feature_network(model, "fire4", way)(pixels).numpy() for way in ("avg", "max"))
    assert (largest >= average).all()
    with pytest.raises(KerasVisionError, match=r"no layer 'fire44'. Did you mean fire4"):
        feature_network(model, "fire44")
    with pytest.raises(KerasVisionError, match="accepted: 'avg', 'max', 'none'"):
        feature_network(model, pooling="median")


@pytest.mark.parametrize(("name", "size", "width"), [("VGG11", 32, 4096), ("InceptionV3", 75, 2048)])
def test_penultimate_layers_of_the_paper(name, size, width, undrawn):
    network = kv.create_model(name, weights=None, input_shape=(size, size, 3))
    assert feature_network(network).output.shape == (None, width)


def test_a_network_of_maps_needs_a_layer(undrawn):
    network = kv.edges.HED(weights=None, input_shape=(64, 64, 3))
    with pytest.raises(KerasVisionError, match="layer="):
        feature_network(network)
    assert feature_network(network, "conv3_3").output.shape == (None, 256)


def test_unreadable_files_are_listed_with_the_reason(file, photographs):
    found = ImageEmbedder(file, cache=False).embed(
        walk_images([photographs, photographs.parent / "photographs/top.png"])
    )
    assert [os.path.relpath(path, photographs) for path in found.paths] == [
        "top.png", "a/same.jpg", "a/ö 1.png", "b/<img src=x onerror=alert(1)>.png", "b/same.jpg", "top.png",
    ]  # fmt: skip
    assert {os.path.basename(each.path): each.reason.split(":")[0] for each in found.skipped} == {
        "damaged.jpg": "damaged", "empty.png": "the file is empty", "text.gif": "not an image in a known format",
    }  # fmt: skip
    assert (found.vectors[0] == found.vectors[-1]).all()
    assert found.content[0] == found.content[-1] != found.content[1]


def test_transform_on_unreadable_files(file, photographs):
    paths = [
        photographs / "top.png",
        photographs / "b" / "empty.png",
        photographs / "gone\0.png",
        photographs / "top.png",
    ]
    with pytest.raises(KerasVisionError, match=r"2 of 4 images cannot be read: .*empty.png: the file is empty"):
        ImageEmbedder(file, cache=False).transform(paths)
    found = ImageEmbedder(file, cache=False, unreadable="nan").transform(paths)
    assert np.isnan(found[1:3]).all()
    assert (found[0] == found[3]).all()
    assert ImageEmbedder(file, cache=False).transform([]).shape == (0, 512)


def test_in_a_pipeline(file, photographs):
    paths = np.array([str(photographs / name) for name in NAMES[:4]], object)
    pipeline = clone(make_pipeline(ImageEmbedder(file, cache=False), LogisticRegression(max_iter=300)))
    assert (pipeline.fit(paths, [0, 0, 1, 1]).predict(paths) == [0, 0, 1, 1]).all()


def test_what_was_embedded_is_not_decoded_again(file, photographs, tmp_path, monkeypatch):
    embedder = ImageEmbedder(file, cache=tmp_path / "cache", threads=1, batch_size=1)

    def interrupt(done):
        if done == 2:
            raise KeyboardInterrupt

    paths = [photographs / name for name in NAMES]
    with pytest.raises(KeyboardInterrupt):
        embedder.embed(paths, interrupt)
    opened = []
    monkeypatch.setattr(reading, "open_image", lambda encoded: opened.append(1) or open_image(encoded))
    whole = embedder.embed(paths).vectors
    assert 0 < len(opened) <= 3  # two were done, and perhaps begun
    opened.clear()
    (photographs / "top.png").rename(photographs / "renamed.png")
    again = embedder.embed([*paths[:4], photographs / "renamed.png"]).vectors
    assert opened == []
    assert (again == whole).all()


def test_a_cache_of_another_version_is_left_alone(file, photographs, tmp_path):
    embedder = ImageEmbedder(file, cache=tmp_path / "cache")
    expected = embedder.transform([photographs / "top.png"])
    (database,) = (tmp_path / "cache").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.warns(KerasVisionWarning, match="format 99, and this version reads 1") as caught:
        found = embedder.transform([photographs / "top.png"])
    assert len(caught) == 1
    assert (found == expected).all()
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(KerasVisionError, match=r"cannot be used as a cache of embeddings .* remove it"):
        embedder.transform([photographs / "top.png"])


def test_another_layer_does_not_read_this_one_s_vectors(model, photographs, tmp_path):
    one, other = (ImageEmbedder(model, pooling=way, backend="keras", cache=tmp_path) for way in ("avg", "max"))
    paths = [photographs / "top.png"]
    assert not np.allclose(one.transform(paths), other.transform(paths))
    assert one.network_hash != other.network_hash


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


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(backend="onnx"), "accepted: 'litert', 'keras'"),
    (dict(batch_size=0), "at least 1"),
    (dict(unreadable="skip"), "accepted: 'raise', 'nan'"),
    (dict(model="features.tflite", layer="fire4"), "leave these arguments out"),
    (dict(model="gone.keras"), "no such file"),
    (dict(model="gone.tflite"), "no such file"),
    (dict(model=3), "give a model's name"),
    (dict(model="SqueezeNext"), "no model is called"),
    (dict(model="ResNet20CIFAR"), "no weights by default"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_by_the_embedder(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        ImageEmbedder(**arguments).fit()


def test_a_classifier_s_file_is_refused(model, tmp_path):
    kv.export.to_litert(model, tmp_path / "classifier.tflite")
    with pytest.raises(KerasVisionError, match=r"gives probability, not features"):
        ImageEmbedder(tmp_path / "classifier.tflite").fit()


def test_a_diverged_model_is_refused(model):
    import keras

    broken = keras.models.clone_model(model).with_card(model.card)
    kernel = broken.weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(KerasVisionError, match="not finite"):
        ImageEmbedder(broken).fit()


def test_the_command(file, photographs, tmp_path):
    def run(*options):
        command = [
            sys.executable,
            "-m",
            "keras_vision.cli.main",
            "embed",
            str(photographs),
            str(tmp_path / "o.parquet"),
        ]
        command += ["-m", str(file), "--cache", str(tmp_path / "cache"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = run()
    assert done.returncode == 0, done.stderr
    assert "5 images, vectors of 512 by SqueezeNetV1_1" in done.stdout
    assert "3 files could not be read" in done.stdout
    assert read_embeddings(tmp_path / "o.parquet").labels == [None, "a", "a", "b", "b"]
    again = run()
    assert again.returncode == 1
    assert "exists already; pass --overwrite" in again.stderr.replace("\n", " ")
    assert run("--overwrite", "--no-cache").returncode == 0


def test_the_page_command(file, photographs, tmp_path):
    def run(folder, *options):
        command = [
            sys.executable,
            "-m",
            "keras_vision.cli.main",
            "explore",
            str(folder),
            "-o",
            str(tmp_path / "p.html"),
        ]
        command += ["-m", str(file), "--no-cache", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = run(photographs)
    assert done.returncode == 0, done.stderr
    assert "5 images" in done.stdout
    assert "3 files could not be read" in done.stdout
    source = (tmp_path / "p.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', source, re.DOTALL)[1])
    assert data["classes"] == ["a", "b"]
    assert data["label"] == [-1, 0, 0, 1, 1]
    assert data["names"][3] == "b/<img src=x onerror=alert(1)>.png"
    assert "<img src=x" not in source
    (tmp_path / "empty").mkdir()
    refused = run(tmp_path / "empty", "--overwrite")
    assert (refused.returncode, "no images in" in refused.stderr) == (1, True)


def test_a_features_file_runs_without_tensorflow(file, photographs):
    code = (
        "import sys; from keras_vision.analytics import ImageEmbedder; "
        "ImageEmbedder(sys.argv[1], cache=False).transform(sys.argv[2:]); "
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(file), str(photographs / "top.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_real_network_on_real_photographs(shared, tmp_path):
    """The nearest photographs of a few are of the same kind."""
    from keras_vision.analytics import neighbours

    paths = sorted((shared / "data" / "imagenet_sample").glob("*.JPEG"))[:120]
    weights = shared / "weights" / "squeezenet_v1.1.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = ImageEmbedder("SqueezeNetV1_1", weights, cache=tmp_path).fit_transform(paths)
    places, _ = neighbours(vectors, 5)
    wnid = np.array([int(path.name[1:9]) for path in paths])
    birds = (wnid >= 1514859) & (wnid <= 1622779)  # hen to great grey owl
    assert birds[places[birds]].mean() > 3 * birds.mean()


def test_without_arguments_it_takes_the_public_weights_that_there_are(monkeypatch):
    """SqueezeNet v1.1 has torchvision's alone, which no constructor takes by itself."""
    asked = {}

    def create(name, **settings):
        asked[name] = settings
        return kv.applications.SqueezeNetV1_1(weights=None, input_shape=(48, 48, 3))

    monkeypatch.setattr(keras_vision.zoo, "create_model", create)
    ImageEmbedder(cache=False, backend="keras").fit()
    assert asked == {"SqueezeNetV1_1": {"weights": "torchvision"}}
    opened("SqueezeNetV1_1", "default")
    opened("InceptionV3", "default")
    assert asked["InceptionV3"] == {"weights": "imagenet"}
