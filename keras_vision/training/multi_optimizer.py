"""Another optimizer, or another learning rate, for each part of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class MultiOptimizer(keras.optimizers.Optimizer):
    """Gives each trained weight to the optimizer of its layer.

    Args:
        optimizers: pairs of an optimizer and what it trains: a built layer or model, a list of them or of paths of
            weights, or None for all that no other pair names. At most one pair has None.

    The parts' learning rates and clipping are their own; a callback that sets one acts on `multi.parts[0][0]`.

    Raises:
        KerasVisionError: no pairs, two with None, a layer without weights, a weight that is in two pairs or in none.

    Source: `MultiOptimizer` of tensorflow-addons; Howard & Ruder (2018), section 3.2, "discriminative fine-tuning".
    """

    def __init__(self, optimizers: Sequence[tuple[Any, Any]], name: str = "multi_optimizer"):
        super().__init__(learning_rate=0.0, name=name)  # the parts have their own
        if not optimizers or sum(layers is None for _, layers in optimizers) > 1:
            raise KerasVisionError("give pairs of an optimizer and its layers, at most one with None for the rest.")
        self.parts = [(keras.optimizers.get(optimizer), _paths(layers)) for optimizer, layers in optimizers]

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._owners = [self._owner(variable) for variable in variables]
        twice = [path for path, count in Counter(variable.path for variable in variables).items() if count > 1]
        if twice:  # layers of two models in one; weights are told apart by path, as files are
            raise KerasVisionError(f"two weights are called {twice[0]}; give their layers other names.")
        for number, (optimizer, _) in enumerate(self.parts):
            optimizer.build([v for v, owner in zip(variables, self._owners, strict=True) if owner == number])
            for variable in optimizer.variables:
                self._track_variable(variable)

    def _owner(self, variable: Any) -> int:
        """The number of the part that a weight belongs to."""
        owners = [i for i, (_, paths) in enumerate(self.parts) if any(_same(variable.path, p) for p in paths or ())]
        rest = [i for i, (_, paths) in enumerate(self.parts) if paths is None]
        if len(owners) > 1 or not owners + rest:
            raise KerasVisionError(f"{variable.path} belongs to {len(owners)} of the optimizers; name it in one.")
        return (owners + rest)[0]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Where a part keeps a moving average, set its weights to that."""
        for number, (optimizer, _) in enumerate(self.parts):
            own = [v for v, owner in zip(self._trainable_variables, self._owners, strict=True) if owner == number]
            optimizer.finalize_variable_values(own)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if trainable_variables is not None and not self.built:
            self.build(list(trainable_variables))
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        pairs = [(g, v, self._owners[self._get_variable_index(v)]) for g, v in zip(grads, variables, strict=True)]
        for number, (optimizer, _) in enumerate(self.parts):
            own = [(g, v) for g, v, owner in pairs if owner == number]
            optimizer.apply([g for g, _ in own], [v for _, v in own])
        self._iterations.assign_add(1)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.parts[self._owners[self._get_variable_index(variable)]][0].update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        parts = [[keras.optimizers.serialize(optimizer), paths and list(paths)] for optimizer, paths in self.parts]
        return {"optimizers": parts, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MultiOptimizer:
        parts = [(keras.optimizers.deserialize(optimizer), paths) for optimizer, paths in config["optimizers"]]
        return cls(parts, name=config["name"])


def _same(path: str, other: str) -> bool:
    """Whether two paths are of one weight: a model read from a file has no names of outer models in them."""
    return f"/{path}".endswith(f"/{other}") or f"/{other}".endswith(f"/{path}")


def _paths(layers: Any) -> tuple[str, ...] | None:
    """Paths of the weights of layers; None stays None."""
    if layers is None:
        return None
    paths: list[str] = []
    for layer in layers if isinstance(layers, list | tuple) else [layers]:
        own = [layer] if isinstance(layer, str) else [weight.path for weight in layer.weights]
        if not own:
            raise KerasVisionError(f"{layer.name} has no weights; build it before the optimizer, or leave it out.")
        paths += own
    return tuple(paths)
