"""The Inception module, whose table says what each branch does."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras import layers

Step = tuple  # (name, filters, kernel[, strides]), (name, kind of pooling), or (name, [steps side by side])
Branch = Sequence[Step]
Pool = Callable[..., Any]


def inception(
    x: Any, branches: Sequence[Branch], name: str, conv: Callable[..., Any], pools: Mapping[str, Pool]
) -> Any:
    """Branches side by side, concatenated along the channels: `(n, h, w, c) -> (n, h / s, w / s, sum of the widths)`.

    Args:
        x: what every branch takes.
        branches: steps in the order of computation; a layer is called `{name}_{name of the step}`.
        name: of the module, and of what comes out.
        conv: ``(x, filters, kernel[, strides], name=) -> x``.
        pools: kind of pooling, as the table calls it, to ``(x, name=) -> x``.

    Source: Szegedy et al. (2014), Figure 2.
    """

    def step(x: Any, part: str, what: Any, *kernel: Any) -> Any:
        own = f"{name}_{part}"
        if isinstance(what, str):
            return pools[what](x, name=own)
        if isinstance(what, list):
            return layers.Concatenate(name=own)([step(x, *beside) for beside in what])
        return conv(x, what, *kernel, name=own)

    outputs = [functools.reduce(lambda y, spec: step(y, *spec), branch, x) for branch in branches]
    return layers.Concatenate(name=name)(outputs)


def conv_names(branches: Sequence[Branch]) -> Iterator[str]:
    """Names of a module's convolutions, without the module's own, in the order of the table."""
    for part, what, *_ in (step for branch in branches for step in branch):
        if isinstance(what, list):
            yield from conv_names([what])
        elif not isinstance(what, str):
            yield part


def max_pool(x: Any, name: str) -> Any:
    """Maximum of 3x3 cells around each: `(n, h, w, c) -> (n, h, w, c)`."""
    return layers.MaxPooling2D(3, 1, "same", name=name)(x)


def average_pool(x: Any, name: str, count_padding: bool) -> Any:
    """Average of 3x3 cells around each: `(n, h, w, c) -> (n, h, w, c)`.

    At the edge, the sum is divided by nine with `count_padding`, as in Caffe and PyTorch, else by the cells inside.
    """
    if not count_padding:
        return layers.AveragePooling2D(3, 1, "same", name=name)(x)
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, 1, name=name)(x)
