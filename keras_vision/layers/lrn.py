"""Local response normalisation, as the networks of 2012 to 2014 use it."""

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the energy in the neighbouring channels.

    ``y[c] = x[c] / (k + a * sum(x[j]**2 for j in the size channels around c)) ** beta``, where channels beyond the
    first and the last count as zero. Computed in float32.

    Args:
        size: number of channels in the window, odd.
        alpha: weight of the energy.
        beta: the power.
        k: the constant.
        scaling: "paper" takes ``a = alpha``; "caffe" takes ``a = alpha / size``, as Caffe and PyTorch do.

    Input and output shape: `(..., channels)`.

    Source: Krizhevsky et al. (2012), section 3.3, whose values are the defaults.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        scaling: str = "paper",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if scaling not in ("paper", "caffe"):
            raise KerasVisionError(f"scaling={scaling!r}; accepted: 'paper', 'caffe'.")
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise KerasVisionError(f"size={size!r}; give an odd number of channels.")
        self.size, self.alpha, self.beta, self.k, self.scaling = size, alpha, beta, k, scaling

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        channels, side = x.shape[-1], self.size // 2
        squares = ops.pad(ops.square(x), [(0, 0)] * (len(x.shape) - 1) + [(side, side)])
        energy = sum(squares[..., i : i + channels] for i in range(self.size))
        weight = self.alpha / self.size if self.scaling == "caffe" else self.alpha
        return ops.cast(x * ops.power(self.k + weight * energy, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("size", "alpha", "beta", "k", "scaling")}
        return {**super().get_config(), **own}


_KINDS: dict[str, dict[str, Any]] = {"paper": dict(k=2.0, scaling="paper"), "caffe": dict(k=1.0, scaling="caffe")}


def local_response_norm(x: Any, kind: str | None, name: str) -> Any:
    """Normalisation with the values of the paper, or of the networks trained in Caffe: `(..., c) -> (..., c)`.

    Args:
        x: output of a ReLU, or of a pooling after it.
        kind: "paper" (k = 2), "caffe" (k = 1 and a fifth of alpha), or None, which leaves `x` as it is.
        name: of the layer.
    """
    if kind is None:
        return x
    if kind not in _KINDS:
        raise KerasVisionError(f"lrn={kind!r}; accepted: None, 'paper', 'caffe'.")
    return LocalResponseNormalization(**_KINDS[kind], name=name)(x)
