"""The network behind `ImageEmbedder(model=...)`: by name, model or file; converted to LiteRT once and kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vision.analytics.cache import cache_place
from keras_vision.analytics.runners import KerasRunner, LiteRTRunner, Runner
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.analytics.embedding import ImageEmbedder
    from keras_vision.model import VisionModel
    from keras_vision.registry import Entry

BACKENDS = ("litert", "keras")
IMAGENET_CLASSES = 1000


def open_runner(embedder: ImageEmbedder) -> Runner:
    """The network of an embedder, ready to run.

    Raises:
        KerasVisionError: no such model or layer; arguments that do not go together; a file that gives no features.
    """
    threads = embedder.threads or os.cpu_count() or 1
    if _is_litert(embedder.model):
        if embedder.layer is not None or embedder.pooling != "avg" or embedder.backend != "litert":
            raise KerasVisionError(f"{embedder.model} has its layer, pooling and backend; leave these arguments out.")
        return LiteRTRunner(Path(str(embedder.model)), threads)
    from keras_vision.analytics.network import network_hash

    features = _features(embedder)
    key = network_hash(features)
    if embedder.backend == "keras":
        return KerasRunner(features, embedder.batch_size, f"k{key[1:]}")  # its vectors differ in the sixth digit
    from keras_vision.export import to_litert

    folder = cache_place(embedder.cache)
    if folder is not None:
        path = folder / f"{key[:32]}.tflite"
        if not path.is_file():
            to_litert(features, path, overwrite=True)  # another process may have been faster
        return LiteRTRunner(path, threads, features.card.name, key)
    with tempfile.TemporaryDirectory() as temporary:
        to_litert(features, Path(temporary) / "features.tflite")
        runner = LiteRTRunner(Path(temporary) / "features.tflite", threads, features.card.name, key)
        runner.open_all()  # before the file goes
        return runner


def write_features(embedder: ImageEmbedder, path: Path, overwrite: bool) -> None:
    """Write an embedder's network as a LiteRT file.

    Raises:
        KerasVisionError: it is one already, or the file exists.
    """
    if _is_litert(embedder.model):
        raise KerasVisionError(f"{embedder.model} is a LiteRT file already; copy it.")
    from keras_vision.export import to_litert

    to_litert(_features(embedder), path, overwrite=overwrite)


def _is_litert(model: Any) -> bool:
    return isinstance(model, str | os.PathLike) and Path(model).suffix == ".tflite"


def _features(embedder: ImageEmbedder) -> VisionModel:
    from keras_vision.analytics.network import feature_network
    from keras_vision.model import VisionModel

    model = embedder.model
    if isinstance(model, str | os.PathLike):
        model = _named(model, embedder.weights)
    elif embedder.weights not in (None, "default"):
        raise KerasVisionError(f"weights={embedder.weights!r} are for a model's name; this model has its own.")
    if not isinstance(model, VisionModel):
        raise KerasVisionError(f"model={model!r}; give a model's name, a keras_vision model, or its file.")
    features = feature_network(model, embedder.layer, embedder.pooling)
    if features.preprocessing.color == "raw":
        raise KerasVisionError(f"{model.name} takes {features.preprocessing.channels} channels, as no image file has.")
    return features


def _named(name: str | os.PathLike, weights: Any) -> VisionModel:
    if Path(name).suffix == ".keras":
        import keras

        if not Path(name).is_file():
            raise KerasVisionError(f"{name}: no such file.")
        try:
            return keras.models.load_model(name, compile=False)
        except Exception as error:  # Keras raises many kinds on a damaged archive
            raise KerasVisionError(f"{name}: damaged, or not a Keras model file ({error}).") from error
    from keras_vision.registry import find
    from keras_vision.zoo import create_model

    entry = find(str(name))
    weights = public_weights(entry) if weights == "default" else weights
    if weights == "default":
        names = ", ".join(repr(file.name) for file in entry.weights) or "no public ones"
        raise KerasVisionError(f"{entry.name} has no weights by default; give weights=, a file or a name ({names}).")
    return create_model(str(name), weights=weights)


def public_weights(entry: Entry) -> str:
    """The weights that describe images unless others are named: the default ones, else the first of ImageNet's classes.

    Returns:
        Their name, or "default" where there are none.
    """
    of_imagenet = [file.name for file in entry.weights if file.classes == IMAGENET_CLASSES]
    return entry.default_weights or next(iter(of_imagenet), "default")
