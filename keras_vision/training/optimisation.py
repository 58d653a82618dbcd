"""Optimizers and schedules of the papers, out of Keras' own parts.

What Keras does, and the papers do not (Keras 3.15):

- `weight_decay` of its optimizers is decoupled: before each update a weight loses ``learning_rate * weight_decay`` of
  itself, which momentum does not see. The papers add an L2 penalty to the loss; with momentum m that takes
  ``1 / (1 - m)`` times as much away. `add_l2` is the papers'.
- Schedules count steps, not updates: with `gradient_accumulation_steps`, each part of a batch.
- Each replica clips its own gradient, before the sum, of a loss that is divided by the number of replicas.
- RMSprop's mean of squares starts at 0, TensorFlow's of 2015 at 1: the first steps are larger. Both add epsilon below
  the root.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras.optimizers import schedules

from keras_vision.errors import KerasVisionError
from keras_vision.training.multi_optimizer import MultiOptimizer
from keras_vision.training.recipes.settings import Settings


def is_kernel(variable: Any) -> bool:
    """Whether a trained variable is a kernel of a convolution or a dense layer: neither a bias nor part of a norm."""
    return variable.name.endswith("kernel")


def add_l2(model: keras.Model, amount: float, biases_and_norms: bool = True) -> int:
    """Weight decay of the papers: ``amount / 2 * sum(w**2)`` is added to the loss; the number of variables it is over.

    With SGD at the rate r and momentum m, of which v is the velocity: ``v = m v - r (gradient + amount w)``.

    Args:
        model: built; changed in place. The penalty is no part of a saved model.
        amount: 0 or above; what papers call weight decay.
        biases_and_norms: whether it is over all that is trained, or over kernels alone.
    """
    decayed = [v for v in model.trainable_variables if biases_and_norms or is_kernel(v)]
    for variable in decayed:
        variable.regularizer = keras.regularizers.L2(amount / 2)
    return len(decayed)


def schedule_of(recipe: Settings, steps: int) -> float | schedules.LearningRateSchedule:
    """The learning rate as a function of the steps before; for "constant" and "plateau" a number.

    Args:
        recipe: with the schedule.
        steps: of one epoch, each part of an accumulated batch counted.
    """
    if recipe.schedule == "step":
        return _stepwise(recipe, steps)
    if recipe.schedule == "exponential":
        every = max(round(recipe.decay_every * steps), 1)
        return schedules.ExponentialDecay(recipe.learning_rate, every, recipe.decay_rate, staircase=True)
    if recipe.schedule == "poly":
        return schedules.PolynomialDecay(recipe.learning_rate, recipe.epochs * steps, 0.0, recipe.power)
    if recipe.schedule == "cosine":
        return warmed_up_cosine(recipe.learning_rate, recipe.epochs * steps)
    return recipe.learning_rate


def warmed_up_cosine(peak: float, steps: int) -> schedules.LearningRateSchedule:
    """A rate that rises for a tenth of the steps, from a hundredth of the peak, and falls to 0 as a cosine does."""
    warm_up = steps // 10
    return schedules.CosineDecay(peak / 100, steps - warm_up, warmup_target=peak, warmup_steps=warm_up)


def _stepwise(recipe: Settings, steps: int) -> float | schedules.LearningRateSchedule:
    ends = [round(at * steps) for at in recipe.decay_epochs]
    rates = [recipe.learning_rate * recipe.decay_rate**number for number in range(len(ends) + 1)]
    if recipe.warm_up_rate is not None:
        ends, rates = [recipe.warm_up_steps * recipe.accumulation, *ends], [recipe.warm_up_rate, *rates]
    if ends != sorted(set(ends)):
        raise KerasVisionError(
            f"the rate changes before the steps {ends}, with {steps} in an epoch; give decay_epochs that rise by a "
            "step at least and come after the warm-up."
        )
    return schedules.PiecewiseConstantDecay([end - 1 for end in ends], rates) if ends else recipe.learning_rate


def optimizer_of(recipe: Settings, model: keras.Model, steps: int, replicas: int = 1) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe; to be made in the scope of the strategy, and compiled with the model.

    Args:
        recipe: with the settings.
        model: built; tells layers and kernels apart.
        steps: of one epoch, each part of an accumulated batch counted.
        replicas: number of them. Each gets its share of the clipping threshold, as it has its share of the loss.

    Raises:
        KerasVisionError: a prefix of `rates` is of no layer with weights.
    """
    if not recipe.rates and recipe.bias_rate == 1:
        return _single(recipe, model, steps, replicas)
    groups: dict[float, list[str]] = {}  # factor of the rate to the paths of its weights
    for layer in model.layers:
        factor = _factor(recipe, layer.name)
        for variable in layer.trainable_variables:
            own = factor * (recipe.bias_rate if variable.name == "bias" else 1.0)
            groups.setdefault(own, []).append(variable.path)
    for prefix in recipe.rates:
        if not any(layer.name.startswith(prefix) and layer.weights for layer in model.layers):
            raise KerasVisionError(f"rates name {prefix!r}, and no layer of {model.name} with weights begins like it.")
    rest = groups.pop(1.0, None) is not None or not groups
    parts: list[tuple[Any, Any]] = [
        (
            _single(dataclasses.replace(recipe, learning_rate=recipe.learning_rate * factor), model, steps, replicas),
            paths,
        )
        for factor, paths in groups.items()
    ]
    return MultiOptimizer([*parts, (_single(recipe, model, steps, replicas), None)] if rest else parts)


def _factor(recipe: Settings, layer: str) -> float:
    """Of a layer's rate: that of the longest prefix that its name begins with."""
    fitting = [prefix for prefix in recipe.rates if layer.startswith(prefix)]
    return recipe.rates[max(fitting, key=len)] if fitting else 1.0


def _single(recipe: Settings, model: keras.Model, steps: int, replicas: int) -> keras.optimizers.Optimizer:
    shared: dict[str, Any] = dict(
        learning_rate=schedule_of(recipe, steps),
        weight_decay=recipe.weight_decay if recipe.decoupled and recipe.weight_decay else None,
        global_clipnorm=None if recipe.clip is None else recipe.clip / replicas,
        gradient_accumulation_steps=recipe.accumulation if recipe.accumulation > 1 else None,
    )
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.nesterov, **shared)
    elif recipe.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(rho=0.9, momentum=recipe.momentum, epsilon=recipe.epsilon, **shared)
    else:
        optimizer = keras.optimizers.Adam(epsilon=recipe.epsilon, **shared)
    if not recipe.decay_all:
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if not is_kernel(v)])
    return optimizer


def plateau_of(recipe: Settings, accuracy: str) -> list[keras.callbacks.Callback]:
    """The callback of the schedule "plateau"; `accuracy` is what the validation accuracy is called in the logs."""
    if recipe.schedule != "plateau":
        return []
    least = recipe.learning_rate * recipe.decay_rate**recipe.drops
    plateau = keras.callbacks.ReduceLROnPlateau(
        accuracy, recipe.decay_rate, recipe.patience, mode="max", min_delta=0.0, min_lr=least
    )
    return [plateau]
