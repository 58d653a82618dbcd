"""A residual branch that is scaled at random, by other numbers backward than forward."""

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.layers.shake_shake import shares_of_each_image


@keras.saving.register_keras_serializable("keras_vision")
class ShakeDrop(keras.layers.Layer):
    """``(b + a - b * a) * branch``: the branch as it is where b is 1, a times the branch where b is 0.

    b is drawn for each batch, 1 with probability `survival_probability`; a is drawn uniformly from `alpha` for each
    image. The gradient in training is that of ``(b + c - b * c) * branch``, with c drawn from `beta` for each image. In
    inference the factor is its mean, ``p + (1 - p) * mean(alpha)``.

    Args:
        survival_probability: p. The paper's falls with depth, for block l of L: ``1 - l / L * (1 - 0.5)``.
        alpha: range of the forward factor.
        beta: range of the backward factor.
        seed: of the draws; None for a random one.

    Input and output shape: `(n, ...)`.

    Raises:
        KerasVisionError: a probability outside [0, 1].

    Source: Yamada et al. (2018), whose best ranges for PyramidNet are the defaults; alpha and beta "by image".
    """

    def __init__(
        self,
        survival_probability: float = 0.5,
        alpha: tuple[float, float] = (-1.0, 1.0),
        beta: tuple[float, float] = (0.0, 1.0),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 <= survival_probability <= 1:
            raise KerasVisionError(
                f"survival_probability={survival_probability!r}; give a probability, between 0 and 1."
            )
        self.survival_probability, self.seed = survival_probability, seed
        self.alpha, self.beta = tuple(alpha), tuple(beta)
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        p = self.survival_probability
        if not training:
            return (p + (1 - p) * sum(self.alpha) / 2) * inputs
        survives = keras.random.uniform((), dtype="float32", seed=self.generator) < p
        forward, backward = (
            ops.where(survives, ops.ones((), inputs.dtype), shares_of_each_image(inputs, *limits, layer=self))
            for limits in (self.alpha, self.beta)
        )
        return backward * inputs + ops.stop_gradient((forward - backward) * inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("survival_probability", "alpha", "beta", "seed")}
        return {**super().get_config(), **own}
