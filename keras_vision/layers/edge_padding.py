"""Padding that repeats the cells at the edge of a map."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_vision")
class EdgePadding2D(layers.ZeroPadding2D):
    """One more cell on every side, each equal to its neighbour: `(n, h, w, c) -> (n, h + 2, w + 2, c)`.

    A map that is interpolated afterwards keeps its value up to the edge of the image, where zeros would fade it.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(1, **kwargs)

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["padding"]
        return config
