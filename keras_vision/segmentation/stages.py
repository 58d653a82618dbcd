"""From the coarse network to the fine one: weights taken over by name, and layers that stay fixed."""

from __future__ import annotations

import dataclasses

import keras

from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, counts
from keras_vision.weights import LoadReport, load
from keras_vision.weights.writing import arrays_of


def initialise_from(model: keras.Model, coarser: keras.Model) -> LoadReport:
    """Copy the weights of all layers that have the same name and shape: FCN-32s into 16s, and that into 8s.

    What the finer network adds keeps its start: scores of zero, and upsampling that interpolates.

    Args:
        model: takes the weights in place.
        coarser: is left as it is.

    Returns:
        What was copied, and what was not on either side.

    Raises:
        KerasVisionError: the networks have no layer in common.

    Source: FCN (Long et al., 2015), section 4.2.
    """
    report = load(model, arrays_of(coarser), ("missing", "unexpected", "mismatched"), coarser.name)
    if not report.loaded:
        raise KerasVisionError(f"{model.name} and {coarser.name} have no layer of one name and shape in common.")
    return report


def train_only(model: VisionModel, *prefixes: str) -> VisionModel:
    """Fix all layers but those whose names begin with one of the prefixes, and return the model.

    ``train_only(FCN32s(...), "score")`` is FCN-32s-fixed, and ``train_only(DeepLab(msc=True, ...), "msc_", "fc8_")``
    the training of DeepLab's early maps (section 4.2). Compile after it. Layers fixed before stay so.

    Raises:
        KerasVisionError: no layer with weights to train begins so.
    """
    for layer in model.layers:
        if not layer.name.startswith(prefixes):
            layer.trainable = False
    if not model.trainable_weights:
        known = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise KerasVisionError(f"nothing to train in {model.name} begins with {prefixes}; its layers: {known}.")
    return model.with_card(dataclasses.replace(model.card, **counts(model)))
