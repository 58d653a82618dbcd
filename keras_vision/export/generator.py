"""A network that draws, to files: a SavedModel that draws its own codes, and LiteRT, which takes them.

The steps of the decoder are laid out one after the other: LiteRT converts no Keras recurrence with an open batch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.errors import ExportError
from keras_vision.export.child import to_lite
from keras_vision.export.metadata import pack
from keras_vision.export.parity import Parity, compare, compare_quantized
from keras_vision.files import whole_file, whole_folder
from keras_vision.model import VisionModel
from keras_vision.runtime.generator import Generator, standard_codes
from keras_vision.runtime.predictor import CARD_FILE

_CHECKED = (1, 5)  # images, in the proof of a file


def generator_to_litert(
    model: VisionModel, path: str | os.PathLike, *, quantize: str | None = None, overwrite: bool = False
) -> Parity:
    """Write a LiteRT file that draws any number of images, and prove that it does as the model.

    It takes codes z `(T, n, z)` from the standard normal distribution, which the caller draws (`runtime.Generator`
    does), as random operations do not convert. Its outputs are "canvases", probabilities `(n, T, B, A, c)` after each
    step, and with attention "windows" `(n, T, 4)` as of `generative.Drawing`.

    Args:
        model: a `generative.DRAW`.
        path: file to write, usually `.tflite`.
        quantize: None for float32, "float16" or "dynamic".
        overwrite: replace an existing file.

    Returns:
        The parity check.

    Raises:
        ExportError: an op LiteRT lacks, or outputs that differ; nothing is written.
        KerasVisionError: the file exists, or cannot be written.
    """
    module = _Drawing(model)
    content = to_lite(module.draw, module, model.name, quantize=quantize)
    with whole_file(path, overwrite) as file:
        file.write_bytes(content)
        pack(file, {"card": {**model.card.to_dict(), "patch": model.cell.patches[1]}})
        generator = Generator(file)
        return _compared(
            model, lambda codes: generator.draw(codes)._asdict(), f"the LiteRT file of {model.name}", quantize
        )


def generator_to_saved_model(model: VisionModel, path: str | os.PathLike, *, overwrite: bool = False) -> Parity:
    """Write a SavedModel that draws, and prove that it does as the model.

    Signatures: "generate" (also the default) takes a seed and a number n, int32 scalars, and gives "images",
    probabilities `(n, B, A, c)`, "canvases" `(n, T, B, A, c)` and with attention "windows" `(n, T, 4)`; "draw" takes
    codes z `(T, n, z)`. The card is an asset. For a seed, images are other ones than `DRAWModel.generate` gives.

    Args:
        model: a `generative.DRAW`.
        path: folder to write.
        overwrite: replace an existing folder.

    Raises:
        ExportError: the outputs differ; nothing is written.
        KerasVisionError: the folder exists (one that is no SavedModel is never replaced), or cannot be written.
    """
    if Path(path).exists() and not (Path(path) / "saved_model.pb").is_file():
        raise ExportError(f"{path} exists and is no SavedModel; it is left alone. Choose another path.")
    module = _Drawing(model)
    with whole_folder(path, overwrite) as folder:
        signatures = {"serving_default": module.generate, "generate": module.generate, "draw": module.draw}
        tf.saved_model.save(module, str(folder), signatures=signatures)
        (folder / "assets" / CARD_FILE).write_text(json.dumps(model.card.to_dict(), indent=1), encoding="utf-8")
        loaded = tf.saved_model.load(str(folder))
        draw, generate = loaded.signatures["draw"], loaded.signatures["generate"]
        images = generate(seed=tf.constant(1), n=tf.constant(2))["images"]
        if images.shape != (2, *model.cell.image_shape) or not 0 <= float(tf.reduce_min(images)) <= 1:
            raise ExportError(f"the signature 'generate' of {model.name} gives {images.shape}; nothing was written.")
        run = lambda codes: draw(z=tf.constant(codes.swapaxes(0, 1)))  # noqa: E731
        return _compared(model, run, f"the SavedModel of {model.name}")


class _Drawing(tf.Module):
    """The decoder and what it writes, time first."""

    def __init__(self, model: Any):
        super().__init__()
        self._tracked = [variable.value for variable in model.variables]
        steps, codes = model.steps, model.cell.codes

        @tf.function(input_signature=[tf.TensorSpec([steps, None, codes], tf.float32, name="z")])
        def draw(z: Any) -> dict[str, Any]:
            return _drawn(model, z)

        @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="seed"), tf.TensorSpec([], tf.int32, name="n")])
        def generate(seed: Any, n: Any) -> dict[str, Any]:
            z = tf.random.stateless_normal([steps, n, codes], [seed, 0])
            found = _drawn(model, z)
            return {"images": found["canvases"][:, -1], **found}

        self.draw, self.generate = draw, generate


def _drawn(model: Any, z: Any) -> dict[str, Any]:
    cell, hidden = model.cell, []
    canvas, _, _, h, c = model.get_layer("start")(z[0])
    for codes in tf.unstack(z, model.steps):
        _, (h, c) = cell.decoder(codes, [h, c])
        hidden.append(tf.cast(h, tf.float32))
    states = tf.stack(hidden, axis=1)
    found = {"canvases": tf.sigmoid(model.canvases_of(states, canvas))}
    if cell.patches[1] is not None:
        window = cell.write.window(tf.reshape(states, (-1, cell.units)))
        places = tf.stack([*window[:3], tf.sqrt(window.variance)], axis=-1)
        found["windows"] = tf.reshape(places, (-1, model.steps, 4))
    return found


def _compared(model: Any, run: Any, what: str, quantize: str | None = None) -> Parity:
    """The drawings of a file against the Keras model's, of one image and of several.

    Quantised, windows are left out: where attention looks is chaotic, the picture is what counts.
    """
    found = []
    for n in _CHECKED:
        codes = standard_codes(model.steps, n, model.cell.codes, seed=n)
        expected, got = model.draw(codes)._asdict(), run(codes)
        names = [name for name, value in expected.items() if value is not None]
        if quantize is None:
            found.append(compare([expected[k] for k in names], [np.asarray(got[k]) for k in names], what))
        else:
            found.append(compare_quantized(expected["canvases"], got["canvases"], model.card, what, None))
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))
