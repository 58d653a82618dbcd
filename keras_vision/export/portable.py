"""Models without operations of this package's own, which exported files cannot hold."""

from __future__ import annotations

from typing import Any

import keras

from keras_vision import graph
from keras_vision.errors import ExportError
from keras_vision.layers import DenseCRF
from keras_vision.model import VisionModel


def portable(model: VisionModel) -> VisionModel:
    """The model, or, if its CRFs run the compiled operation, a copy in which they run the reference in `keras.ops`.

    The reference thins the Bilateral kernels of images with more than 4,096 pixels, so its marginals differ a little
    from those of the operation (`keras_vision.ops.crf.reference`). What an exported file gives is compared with it.

    Raises:
        ExportError: a CRF is hidden in a layer of another class.
    """
    if not _operations(model):
        return model
    copy = graph.cloned(model, clone_function=_with_reference, recursive=True)
    copy.set_weights(model.get_weights())
    if left := _operations(copy):
        raise ExportError(
            f"{left[0].name} is a DenseCRF inside a layer of another class, where it cannot be replaced; build that "
            "layer with DenseCRF(impl='reference'), or use the CRF as a layer of the model."
        )
    copy.labels = model.labels
    return copy.with_card(model.card)


def _operations(model: keras.Model) -> list[DenseCRF]:
    """Its CRFs, at any depth, that do not run the reference."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in layers if isinstance(layer, DenseCRF) and layer.impl != "reference"]


def _with_reference(layer: Any) -> Any:
    config = layer.get_config()
    return layer.__class__.from_config({**config, "impl": "reference"} if isinstance(layer, DenseCRF) else config)
