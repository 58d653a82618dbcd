"""The signature of a SavedModel that takes an encoded image and gives maps of its size."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_vision.data.decode import decode_image
from keras_vision.model import VisionModel, normalize


def dense_signature(model: VisionModel) -> Any | None:
    """A `tf.function` from "image_bytes", a scalar, to maps, or None for networks of no maps or of raw channels.

    Segmentation gives "class" `(h, w)` int32 and "probability" `(h, w, k)`, edges "probability" `(h, w)`.
    """
    outputs = keras.tree.flatten(model.outputs)
    dense = model.card.task in ("segmentation", "edges") and not isinstance(model.output, dict)
    if not dense or len(outputs[0].shape) != 4 or model.preprocessing.color == "raw" or model.card.output == "features":
        return None
    fixed = keras.tree.flatten(model.inputs)[0].shape[1:3]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="image_bytes")])
    def serve(image_bytes: Any) -> dict[str, Any]:
        pixels = decode_image(image_bytes, model.preprocessing.channels)[None]
        size = tf.shape(pixels)[1:3]
        if None not in fixed:
            pixels = tf.round(tf.image.resize(pixels, fixed, antialias=True))
        scores = keras.tree.flatten(model(normalize(pixels, model.preprocessing), training=False))[0]
        probability = tf.image.resize(_probability(scores, model.card.output), size)[0]
        if model.card.task == "edges":
            return {"probability": probability[..., 0]}
        return {"class": tf.argmax(probability, -1, tf.int32), "probability": probability}

    return serve


def _probability(scores: Any, output: str) -> Any:
    if output != "logit":
        return scores
    return tf.sigmoid(scores) if scores.shape[-1] == 1 else tf.nn.softmax(scores)
