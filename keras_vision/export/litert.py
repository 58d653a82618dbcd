"""LiteRT (TFLite) files with builtin ops only, their preprocessing described in the file, checked against the model."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_vision.errors import ExportError
from keras_vision.export.captioner import captioner_to_litert
from keras_vision.export.generator import generator_to_litert
from keras_vision.export.metadata import add_metadata
from keras_vision.export.parity import Parity, check_exportable, compare, named_outputs, sample_pixels
from keras_vision.export.portable import portable
from keras_vision.files import whole_file
from keras_vision.model import VisionModel, normalize

_OPEN_SIZES = ((96, 128), (131, 75))


def to_litert(
    model: VisionModel,
    path: str | os.PathLike,
    *,
    preprocessing: bool = False,
    uint8_input: bool = False,
    overwrite: bool = False,
) -> Parity:
    """Write a float32 LiteRT file for one image at a time and prove that it computes what the model computes.

    Labels, card and normalisation go into the file as LiteRT metadata, which `runtime.Predictor` reads.

    A `layers.DenseCRF` goes into the file as its reference in builtin operations, with which the
    file is compared then (`portable`). Of a network that draws, see `generator_to_litert`, and of one that tells
    `captioner_to_litert`.

    Args:
        model: with a fixed input size; or with an open one, if it gives a map `(n, h, w, k)` of classes or edges, and
            then the file takes images of any size (`runtime.DensePredictor`).
        path: file to write, usually `.tflite`.
        preprocessing: take RGB pixels in 0–255 and normalise in the graph; resizing stays with the caller.
        uint8_input: take them as uint8; implies `preprocessing`.
        overwrite: replace an existing file.

    Returns:
        The parity check.

    Raises:
        ExportError: open input size of a classifier, an op LiteRT lacks, or outputs that differ; nothing is written.
        KerasVisionError: the file exists, or cannot be written.
    """
    check_exportable(model)
    if model.card.task == "generation":
        if preprocessing or uint8_input:
            raise ExportError(f"{model.name} takes codes, not images; leave preprocessing and uint8_input out.")
        return generator_to_litert(model, path, overwrite=overwrite)
    if model.card.task == "captioning":
        if preprocessing or uint8_input:
            raise ExportError(f"{model.name} takes normalised images alone; leave preprocessing and uint8_input out.")
        return captioner_to_litert(model, path, overwrite=overwrite)
    model = portable(model)
    shape = keras.tree.flatten(model.inputs)[0].shape[1:]
    if None in shape and not _gives_maps(model):
        raise ExportError(
            f"{model.name} takes {shape}; LiteRT needs a fixed size: build it with input_shape=(h, w, c)."
        )
    in_graph = preprocessing or uint8_input
    with whole_file(path, overwrite) as file:
        file.write_bytes(_convert(model, (1, *shape), in_graph, uint8_input))
        spec = model.preprocessing.without_normalization() if in_graph else model.preprocessing
        add_metadata(file, model, spec)
        found = [_check(model, file, in_graph, size) for size in _sizes(model, shape)]
        return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))


def _gives_maps(model: VisionModel) -> bool:
    """Whether the first output is classes, or an edge, at each pixel: not features, and not several by name."""
    dense = not isinstance(model.output, dict) and len(keras.tree.flatten(model.outputs)[0].shape) == 4
    return dense and model.card.output != "features"


def _sizes(model: VisionModel, shape: tuple[int | None, ...]) -> tuple[tuple[int, int], ...]:
    """Heights and widths to compare at: the model's, or, if it is open, two of which one fits no stride."""
    return _OPEN_SIZES if None in shape else (model.preprocessing.size,)


def _convert(model: VisionModel, shape: tuple[int | None, ...], in_graph: bool, uint8_input: bool) -> bytes:
    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8 if uint8_input else tf.float32, name="image")])
    def serve(image: Any) -> dict[str, Any]:
        x = normalize(image, model.preprocessing) if in_graph else image
        return named_outputs(model, model(x, training=False))

    module = tf.Module()  # tracks the variables, so that the converter can freeze them
    module.tracked, module.serve = [variable.value for variable in model.variables], serve
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return converter.convert()
    except Exception as error:  # the converter's own ConverterError is not public
        raise ExportError(f"{model.name} does not convert to LiteRT's builtin ops: {error}") from error


def _check(model: VisionModel, file: Path, in_graph: bool, size: tuple[int, int]) -> Parity:
    interpreter = Interpreter(model_path=str(file), num_threads=os.cpu_count())
    run = interpreter.get_signature_runner()
    dtype = run.get_input_details()["image"]["dtype"]
    spec = dataclasses.replace(model.preprocessing, size=size, resize_shorter=None)
    expected, got = [], []
    for pixels in sample_pixels(spec)[:, None]:
        normalized = spec.normalize(pixels)
        expected.append(named_outputs(model, model(normalized, training=False)))
        got.append(run(image=pixels.astype(dtype) if in_graph else normalized))
    names = list(expected[0])
    reference, candidate = ([np.concatenate([row[name] for row in rows]) for name in names] for rows in (expected, got))
    return compare(reference, candidate, f"the LiteRT file of {model.name}")
