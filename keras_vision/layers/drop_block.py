"""Dropout of whole squares of a feature map, as neighbouring cells say much the same."""

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class DropBlock(keras.layers.Layer):
    """Sets squares of each channel to zero in training and scales the rest up; leaves inference alone.

    Squares lie wholly inside the map and may overlap. Their number is such that about ``1 - keep_prob`` of the cells
    go (Equation 1): each of the ``(h - b + 1) * (w - b + 1)`` places of a square of side `b` has one with probability
    ``(1 - keep_prob) / b**2 * h * w / ((h - b + 1) * (w - b + 1))``. What is kept is divided by its share of the cells.

    Args:
        keep_prob: share of the cells to keep. A variable: a schedule, such as the paper's linear one from 1, assigns to
            `layer.keep_prob`.
        block_size: side `b` of a square, in cells; of a smaller map, its shorter side.
        seed: of the draws; None for a random one.

    Input shape: `(n, h, w, c)`, of known height and width. Output shape: the same.

    Raises:
        KerasVisionError: a share outside (0, 1], a size below 1, or a map of open size.

    Source: Ghiasi, Lin, Le (2018), Algorithm 1 and Equation 1, with a mask for each channel (section 3).
    """

    def __init__(self, keep_prob: float = 0.9, block_size: int = 7, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 < keep_prob <= 1:
            raise KerasVisionError(f"keep_prob={keep_prob!r}; give the share of cells to keep, above 0, at most 1.")
        if not isinstance(block_size, int) or block_size < 1:
            raise KerasVisionError(f"block_size={block_size!r}; give a whole number of cells, at least 1.")
        self.start, self.block_size, self.seed = keep_prob, block_size, seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        if None in input_shape[1:3]:
            raise KerasVisionError(f"{self.name}: squares of zeros need a map of known height and width.")
        start = keras.initializers.Constant(self.start)
        self.keep_prob = self.add_weight(
            shape=(), initializer=start, trainable=False, autocast=False, dtype="float32", name="keep_prob"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        height, width, channels = inputs.shape[1:]
        side = min(self.block_size, height, width)
        places = height - side + 1, width - side + 1
        gamma = (1 - ops.convert_to_tensor(self.keep_prob)) * height * width / (side**2 * places[0] * places[1])
        shape = (ops.shape(inputs)[0], *places, channels)
        corners = ops.cast(keras.random.uniform(shape, dtype="float32", seed=self.generator) < gamma, "float32")
        corners = ops.pad(corners, ((0, 0), (side - 1, side - 1), (side - 1, side - 1), (0, 0)))
        kept = 1 - ops.max_pool(corners, side, 1, data_format="channels_last")
        scale = 1 / ops.maximum(ops.mean(kept), 1e-7)  # all gone: zeros, not 0 / 0
        return inputs * ops.cast(kept * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = dict(keep_prob=self.start, block_size=self.block_size, seed=self.seed)
        return {**super().get_config(), **own}
