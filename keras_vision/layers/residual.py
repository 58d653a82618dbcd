"""The block that adds its input to what its layers make of it."""

from collections.abc import Callable
from typing import Any

from keras import layers


def residual(x: Any, branch: Callable[[Any], Any], shortcut: Callable[[Any], Any], *, name: str) -> Any:
    """``relu(shortcut(x) + branch(x))``: `(n, h, w, c) -> (n, h / s, w / s, filters)`.

    Args:
        x: symbolic feature map.
        branch: the layers, without the last ReLU.
        shortcut: the way around them: the identity, or a projection to the branch's shape.
        name: of the block's output; the sum is `{name}_add`.

    Source: He et al. (2015), Figure 2.
    """
    y = branch(x)
    # Shortcut first: Keras walks a graph by recursion, and the way along the shortcuts is the short one.
    y = layers.Add(name=f"{name}_add")([shortcut(x), y])
    return layers.Activation("relu", name=name)(y)
