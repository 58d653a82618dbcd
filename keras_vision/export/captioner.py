"""A captioner to files: a SavedModel that says whole captions, and LiteRT, whose words a search puts together.

A beam search does not convert to LiteRT's builtin operations; its encoder and its step do, and `runtime.Captioner`
searches.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.errors import ExportError
from keras_vision.export.child import to_lite
from keras_vision.export.metadata import pack
from keras_vision.export.parity import Parity, compare, compare_quantized, sample_pixels
from keras_vision.files import whole_file, whole_folder
from keras_vision.model import VisionModel
from keras_vision.runtime.caption_words import START
from keras_vision.runtime.captioner import ENCODE, STEP, Captioner
from keras_vision.runtime.predictor import CARD_FILE, LABELS_FILE

MOST_WORDS = 30  # of a caption of the SavedModel, the end included
_CHECKED = 3  # words, or beams, in the proof of a step


def captioner_to_litert(
    model: VisionModel, path: str | os.PathLike, *, quantize: str | None = None, overwrite: bool = False
) -> Parity:
    """Write a LiteRT file of a captioner, and prove that it computes what the model computes.

    Signatures: "encode" takes a preprocessed image `(1, h, w, 3)` and gives h and c `(1, units)`, annotation vectors
    and keys; "step" takes words `(m,)`, h and c `(m, units)`, and the annotation vectors and keys of one image, and
    gives logits `(m, K)`, attention `(m, L)`, h and c. Card, preprocessing and vocabulary are packed in the file.

    Args:
        model: a `captioning.ShowAttendTell`.
        path: file to write, usually `.tflite`.
        quantize: None for float32, "float16" or "dynamic".
        overwrite: replace an existing file.

    Returns:
        The parity check.

    Raises:
        ExportError: an op LiteRT lacks, or outputs that differ; nothing is written.
        KerasVisionError: the file exists, or cannot be written.
    """
    module = _Captioning(model, one_image=True)
    content = to_lite({ENCODE: module.encode, STEP: module.step}, module, model.name, quantize=quantize)
    with whole_file(path, overwrite) as file:
        file.write_bytes(content)
        pack(file, _facts(model), model.vocabulary)
        captioner = Captioner(file)
        return _compared(model, module, captioner.run, "the LiteRT file", quantize)


def captioner_to_saved_model(model: VisionModel, path: str | os.PathLike, *, overwrite: bool = False) -> Parity:
    """Write a SavedModel of a captioner, and prove that it computes what the model computes.

    Signatures: "caption" (also the default) takes preprocessed images `(n, h, w, 3)` and gives, of the best caption
    that a beam of 5 finds, "words" `(n, 30)`, their "log_p", and "attention" `(n, 30, rows, columns)`; "encode" and
    "step" are those of `captioner_to_litert`, for any number of images. Card and vocabulary are assets.

    Args:
        model: a `captioning.ShowAttendTell`.
        path: folder to write.
        overwrite: replace an existing folder.

    Raises:
        ExportError: the outputs differ; nothing is written.
        KerasVisionError: the folder exists (one that is no SavedModel is never replaced), or cannot be written.
    """
    if Path(path).exists() and not (Path(path) / "saved_model.pb").is_file():
        raise ExportError(f"{path} exists and is no SavedModel; it is left alone. Choose another path.")
    module = _Captioning(model, one_image=False)
    with whole_folder(path, overwrite) as folder, tempfile.TemporaryDirectory() as assets:
        module.assets = []
        texts = {CARD_FILE: json.dumps(_facts(model), indent=1), LABELS_FILE: "\n".join(model.vocabulary)}
        for name, text in texts.items():
            (Path(assets) / name).write_text(text, encoding="utf-8")
            module.assets.append(tf.saved_model.Asset(str(Path(assets) / name)))
        signatures = {"serving_default": module.caption, "caption": module.caption}
        tf.saved_model.save(module, str(folder), signatures={**signatures, ENCODE: module.encode, STEP: module.step})
        loaded = tf.saved_model.load(str(folder)).signatures

        def run(name: str, **given: Any) -> Any:
            return loaded[name](**{key: tf.constant(value) for key, value in given.items()})

        parity = _compared(model, module, run, "the SavedModel")
        images = _images(model)
        expected = model.tell(images, beam=min(5, len(model.vocabulary)), longest=MOST_WORDS)
        if (run("caption", image=images)["words"].numpy() != expected.words[:, 0]).any():
            raise ExportError(f"the signature 'caption' of {model.name} says other words; nothing was written.")
        return parity


class _Captioning(tf.Module):
    """Encoder, step and whole captions as functions."""

    def __init__(self, model: Any, one_image: bool):
        super().__init__()
        self._tracked = [variable.value for variable in model.variables]
        cell, shape = model.cell, model.inputs[0].shape[1:]
        n = 1 if one_image else None
        self.names = ["h", "c", "annotations"] + ([] if cell.attention == "mean" else ["keys"])
        sizes = [(None, cell.units)] * 2 + [(n, cell.locations, cell.channels), (n, cell.locations, cell.keys)]
        specs = [tf.TensorSpec(s, tf.float32, name=k) for k, s in zip(self.names, sizes, strict=False)]

        @tf.function(input_signature=[tf.TensorSpec((n, *shape), tf.float32, name="image")])
        def encode(image: Any) -> dict[str, Any]:
            states = model.first_states(model.encoder(image, training=False))
            return dict(zip(self.names, map(tf.identity, states), strict=True))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="word"), *specs])
        def step(word: Any, *states: Any) -> dict[str, Any]:
            logits, (h, c, *_), alpha = model.next_word(word, states)
            return {"logits": logits, "attention": alpha, "h": h, "c": c}

        @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32, name="image")])
        def caption(image: Any) -> dict[str, Any]:
            beam = min(5, len(model.vocabulary))
            found = model.searched(model.encoder(image, training=False), beam, MOST_WORDS)
            maps = tf.reshape(found["attention"][:, 0], (-1, MOST_WORDS, *model.grid))
            return {"words": found["words"][:, 0], "log_p": found["log_p"][:, 0], "attention": maps}

        self.encode, self.step, self.caption = encode, step, caption


def _facts(model: Any) -> dict[str, Any]:
    card = {**model.card.to_dict(), "grid": list(model.grid)}
    return {"card": card, "preprocessing": model.preprocessing.to_dict()}


def _images(model: Any, count: int = 1) -> np.ndarray:
    return model.preprocessing.normalize(sample_pixels(model.preprocessing, count))


def _compared(model: Any, module: _Captioning, run: Any, what: str, quantize: str | None = None) -> Parity:
    """Encoder and step of a file against the Keras model's, the step with one word and with several."""

    def held(expected: list[np.ndarray], got: list[np.ndarray]) -> Parity:
        if quantize is None:
            return compare(expected, got, named)
        return compare_quantized(expected, got, model.card, named, None)

    states = [np.asarray(state) for state in model.first_states(model.encoder(_images(model), training=False))]
    encoded = run(ENCODE, image=_images(model))
    named = f"{what} of {model.name}"
    found = [held(states, [np.asarray(encoded[name]) for name in module.names])]
    for count in (1, _CHECKED):
        words = np.arange(START, START + count, dtype=np.int32)
        given = [np.repeat(state, count, axis=0) for state in states[:2]] + states[2:]
        logits, (h, c, *_), alpha = model.next_word(words, given)
        got = run(STEP, word=words, **dict(zip(module.names, given, strict=True)))
        expected = [np.asarray(value) for value in (logits, alpha, h, c)]
        found.append(held(expected, [np.asarray(got[k]) for k in ("logits", "attention", "h", "c")]))
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))
