"""Squeeze-and-excitation, for any feature map, and the places in a residual block where the paper puts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from keras_vision.errors import KerasVisionError
from keras_vision.layers.residual import residual

PLACEMENTS = ("standard", "pre", "post", "identity")


def squeeze_excite(x: Any, reduction: int = 16, *, name: str) -> Any:
    """Each channel of a feature map weighed by what all channels are on average: `(n, h, w, c) -> (n, h, w, c)`.

    ``x * sigmoid(W2 @ relu(W1 @ mean(x) + b1) + b2)`` with the mean over height and width, W1 `(c, c // reduction)`
    and W2 back again.

    Args:
        x: symbolic feature map of a known number of channels.
        reduction: by which the narrow layer has fewer units than there are channels.
        name: of the output; the layers with weights are `{name}_fc1` and `{name}_fc2`.

    Raises:
        KerasVisionError: the reduction is below 1, or above the number of channels.

    Source: Hu et al. (2017), Equations 2 to 4.
    """
    return layers.Multiply(name=name)([x, excitation(x, reduction, name=name)])


def excitation(x: Any, reduction: int = 16, *, name: str) -> Any:
    """The weights alone, between 0 and 1: `(n, h, w, c) -> (n, 1, 1, c)`. Arguments as of `squeeze_excite`."""
    channels = x.shape[-1]
    if not isinstance(reduction, int) or not 1 <= reduction <= channels:
        raise KerasVisionError(
            f"reduction={reduction!r} at {name}, which has {channels} channels; give a whole number from 1 to that."
        )
    z = layers.GlobalAveragePooling2D(name=f"{name}_squeeze")(x)
    z = layers.Dense(channels // reduction, "relu", kernel_initializer="he_uniform", name=f"{name}_fc1")(z)
    z = layers.Dense(channels, "sigmoid", name=f"{name}_fc2")(z)
    return layers.Reshape((1, 1, channels), name=f"{name}_gate")(z)


def recalibrated_residual(
    x: Any,
    branch: Callable[[Any], Any],
    shortcut: Callable[[Any], Any],
    *,
    reduction: int = 16,
    placement: str = "standard",
    name: str,
) -> Any:
    """Residual block with squeeze-and-excitation: ``relu(shortcut(x) + branch(x))``, one part of it recalibrated.

    Args:
        x: symbolic feature map.
        branch: the convolutions, without the last ReLU.
        shortcut: the way around them: the identity, or a projection to the branch's shape.
        reduction: of `squeeze_excite`.
        placement: what is recalibrated: "standard", the branch's output; "pre", its input; "post", the block's output;
            "identity", the shortcut's output.
        name: of the block's output; the layers with weights are `{name}_se_fc1` and `{name}_se_fc2`.

    Raises:
        KerasVisionError: no such placement, or a reduction that does not suit the channels.

    Source: Hu et al., journal version (2019), section 6.5 and Figure 5.
    """
    if placement not in PLACEMENTS:
        raise KerasVisionError(f"placement={placement!r}; accepted: {', '.join(map(repr, PLACEMENTS))}.")

    def recalibrated(y: Any, place: str) -> Any:
        return squeeze_excite(y, reduction, name=f"{name}_se") if place == placement else y

    y = residual(
        x,
        lambda y: recalibrated(branch(recalibrated(y, "pre")), "standard"),
        lambda y: recalibrated(shortcut(y), "identity"),
        name=f"{name}_block" if placement == "post" else name,
    )
    if placement != "post":
        return y
    return layers.Multiply(name=name)([y, excitation(y, reduction, name=f"{name}_se")])
