"""ReLU and PReLU, and the weights that convolutions before them start from."""

from typing import Any

import keras
from keras import layers

from keras_vision.errors import KerasVisionError

RECTIFIERS = ("prelu", "prelu_shared", "relu")
_SLOPE = 0.25  # of every PReLU before training (He et al., 2015, section 2.1)


def rectified(x: Any, kind: str, *, name: str) -> Any:
    """PReLU with a slope for each channel or unit, or one for all, or ReLU: `(n, ..., c) -> (n, ..., c)`.

    Args:
        x: symbolic map `(n, h, w, c)` or vector `(n, c)`.
        kind: "prelu", "prelu_shared" or "relu".
        name: of the layer.

    Raises:
        KerasVisionError: another kind.

    Source: He et al. (2015), Equation 1.
    """
    _check(kind)
    if kind == "relu":
        return layers.Activation("relu", name=name)(x)
    shared = list(range(1, len(x.shape) - (kind == "prelu")))  # all axes but the batch's, and the channels'
    return layers.PReLU(keras.initializers.Constant(_SLOPE), shared_axes=shared or None, name=name)(x)


def rectifier_start(kind: str, fan: str = "fan_in") -> Any:
    """Initialiser of the kernel before a rectifier: a Gaussian of variance ``2 / ((1 + a^2) n)``.

    Args:
        kind: of the rectifier; a is its slope before training, 0 of ReLU.
        fan: n counts a kernel's inputs, "fan_in", or its outputs, "fan_out".

    Raises:
        KerasVisionError: another kind, or another fan.

    Source: He et al. (2015), Equations 10, 14 and 15.
    """
    _check(kind)
    if fan not in ("fan_in", "fan_out"):
        raise KerasVisionError(f"fan={fan!r}; accepted: 'fan_in', 'fan_out'.")
    slope = 0.0 if kind == "relu" else _SLOPE
    return keras.initializers.VarianceScaling(2 / (1 + slope**2), fan, "untruncated_normal")


def _check(kind: Any) -> None:
    if kind not in RECTIFIERS:
        raise KerasVisionError(f"activation={kind!r}; accepted: {', '.join(map(repr, RECTIFIERS))}.")
