"""Trained weights into a model that differs from theirs where users ask for it: input channels, classes, no top."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import keras
import numpy as np

from keras_vision.errors import KerasVisionWarning, WeightsError
from keras_vision.model import VisionModel
from keras_vision.weights.loading import load, variables

_REVERSED = {"RGB": "BGR", "BGR": "RGB"}


def load_pretrained(
    model: keras.Model,
    arrays: Mapping[str, np.ndarray],
    head_layers: tuple[str, ...],
    classifiers: tuple[str, ...],
    classes: int | None,
    source: str,
) -> None:
    """Load strictly, but for the head: its layers may be absent from the model, and a classifier may be replaced.

    Args:
        model: takes the values in place.
        arrays: by "layer/variable".
        head_layers: name prefixes of the layers after the trunk.
        classifiers: name prefixes of those whose width is the number of classes.
        classes: what the caller asked for; None if nothing, and then a missing classifier is an error.
        source: what to call the weights in messages.

    Raises:
        WeightsError: the trunk does not fit, or there is no classifier and the caller did not ask for a new one.

    Warns:
        KerasVisionWarning: layers of the head keep their random values.
    """
    present = {layer.name for layer in model.layers}
    arrays = {k: v for k, v in arrays.items() if not k.startswith(head_layers) or k.partition("/")[0] in present}
    arrays = fold_biases(model, adapt_first_kernel(model, arrays))
    replaced = _replaced(model, arrays, head_layers, classifiers)
    fitting = {k: v for k, v in arrays.items() if k.partition("/")[0] not in replaced}
    report = load(model, fitting, ("missing",), source)
    if lost := [path for path in report.missing if path.partition("/")[0] not in replaced]:
        raise WeightsError(f"{source} does not fit {model.name}: {len(lost)} missing: {', '.join(lost[:5])}.")
    if replaced and classes is None and not any(k.startswith(classifiers) for k in arrays):
        raise WeightsError(f"{source} holds no classifier: pass include_top=False, or classes=N to train a new one.")
    if replaced:
        warnings.warn(
            f"{model.name}: random values in {', '.join(sorted(replaced))}, because {source} has nothing of that "
            "shape. Train before use.",
            KerasVisionWarning,
            stacklevel=4,
        )


def adapt_first_kernel(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A first kernel for three channels made to fit the model's: summed for one, tiled and scaled by 3/N for N.

    One channel then gives what the grey image, fed three times, gave.
    """
    channels = keras.tree.flatten(model.inputs)[0].shape[-1]
    first = next(layer for layer in model.layers if layer.weights).name
    key = next((k for k in (f"{first}/kernel", f"{first}/0") if k in arrays), None)
    if channels == 3 or key is None or arrays[key].shape[-2] != 3:
        return dict(arrays)
    kernel = arrays[key]
    if channels == 1:
        adapted = kernel.sum(axis=-2, keepdims=True)
    else:
        adapted = kernel[..., np.arange(channels) % 3, :] * np.float32(3 / channels)
    return {**arrays, key: adapted}


def reverse_channels(model: VisionModel) -> None:
    """Turn a network for BGR images into the same for RGB, or back: its first kernel and its card's preprocessing.

    Raises:
        WeightsError: the model takes other channels than these.
    """
    spec = model.preprocessing
    kernel = next(layer for layer in model.layers if layer.weights).weights[0]
    if spec.color not in _REVERSED or kernel.shape[-2] != 3:
        raise WeightsError(f"{model.name} takes {spec.color} images of {spec.channels} channels, not RGB or BGR.")
    kernel.assign(keras.ops.flip(kernel, axis=-2))
    spec = dataclasses.replace(spec, color=_REVERSED[spec.color], mean=spec.mean[::-1], std=spec.std[::-1])
    model.with_card(dataclasses.replace(model.card, preprocessing=spec))


def fold_biases(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Biases of convolutions that have none in the model, taken into the mean of the batch norm after each.

    ``gamma * (x + b - mean) / sqrt(variance)`` is ``gamma * (x - (mean - b)) / sqrt(variance)``.
    """
    folded = dict(arrays)
    for layer in model.layers:
        bias, mean = f"{layer.name}/bias", f"{layer.name.removesuffix('_conv')}_bn/moving_mean"
        if getattr(layer, "use_bias", True) is False and bias in folded and mean in folded:
            folded[mean] = folded[mean] - folded.pop(bias)
    return folded


def _replaced(
    model: keras.Model, arrays: Mapping[str, np.ndarray], head_layers: tuple[str, ...], classifiers: tuple[str, ...]
) -> set[str]:
    """Layers of the head for which there is nothing, or a classifier of another number of classes."""
    replaced = set()
    for path, key, variable in variables(model, arrays):
        layer = path.partition("/")[0]
        other_width = layer.startswith(classifiers) and key is not None and arrays[key].shape != tuple(variable.shape)
        if layer.startswith(head_layers) and (key is None or other_width):
            replaced.add(layer)
    return replaced
