"""The same network with batch norm whose statistics are those of all replicas together."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel


def synchronized(model: keras.Model) -> keras.Model:
    """A copy in which each batch norm is synchronised, those of nested models included; not compiled.

    On several replicas it trains as one device would with the whole batch; without, each replica normalises with its
    own share, and curves differ. On one device nothing changes. Weights, layer names, card and labels are the model's;
    so is what is trainable. Make the copy in the strategy's scope, and compile it there.

    Args:
        model: functional, or `keras.Sequential`; left as it is.

    Raises:
        KerasVisionError: a model of another kind.

    Source: the statistics over all replicas of `keras.layers.BatchNormalization(synchronized=True)`.
    """
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise KerasVisionError(f"{type(model).__name__}: give a functional model, made of keras.Input and layers.")
    copy = graph.cloned(model, clone_function=_synchronized)
    copy.set_weights(model.get_weights())
    if isinstance(model, VisionModel) and isinstance(copy, VisionModel):
        copy.labels = model.labels
        copy = copy if model._card is None else copy.with_card(model.card)
    return copy


def _synchronized(layer: Any) -> Any:
    if isinstance(layer, keras.Model):
        return graph.cloned(layer, clone_function=_synchronized)
    config = layer.get_config()
    if isinstance(layer, layers.BatchNormalization):
        config["synchronized"] = True
    return layer.__class__.from_config(config)
