"""Embeddings against the Keras model called by hand; what cannot be embedded."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import keras_vision as kv
import keras_vision.zoo
from keras_vision.analytics import (
    ImageEmbedder,
    feature_network,
    walk_images,
)  # fmt: skip
from keras_vision.cli.embed import opened
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import open_image


def by_hand(model, paths, layer="fire9"):
    import keras

    features = keras.Model(model.input, model.get_layer(layer).output)
    maps = [features(model.preprocessing(open_image(path))[None]).numpy()[0] for path in paths]
    return np.stack([each.mean((0, 1)) for each in maps])


def close(actual, expected, share=1e-4):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= share * np.ptp(expected)


@pytest.mark.parametrize("backend", ["litert", "keras"])
def test_vectors_are_those_of_the_model(model, paths, tmp_path, backend):
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


def test_in_a_pipeline(file, paths):
    four = np.array(list(map(str, paths[:4])), object)
    pipeline = clone(make_pipeline(ImageEmbedder(file, cache=False), LogisticRegression(max_iter=300)))
    assert (pipeline.fit(four, [0, 0, 1, 1]).predict(four) == [0, 0, 1, 1]).all()


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
