"""Networks with early exits as one LiteRT file for each stage, so that a device runs only as many as an image needs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_vision.early_exit import Stage, checked_thresholds, stages
from keras_vision.errors import ExportError
from keras_vision.export.child import to_lite
from keras_vision.export.parity import Parity, check_exportable, compare, sample_pixels
from keras_vision.files import whole_folder
from keras_vision.model import VisionModel
from keras_vision.runtime.exits import entropy, softmax
from keras_vision.runtime.staged import INDEX_FILE

_TINY = float(np.finfo(np.float32).tiny)


def to_staged_litert(
    model: VisionModel,
    path: str | os.PathLike,
    thresholds: Sequence[float],
    exits: Collection[str] | None = None,
    *,
    overwrite: bool = False,
) -> Parity:
    """Write a folder of float32 LiteRT files, one for each stage, and prove that they compute what the model computes.

    `runtime.StagedPredictor` runs it, without TensorFlow. The files take any number of images; `exits.json` says how
    they go together, and keeps thresholds, labels, card and preprocessing.

    Args:
        model: with a fixed input size and two or more exits, such as BLeNet.
        path: folder to write.
        thresholds: entropy, in nats, below which images leave by each exit but the last.
        exits: as of `early_exit.stages`.
        overwrite: replace an existing folder.

    Returns:
        The parity check over all exits.

    Raises:
        ExportError: an open input size, an op LiteRT lacks, or outputs that differ; nothing is written.
        KerasVisionError: exits or thresholds that do not fit, or a folder that exists or cannot be written.
    """
    check_exportable(model)
    if None in model.inputs[0].shape[1:]:
        raise ExportError(f"{model.name} takes {model.inputs[0].shape[1:]}; stages need a fixed size of image.")
    cut = stages(model, exits)
    classes = int(cut[0].model.outputs[0].shape[-1])
    files = [f"stage{number}.tflite" for number in range(1, len(cut) + 1)]
    index: dict[str, Any] = dict(
        thresholds=checked_thresholds(thresholds, len(cut), classes),
        classes=classes,
        stages=files,
        exits=[stage.exit for stage in cut],
        multiply_adds=[stage.multiply_adds for stage in cut],
        preprocessing=model.preprocessing.to_dict(),
        labels=model.labels,
        card=model.card.to_dict(),
    )
    with whole_folder(path, overwrite) as folder:
        for stage, name in zip(cut, files, strict=True):
            (folder / name).write_bytes(_converted(stage, model.card.output == "logit"))
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=1), encoding="utf-8")
        return _checked(model, cut, folder, files)


def _converted(stage: Stage, logits: bool) -> bytes:
    inputs = keras.tree.flatten(stage.model.inputs)
    signature = [tf.TensorSpec(x.shape, x.dtype, name=f"carried{i}") for i, x in enumerate(inputs)]

    @tf.function(input_signature=signature)
    def serve(*carried: Any) -> dict[str, Any]:
        scores, *following = keras.tree.flatten(stage.model(list(carried), training=False))
        p = tf.nn.softmax(scores) if logits else scores
        spread = -tf.reduce_sum(p * tf.math.log(tf.maximum(p, _TINY)), axis=-1)
        return {"probabilities": p, "entropy": spread, **{f"carried{i}": x for i, x in enumerate(following)}}

    module = tf.Module()  # tracks the variables, so that the converter can freeze them
    module.tracked, module.serve = [variable.value for variable in stage.model.variables], serve
    return to_lite(serve, module, stage.model.name)


def _checked(model: VisionModel, cut: Sequence[Stage], folder: Path, files: Sequence[str]) -> Parity:
    """Every exit's probabilities and entropy, from files that feed each other, against the model's own."""
    x = model.preprocessing.normalize(sample_pixels(model.preprocessing))
    whole = keras.Model(model.input, [model.get_layer(stage.exit).output for stage in cut])
    carried, found = [x], []
    for expected, name in zip(whole(x, training=False), files, strict=True):
        interpreter = Interpreter(model_path=str(folder / name), num_threads=os.cpu_count())
        outputs = interpreter.get_signature_runner()(**{f"carried{i}": t for i, t in enumerate(carried)})
        expected = softmax(np.asarray(expected)) if model.card.output == "logit" else np.asarray(expected)
        for key, wanted in (("probabilities", expected), ("entropy", entropy(expected))):
            found.append(compare(wanted, outputs.pop(key), f"the {key} of {name} of {model.name}"))
        carried = [outputs[f"carried{i}"] for i in range(len(outputs))]
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))
