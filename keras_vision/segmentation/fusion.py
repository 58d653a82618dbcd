"""Two networks whose logits are summed, as for colour and depth."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import layers

from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel


def late_fusion(first: VisionModel, second: VisionModel, name: str = "late_fusion") -> VisionModel:
    """The sum of both networks' logits: `[(n, h, w, c), (n, h, w, d)] -> (n, h, w, classes)`, trained as one.

    Both networks are layers of it, weights and all; each has its own `preprocessing`, and the card's is the first's.
    Early fusion needs no function: `input_shape=(None, None, 4)` takes depth as a fourth channel.

    Args:
        first, second: of the same outputs and different names.
        name: of the fused network, whose inputs are "<name of the network>_image".

    Raises:
        KerasVisionError: the names are the same, or the outputs differ.

    Source: FCN (Long et al., 2015), section 5, "NYUDv2".
    """
    if first.name == second.name:
        raise KerasVisionError(f"both networks are called {first.name}: give one another name=.")
    shapes = [keras.tree.map_structure(lambda x: x.shape[-1], model.output) for model in (first, second)]
    if shapes[0] != shapes[1]:
        raise KerasVisionError(f"{first.name} gives {shapes[0]} classes and {second.name} {shapes[1]}: need the same.")
    inputs = [keras.Input(model.input_shape[1:], name=f"{model.name}_image") for model in (first, second)]
    a, b = (model(image) for model, image in zip((first, second), inputs, strict=True))
    fused = VisionModel(inputs, _summed(a, b), name=name)
    cards = first.card, second.card
    return fused.with_card(
        dataclasses.replace(
            first.card,
            parameters=sum(card.parameters for card in cards),
            trainable_parameters=sum(card.trainable_parameters for card in cards),
            multiply_adds=None,
            deviations=(*first.card.deviations, f"logits are summed with those of {second.card.name} on another input"),
        )
    )


def _summed(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {name: layers.Add(name=f"{name}_sum")([a[name], b[name]]) for name in a}
    return layers.Add(name="sum")([a, b])
