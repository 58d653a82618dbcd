"""Channels of zeros beside a feature map's own."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_vision")
class ChannelPadding(layers.Layer):
    """Zero channels before and after those of a feature map.

    Args:
        padding: number of channels (before, after).

    Input shape: `(n, h, w, c)`. Output shape: `(n, h, w, before + c + after)`.

    Source: the shortcut without weights of He et al., 2015, section 3.3, option A.
    """

    def __init__(self, padding: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.padding = tuple(padding)

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, ((0, 0), (0, 0), (0, 0), self.padding))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], input_shape[-1] + sum(self.padding))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding}
