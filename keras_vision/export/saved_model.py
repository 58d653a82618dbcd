"""TensorFlow SavedModel with serving signatures; loads in a TensorFlow process that has no keras_vision."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.data.decode import load_pixels
from keras_vision.errors import ExportError
from keras_vision.export.captioner import captioner_to_saved_model
from keras_vision.export.dense_signature import dense_signature
from keras_vision.export.generator import generator_to_saved_model
from keras_vision.export.parity import Parity, check_exportable, compare, named_outputs, sample_pixels
from keras_vision.export.portable import portable
from keras_vision.files import whole_folder
from keras_vision.model import VisionModel, normalize
from keras_vision.runtime.predictor import CARD_FILE, LABELS_FILE


def to_saved_model(model: VisionModel, path: str | os.PathLike, *, overwrite: bool = False) -> Parity:
    """Write a SavedModel and prove that it computes what the model computes.

    Signatures: "serve" (also the default) takes preprocessed images `(n, h, w, c)` float32; "serve_bytes" takes
    encoded images `(n,)` and decodes, resizes, crops and normalises them in the graph. Outputs are named. The card and
    the labels are assets.

    Of networks of maps, "segment" and "edges" take one encoded image, a scalar, and give maps of its own size: "class"
    `(h, w)` int32 and "probability" `(h, w, k)`, or "probability" `(h, w)` of an edge. A fixed size of input sees the
    whole image squashed to it.

    A `layers.DenseCRF` goes into the file as its reference in TensorFlow's own operations, with which
    the file is compared then (`portable`); that needs a fixed size. Of a network that draws, see
    `generator_to_saved_model`, and of one that tells `captioner_to_saved_model`.

    Args:
        model: "serve_bytes" is left out if its input size is open, or if image files do not have its channels.
        path: folder to write.
        overwrite: replace an existing folder.

    Returns:
        The parity check over both signatures.

    Raises:
        ExportError: the outputs differ; nothing is written.
        KerasVisionError: the folder exists (one that is no SavedModel is never replaced), or cannot be written.
    """
    check_exportable(model)
    if model.card.task == "generation":
        return generator_to_saved_model(model, path, overwrite=overwrite)
    if model.card.task == "captioning":
        return captioner_to_saved_model(model, path, overwrite=overwrite)
    model = portable(model)
    if Path(path).exists() and not (Path(path) / "saved_model.pb").is_file():
        raise ExportError(f"{path} exists and is no SavedModel; it is left alone. Choose another path.")
    with whole_folder(path, overwrite) as folder, tempfile.TemporaryDirectory() as assets:
        module = _Serving(model, Path(assets))
        tf.saved_model.save(module, str(folder), signatures=dict(module.endpoints))
        return _check(model, folder)


def _takes_files(model: VisionModel) -> bool:
    """Whether encoded images fit the model: a fixed size, and colours that image files have."""
    return None not in keras.tree.flatten(model.inputs)[0].shape[1:] and model.preprocessing.color != "raw"


class _Serving(tf.Module):
    def __init__(self, model: VisionModel, assets: Path):
        super().__init__()
        self._tracked = [variable.value for variable in model.variables]
        self._assets = []
        texts = {CARD_FILE: json.dumps(model.card.to_dict(), indent=1)}
        if model.labels is not None:
            texts[LABELS_FILE] = "\n".join(model.labels)
        for name, text in texts.items():
            (assets / name).write_text(text, encoding="utf-8")
            self._assets.append(tf.saved_model.Asset(str(assets / name)))
        spec = model.preprocessing
        shape = keras.tree.flatten(model.inputs)[0].shape

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
        def serve(image: Any) -> dict[str, Any]:
            return named_outputs(model, model(image, training=False))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve_bytes(image_bytes: Any) -> dict[str, Any]:
            pixels = tf.map_fn(lambda b: load_pixels(b, spec), image_bytes, fn_output_signature=tf.float32)
            return named_outputs(model, model(normalize(pixels, spec), training=False))

        self.endpoints: dict[str, Any] = {"serving_default": serve, "serve": serve}
        if _takes_files(model):
            self.endpoints["serve_bytes"] = serve_bytes
        if (signature := dense_signature(model)) is not None:
            self.endpoints[model.card.task if model.card.task == "edges" else "segment"] = signature


def _check(model: VisionModel, folder: Path) -> Parity:
    """Both signatures of the file against the Keras model, the second on PNGs, which lose nothing."""
    loaded = tf.saved_model.load(str(folder))
    spec = model.preprocessing
    pixels = sample_pixels(spec)
    checks = [("serve", tf.constant(spec.normalize(pixels)), pixels)]
    if _takes_files(model):
        encoded = tf.constant([tf.io.encode_png(image).numpy() for image in pixels])
        checks.append(("serve_bytes", encoded, np.stack([load_pixels(e, spec).numpy() for e in encoded])))
    found = []
    for name, argument, images in checks:
        expected = named_outputs(model, model(spec.normalize(images), training=False))
        got = loaded.signatures[name](argument)
        what = f"the SavedModel signature {name!r} of {model.name}"
        found.append(compare(list(expected.values()), [got[key] for key in expected], what))
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))
