"""LiteRT (TFLite) files, float or quantised, their preprocessing described in the file, checked against the model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.errors import ExportError
from keras_vision.export.calibration import as_pixels, calibration_images
from keras_vision.export.captioner import captioner_to_litert
from keras_vision.export.child import to_lite
from keras_vision.export.form import Form
from keras_vision.export.generator import generator_to_litert
from keras_vision.export.metadata import add_metadata
from keras_vision.export.parity import (
    Parity,
    check_exportable,
    compare,
    compare_quantized,
    named_outputs,
    required,
    sample_pixels,
)
from keras_vision.export.portable import portable
from keras_vision.export.running import both_outputs
from keras_vision.files import whole_file
from keras_vision.model import VisionModel, normalize

_OPEN_SIZES = ((96, 128), (131, 75))


def to_litert(
    model: VisionModel,
    path: str | os.PathLike,
    *,
    quantize: str | None = None,
    representative: Any = None,
    images: int = 200,
    io: str = "float32",
    agreement: float | None = None,
    preprocessing: bool = False,
    uint8_input: bool = False,
    batch: int | None = 1,
    flex: bool = False,
    overwrite: bool = False,
) -> Parity:
    """Write a LiteRT file and prove that it computes what the model computes.

    Labels, card and normalisation go into the file as LiteRT metadata, which `runtime.Predictor` reads. The conversion
    runs in a process of its own.

    A `layers.DenseCRF` goes into the file as its reference in builtin operations, with which the
    file is compared then (`portable`). Of a network that draws, see `generator_to_litert`, and of one that tells
    `captioner_to_litert`.

    Args:
        model: with a fixed input size; or with an open one, if it gives a map `(n, h, w, k)` of classes or edges, and
            then the file takes images of any size (`runtime.DensePredictor`).
        path: file to write, usually `.tflite`.
        quantize: None for float32; "float16" stores weights in half the bytes; "dynamic" stores them in a quarter and
            computes with 8 bits where it can; "int8" also fixes the ranges of what lies between layers.
        representative: photographs to calibrate "int8" on and to compare any quantised file on, as of
            `calibration_images`: not those it is tested on later.
        images: how many of them to take.
        io: of "int8", what the file takes and gives: "float32", "int8" or "uint8".
        agreement: least share of images (of maps: pixels) of `representative` with the Keras model's answer; by default
            what the card states for this form of these weights, else 98 %.
        preprocessing: take RGB pixels in 0–255 and normalise in the graph; resizing stays with the caller.
        uint8_input: take them as uint8; implies `preprocessing`.
        batch: images at a time; None for any number, for which the input is resized.
        flex: let TensorFlow's own operations into the file where LiteRT lacks them. `export.contents` lists them; the
            runtime of this package does not run such a file, so it is compared through TensorFlow's interpreter.
        overwrite: replace an existing file.

    Returns:
        The parity check: against 1e-4 of the range of the outputs for float32, and against the least agreement for
        quantised files. Of those that were given no photographs only the mean difference is held, to 5 % of the range.

    Raises:
        ExportError: open input size of a classifier, an op LiteRT lacks, no or unfit calibration images, weights that
            are not finite, a crash of the converter, or outputs that differ; nothing is written.
        KerasVisionError: the file exists, or cannot be written.
    """
    form = Form(quantize, io, preprocessing or uint8_input, uint8_input, batch, flex)
    check_exportable(model)
    if quantize == "int8" and model.card.task in ("generation", "captioning"):
        raise ExportError(f"{model.name} is recurrent, which has no int8 form; choose 'dynamic', or None for float32.")
    if model.card.task == "generation":
        if form.in_graph or form.flex or batch != 1:
            raise ExportError(f"{model.name} takes codes, not images; leave preprocessing, batch and flex out.")
        return generator_to_litert(model, path, quantize=quantize, overwrite=overwrite)
    if model.card.task == "captioning":
        if form.in_graph or form.flex or batch != 1:
            raise ExportError(f"{model.name} takes one normalised image; leave preprocessing, batch and flex out.")
        return captioner_to_litert(model, path, quantize=quantize, overwrite=overwrite)
    model = portable(model)
    shape = keras.tree.flatten(model.inputs)[0].shape[1:]
    if None in shape and not _gives_maps(model):
        raise ExportError(
            f"{model.name} takes {shape}; LiteRT needs a fixed size: build it with input_shape=(h, w, c)."
        )
    if representative is None and quantize == "int8":
        raise ExportError("int8 needs photographs to calibrate on: give representative=, a folder or a tf.data set.")
    given = None if representative is None else calibration_images(representative, model, images)
    with whole_file(path, overwrite) as file:
        file.write_bytes(_converted(model, shape, form, given or ()))
        spec = model.preprocessing.without_normalization() if form.in_graph else model.preprocessing
        add_metadata(file, model, spec)
        return _checked(model, file, form, given, agreement)


def _gives_maps(model: VisionModel) -> bool:
    """Whether the first output is classes, or an edge, at each pixel: not features, and not several by name."""
    dense = not isinstance(model.output, dict) and len(keras.tree.flatten(model.outputs)[0].shape) == 4
    return dense and model.card.output != "features"


def _converted(
    model: VisionModel, shape: tuple[int | None, ...], form: Form, calibration: Sequence[np.ndarray]
) -> bytes:
    @tf.function(input_signature=[tf.TensorSpec((form.batch, *shape), form.graph_input, name="image")])
    def serve(image: Any) -> dict[str, Any]:
        x = normalize(image, model.preprocessing) if form.in_graph else image
        return named_outputs(model, model(x, training=False))

    module = tf.Module()  # tracks the variables, so that the converter can freeze them
    module.tracked, module.serve = [variable.value for variable in model.variables], serve
    fed = as_pixels(calibration, model.preprocessing, corner=True) if form.in_graph else iter(calibration)
    return to_lite(
        serve, module, model.name, quantize=form.quantize, takes=form.takes, gives=form.gives, calibration=fed,
        flex=form.flex,
    )  # fmt: skip


def _checked(
    model: VisionModel, file: Path, form: Form, given: Sequence[np.ndarray] | None, agreement: float | None
) -> Parity:
    """The file against the Keras model: quantised on the photographs, else on pixels of the model's sizes."""
    what, how = f"the LiteRT file of {model.name}", dict(in_graph=form.in_graph, flex=form.flex)
    if form.quantize is not None and given is not None:
        least = required(model, form.quantize, agreement)
        return compare_quantized(
            *both_outputs(model, file, given, **how), model.card, f"{what} as {form.quantize}", least
        )
    found = []
    for images in _samples(model):
        pair = both_outputs(model, file, images, **how)
        if form.quantize is None:
            found.append(compare(*pair, what))
        else:
            found.append(compare_quantized(*pair, model.card, f"{what} as {form.quantize}", None))
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))


def _samples(model: VisionModel) -> list[Sequence[np.ndarray]]:
    """Images at the model's size, or, if it is open, at two of which one fits no stride."""
    spec = model.preprocessing
    sizes = _OPEN_SIZES if None in keras.tree.flatten(model.inputs)[0].shape[1:] else (spec.size,)
    specs = [dataclasses.replace(spec, size=size, resize_shorter=None) for size in sizes]
    return [list(s.normalize(sample_pixels(s))[:, None]) for s in specs]
