"""Outputs of a Keras model and of its LiteRT file for the same images, to compare them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_vision.errors import ExportError
from keras_vision.export.calibration import as_pixels
from keras_vision.export.parity import named_outputs
from keras_vision.model import VisionModel
from keras_vision.runtime.quantized import to_tensor, to_values

_AT_ONCE = 8  # images through Keras
_LARGEST = 1 << 25  # values of an output that are held


def _keras_outputs(model: VisionModel, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name for normalised images `(1, h, w, c)`; of maps only for as many as fit into 128 MiB."""
    rows: list[dict[str, np.ndarray]] = []
    for start in range(0, len(images), _AT_ONCE):
        outputs = named_outputs(model, model(np.concatenate(images[start : start + _AT_ONCE]), training=False))
        rows.append({name: np.asarray(value, np.float32) for name, value in outputs.items()})
        if sum(value.size for row in rows for value in row.values()) > _LARGEST:
            break
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def both_outputs(
    model: VisionModel, file: Path, images: Sequence[np.ndarray], *, in_graph: bool, flex: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs of the Keras model and of the file, in the same order, of all images or as many as `_LARGEST` allows.

    Args:
        model: the model.
        file: a file of `to_litert`, which is given one image after the other; its integers become real values.
        images: normalised, `(1, h, w, c)` each.
        in_graph: whether the file takes pixels.
        flex: whether it holds operations of TensorFlow's own.

    Raises:
        ExportError: it does, and TensorFlow's interpreter has no Flex delegate to run them.
    """
    expected = _keras_outputs(model, images)
    images = images[: len(next(iter(expected.values())))]
    runner = _opened(file, flex).get_signature_runner()
    takes, gives = runner.get_input_details()["image"], runner.get_output_details()
    rows: list[dict[str, Any]] = []
    for values in as_pixels(images, model.preprocessing, corner=False) if in_graph else images:
        outputs = runner(image=to_tensor(np.round(values) if in_graph else values, takes))
        rows.append({name: to_values(value, gives[name]) for name, value in outputs.items()})
    return list(expected.values()), [np.concatenate([row[name] for row in rows]) for name in expected]


def _opened(file: Path, flex: bool) -> Any:
    interpreter = (tf.lite.Interpreter if flex else Interpreter)(model_path=str(file), num_threads=os.cpu_count())
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        if not flex:
            raise
        raise ExportError(
            f"TensorFlow {tf.__version__} has no Flex delegate here, so that the file cannot be compared with the "
            "model; nothing was written. Replace what LiteRT has no builtin operation for."
        ) from error
    return interpreter
