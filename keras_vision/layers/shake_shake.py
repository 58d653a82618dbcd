"""Two branches of a residual block, mixed at random, by other shares backward than forward."""

from typing import Any

import keras
from keras import ops

from keras_vision.layers.stochastic_depth import check_pair


@keras.saving.register_keras_serializable("keras_vision")
class ShakeShake(keras.layers.Layer):
    """``a * first + (1 - a) * second``, with a drawn uniformly from [0, 1] for each image; in inference, a is 0.5.

    The gradient in training is that of ``b * first + (1 - b) * second``, with b drawn independently of a.

    Args:
        seed: of the draws; None for a random one.

    Input shape: a list of two branches of the same shape, `(n, ...)`. Output shape: that of each.

    Raises:
        KerasVisionError: anything but two inputs.

    Source: Gastaldi (2017), Equation 2 and Figure 1; "Shake-Shake-Image".
    """

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        check_pair(self, input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        first, second = inputs
        if not training:
            return 0.5 * (first + second)
        forward, backward = shares_of_each_image(first, layer=self), shares_of_each_image(first, layer=self)
        gradient = backward * first + (1 - backward) * second
        return gradient + ops.stop_gradient((forward - backward) * (first - second))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape[0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def shares_of_each_image(x: Any, low: float = 0.0, high: float = 1.0, *, layer: Any) -> Any:
    """One uniform number for each image of a batch, `(n, ...) -> (n, 1, ...)`, by the layer's generator."""
    shape = (ops.shape(x)[0], *[1] * (len(x.shape) - 1))
    return ops.cast(keras.random.uniform(shape, low, high, dtype="float32", seed=layer.generator), x.dtype)
