"""Relay Backpropagation: several losses, each of which is sent back through a segment of the network alone."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import average_classifier


@dataclasses.dataclass(frozen=True)
class Auxiliary:
    """A loss on the way.

    Attributes:
        weight: of the loss, above 0; the main one's is 1.
        down_to: layer at whose output the gradient stops; None lets it reach the input.
        head: from the symbolic output of the layer it hangs on to scores like the network's; None for a global average
            and a dense layer.
    """

    weight: float = 0.3
    down_to: str | None = None
    head: Callable[[Any], Any] | None = None


@keras.saving.register_keras_serializable("keras_vision")
class Relay(keras.Model):
    """A network in training by Relay Backpropagation; compile and fit it like the network, whose weights it trains.

    The main loss goes back from the output to the layer `main_down_to`, and each auxiliary loss from the layer it hangs
    on to its own `down_to`; what no segment holds gets none of a loss's gradient, and the layers of two overlapping
    segments get the sum. All losses are the compiled one. With no boundaries at all this is deep supervision. One pass
    forward serves all losses. Evaluation, prediction and `save` are the network's own: the auxiliary classifiers serve
    training only. On TensorFlow alone.

    Args:
        network: functional; one output.
        auxiliary: the losses on the way, by the layer that each hangs on.
        main_down_to: layer at whose output the main loss's gradient stops.

    Attributes:
        segments: the trainable weights that each loss reaches, the main one's first.

    Raises:
        KerasVisionError: no such layer, an empty segment, one that ends where it does not begin, weights that no loss
            reaches, or another backend.

    Source: Shen, Lin, Huang (2015). The segments are described from memory; the networks of the paper were not at hand.
    """

    def __init__(
        self,
        network: keras.Model,
        auxiliary: Mapping[str, Auxiliary],
        main_down_to: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise KerasVisionError("Relay trains with KERAS_BACKEND=tensorflow alone.")
        if not hasattr(network, "operations") or len(network.outputs) != 1:
            raise KerasVisionError(f"{network.name}: give a functional network of one output.")
        if not all(one.weight > 0 for one in auxiliary.values()):
            raise KerasVisionError(f"weights {[one.weight for one in auxiliary.values()]}; give numbers above 0.")
        taps = {name: _output_of(network, name) for name in auxiliary}
        heads = [_headed(network, name, taps[name], one.head) for name, one in auxiliary.items()]
        self.weights_of_losses = (1.0, *(float(one.weight) for one in auxiliary.values()))
        self.whole = keras.Model(network.input, [network.outputs[0], *heads])
        self._network = lambda: network  # hidden from Keras, which would list every layer twice
        self.segments = _Segments(
            [_segment(network, "the main loss", network.outputs[0], network.outputs[0], main_down_to)]
            + [
                _segment(network, f"the loss of {name!r}", taps[name], head, auxiliary[name].down_to)
                for name, head in zip(auxiliary, heads, strict=True)
            ]
        )
        reached = {id(v) for segment in self.segments for v in segment}
        if lost := [v.path for v in network.trainable_weights if id(v) not in reached]:
            raise KerasVisionError(
                f"no loss reaches {', '.join(lost[:5])}; let a segment go down further, or add a loss below."
            )

    @property
    def network(self) -> keras.Model:
        """The network itself, without auxiliary classifiers."""
        return self._network()

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.network(inputs, training=training)

    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any, list[Any]]:
        """Outputs, weighted losses in the order of `segments` and then penalties, gradients of the trainable weights.

        Gradients are scaled as the optimizer scales its losses (mixed precision).
        """
        with tf.GradientTape(persistent=True) as tape:
            outputs = self.whole(x, training=True)
            penalty = sum((self._aggregate_additional_loss(loss) for loss in self.losses), tf.zeros(()))
            losses = [
                weight * (self.compute_loss(x, y, output, sample_weight, training=True) - penalty)
                for weight, output in zip(self.weights_of_losses, outputs, strict=True)
            ]
            scale = self.optimizer.scale_loss if self.optimizer is not None else (lambda loss: loss)
            scaled = [scale(loss) for loss in (*losses, penalty)]
        found: dict[int, Any] = {}
        for loss, segment in zip(scaled, [*self.segments, self.trainable_weights], strict=True):
            for variable, part in zip(segment, tape.gradient(loss, [v.value for v in segment]), strict=True):
                if part is not None:
                    found[id(variable)] = found[id(variable)] + part if id(variable) in found else part
        del tape
        return outputs, [*losses, penalty], [found.get(id(v)) for v in self.trainable_weights]

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        outputs, losses, gradients = self.gradients(x, y, sample_weight)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # Keras divides its losses by their number
        self._loss_tracker.update_state(
            tf.add_n(losses) * replicas, sample_weight=tf.shape(keras.tree.flatten(x)[0])[0]
        )
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self.compute_metrics(x, y, outputs[0], sample_weight=sample_weight)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the network alone; arguments as of `keras.Model.save`."""
        self.network.save(*args, **kwargs)


class _Segments(tuple):
    """Lists of weights; Keras, which tracks lists of variables as a layer's own, leaves another class alone."""


def _output_of(network: keras.Model, name: str) -> Any:
    known = {layer.name: layer for layer in network.layers}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise KerasVisionError(f"{network.name} has no layer {name!r}.{hint}")
    return graph.call_of(known[name])[1]


def _headed(network: keras.Model, name: str, x: Any, head: Callable[[Any], Any] | None) -> Any:
    """The scores of a classifier on a layer's output; by default with the activation of the network's own."""
    scores = network.outputs[0]
    if head is None:
        if len(x.shape) != 4 or len(scores.shape) != 2:
            raise KerasVisionError(f"{name!r} gives {x.shape}, no maps; give its Auxiliary a head of your own.")
        activation = getattr(scores._keras_history.operation, "activation", None)
        own = f"{name}_relay"
        return average_classifier(x, int(scores.shape[-1]), activation, pool=f"{own}_pool", name=own)
    found = head(x)
    if tuple(found.shape[1:]) != tuple(scores.shape[1:]):
        raise KerasVisionError(f"the head on {name!r} gives {found.shape}; the network gives {scores.shape}.")
    return found


def _segment(network: keras.Model, what: str, tap: Any, end: Any, down_to: str | None) -> tuple[Any, ...]:
    """The trainable weights that a loss at `end` reaches: those above `down_to`."""
    below: set[int] = set()
    if down_to is not None:
        boundary = _output_of(network, down_to)
        below = {id(operation) for operation in graph.ancestors(boundary)}
        reached = {id(operation) for operation in graph.ancestors(tap)}
        if id(boundary._keras_history.operation) not in reached:
            raise KerasVisionError(f"{what} begins below {down_to!r}, where it should stop: name a layer below it.")
    within = [operation for operation in graph.ancestors(tap) if id(operation) not in below]
    if not any(getattr(operation, "trainable_weights", ()) for operation in within):
        raise KerasVisionError(
            f"the segment of {what} down to {down_to!r} is empty: there is nothing to train; name a lower layer."
        )
    operations = [operation for operation in graph.ancestors(end) if id(operation) not in below]
    weights = {id(v): v for operation in operations for v in getattr(operation, "trainable_weights", ())}
    return tuple(weights.values())
