"""Residual blocks whose branch is not computed where stochastic depth drops it."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision.errors import KerasVisionError
from keras_vision.layers.stochastic_depth import StochasticDepth


@keras.saving.register_keras_serializable("keras_vision")
class SkippedBranch(keras.Model):
    """A functional model that ends in a `StochasticDepth`, of which a step computes what it needs, and no more.

    In training, b is drawn once for each batch, before anything is computed. Where it is 0, the output is the shortcut:
    the branch is neither computed nor differentiated, the gradient of its weights is 0 (an optimizer with momentum
    or weight decay still moves them), and its batch norms keep their statistics. In inference, and with
    `mode="sample"`, it is an ordinary model. With synchronised batch norm the branch is computed all the same, to the
    same effect. Losses that layers of a branch add in their call are not counted.

    Input and output shapes: those of the graph it is built from.

    Raises:
        KerasVisionError: the graph does not end in a `StochasticDepth`.

    Source: Huang et al. (2016), section 3: "bypassing" what was dropped is what makes the training time shorter.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)  # with *args and **kwargs, Keras treats the class as functional
        if not isinstance(self.operations[-1], StochasticDepth):
            raise KerasVisionError(
                f"{self.name} ends in {self.operations[-1].name}; the last layer of a SkippedBranch has to be a "
                "StochasticDepth, called on [shortcut, branch]."
            )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        depth = self.operations[-1]
        if not training or depth.mode != "batch":
            return super().call(inputs, training=training, mask=mask)
        state = [v for v in self.non_trainable_variables if v is not depth.generator.state]
        shortcut, both = self._parts
        # Replicas cannot wait for each other within a condition: synchronised, both ways are computed.
        condition = _taken if self._is_synchronized() else ops.cond
        output, values = condition(
            depth.survives(),
            lambda: self._computed(both, inputs, state),
            lambda: self._computed(shortcut, inputs, state),
        )
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        return output

    @functools.cached_property  # set past Keras, which would count the layers of an attribute a second time
    def _parts(self) -> tuple[keras.Model, keras.Model]:
        """The models, of the same layers, of the shortcut alone and of both ways."""
        shortcut, branch = self.operations[-1].input
        return keras.Model(self.input, shortcut), keras.Model(self.input, [shortcut, branch])

    def _is_synchronized(self) -> bool:
        return any(getattr(layer, "synchronized", False) for layer in self.layers)

    def _computed(self, part: keras.Model, inputs: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """Sum of a part's outputs, and the variables' new values, which leave a condition only as its output."""
        with keras.StatelessScope(state_mapping=[(v, v.value) for v in self.variables]) as scope:
            first, *second = keras.tree.flatten(part(inputs, training=True))
        return sum(second, first), [scope.get_current_value(variable) for variable in state]


def _taken(survives: Any, kept: Callable[[], Any], dropped: Callable[[], Any]) -> Any:
    """As `ops.cond`, with both computed."""
    return keras.tree.map_structure(lambda one, other: ops.where(survives, one, other), kept(), dropped())


def survival_probabilities(blocks: int, last: float = 0.5, rule: str = "linear") -> list[float]:
    """How probably each of a network's blocks survives, from the first to the last.

    Args:
        blocks: their number, L.
        last: p_L, of the last block.
        rule: "linear", ``1 - l / L * (1 - last)`` for block l = 1 ... L; or "uniform", `last` for each.

    Raises:
        KerasVisionError: no block, a probability outside (0, 1], or another rule.

    Source: Huang et al. (2016), Equation 4 and section 3.
    """
    _check_survival(last)
    if not isinstance(blocks, int) or blocks < 1 or rule not in ("linear", "uniform"):
        raise KerasVisionError(f"blocks={blocks!r}, rule={rule!r}; give at least 1 block, and 'linear' or 'uniform'.")
    if rule == "uniform":
        return [last] * blocks
    return [1 - position / blocks * (1 - last) for position in range(1, blocks + 1)]


def stochastic_residual(
    x: Any,
    branch: Callable[[Any], Any],
    shortcut: Callable[[Any], Any],
    *,
    survival_probability: float,
    mode: str = "batch",
    seed: int | None = None,
    name: str,
) -> Any:
    """``relu(shortcut(x) + b * branch(x))``: `(n, h, w, c) -> (n, h / s, w / s, filters)`, `residual` with a random b.

    Args:
        x: symbolic feature map.
        branch: the layers, without the last ReLU; not computed where they are dropped.
        shortcut: the way around them: the identity, or a projection to the branch's shape.
        survival_probability: that b is 1.
        mode: "batch", one b for each batch; "sample", one for each image, where all are computed.
        seed: of the draws; None for a random one.
        name: of the block's output; the sum is the nested model `{name}_add`, which holds the layers of both ways.

    Raises:
        KerasVisionError: a probability outside (0, 1], or another mode.

    Source: Huang et al. (2016), Equation 2.
    """
    _check_survival(survival_probability)
    inputs = keras.Input(x.shape[1:], dtype=x.dtype)
    depth = StochasticDepth(survival_probability, seed, mode, name=f"{name}_depth")
    y = depth([shortcut(inputs), branch(inputs)])
    y = SkippedBranch(inputs, y, name=f"{name}_add")(x)
    return layers.Activation("relu", name=name)(y)


def _check_survival(probability: float) -> None:
    if not isinstance(probability, int | float | np.floating) or not 0 < probability <= 1:
        raise KerasVisionError(
            f"a survival probability of {probability!r}; give one above 0, up to 1: a block that never survives has no "
            "use."
        )
