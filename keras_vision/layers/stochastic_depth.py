"""Residual blocks that are skipped at random in training."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError

_MODES = ("batch", "sample")


@keras.saving.register_keras_serializable("keras_vision")
class StochasticDepth(keras.layers.Layer):
    """The sum of a block's shortcut and its branch; in training, the branch takes part only at times.

    ``shortcut + b * branch``, where b is 1 with probability `survival_probability`, else 0. In inference, b is that
    probability. The branch is an input here, so it is computed in any case; `SkippedBranch` spares that.

    Args:
        survival_probability: of the branch. The paper's falls with depth, see `survival_probabilities`. 0, which its
            networks refuse, is accepted as in tensorflow-addons.
        seed: of the draws; None for a random one.
        mode: "batch", as in the paper, draws one b for each batch; "sample" one for each sample.

    Input shape: a list `[shortcut, branch]` of two of the same shape, `(n, ...)`. Output shape: that of each.

    Raises:
        KerasVisionError: a probability outside [0, 1], another mode, or anything but two inputs.

    Source: Huang et al. (2016), Equations 2 and 5; the layer of tensorflow-addons.
    """

    def __init__(self, survival_probability: float = 0.5, seed: int | None = None, mode: str = "batch", **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(survival_probability, int | float | np.floating) or not 0 <= survival_probability <= 1:
            raise KerasVisionError(
                f"survival_probability={survival_probability!r}; give a probability, between 0 and 1."
            )
        if mode not in _MODES:
            raise KerasVisionError(f"mode={mode!r}; accepted: 'batch', 'sample'.")
        self.survival_probability, self.seed, self.mode = survival_probability, seed, mode
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        check_pair(self, input_shape)

    def survives(self, shape: tuple = ()) -> Any:
        """A draw of booleans: whether the branch takes part."""
        return keras.random.uniform(shape, dtype="float32", seed=self.generator) < self.survival_probability

    def call(self, inputs: Any, training: bool = False) -> Any:
        shortcut, branch = inputs
        if not training:
            return shortcut + self.survival_probability * branch
        each = (ops.shape(branch)[0], *[1] * (len(branch.shape) - 1)) if self.mode == "sample" else ()
        return shortcut + ops.cast(self.survives(each), branch.dtype) * branch

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape[0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]

    def get_config(self) -> dict[str, Any]:
        own = dict(survival_probability=self.survival_probability, seed=self.seed, mode=self.mode)
        return {**super().get_config(), **own}


def check_pair(layer: Any, input_shape: Any) -> None:
    """Refuse anything but a list of two shapes."""
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 2 or isinstance(input_shape[0], int | None):
        raise KerasVisionError(f"{layer.name} takes a list of two inputs of one shape, not inputs of {input_shape}.")
