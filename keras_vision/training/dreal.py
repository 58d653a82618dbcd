"""Deep reinforced attention learning: a critic says while a network trains what each of its attention maps is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.training._attention_critic import attention_modules, check_modules, critic_of, described, observed


@keras.saving.register_keras_serializable("keras_vision")
class DREAL(keras.Model):
    """A network in training with a critic of its attention; compile and fit it like the network, which it trains.

    The network's attention modules are the actors. Each step first fits the critic, then trains the network:

    1. Reward of module l for an image: ``sign(p - p_l)``, where p is the probability of the true class, and p_l what
       it is with l's map replaced by the mean of that map over all its cells and channels: 1 where the module's choice
       helps recognition, -1 where it harms, 0 where it makes no difference. The mean keeps the scale of what the map
       weighs, on which the layers behind it rely. Both are computed in inference mode, for which the network is made.
    2. The critic, an LSTM over the modules, gives each a score ``Q_l(state, action)`` of the features and the map, and
       is trained to ``mean((Q_l - reward_l)**2)``; the network stays as it is.
    3. The network is trained to ``loss - weight * mean(Q_l)``; the critic stays as it is. The score's gradient reaches
       the network through the maps alone: features, the state, are constants in it.

    A step costs, beside the network's own, one pass of the network in inference mode and one for each module whose
    reward is taken: for networks of many modules let `judged` draw some. Evaluation, prediction and `save` are the
    network's own: the critic adds nothing to them. `critic_loss` and `reward` are variables that hold the means over
    the last batch. Under a strategy, to be made in its scope.

    Deviations: the abstract fixes actors, a recurrent critic, a discrete reward by the relative gain in recognition
    and the alternation. The rest is chosen here after what is remembered of the method: the squared error, the weighted
    score in the network's loss, the mean in place of a map, and the sign.

    Args:
        network: functional; one input `(n, h, w, c)`, one output `(n, classes)`.
        attentions: of each module, in the order of computation, the name of the layer whose output is weighed and of
            the one which gives the map: `(n, 1, 1, c)`, `(n, h, w, 1)` or `(n, h, w, c)`. None: what
            `attention_modules` finds.
        weight: of the scores in the network's loss, 0 or above; 0 trains the network as without a critic.
        units: of the critic's LSTM.
        judged: modules whose rewards a step takes, drawn anew for each batch; None for all.
        from_logits: whether the output is logits; else probabilities.
        seed: of the draws; None for a random one.

    Raises:
        KerasVisionError: a network that is not functional, no attention modules, unknown layers, or settings out of
            range.

    Source: arXiv 2007.06156 (2020), abstract.
    """

    critic_optimizer: Any = None

    def __init__(
        self,
        network: keras.Model,
        attentions: Sequence[tuple[str, str]] | None = None,
        weight: float = 0.1,
        units: int = 64,
        judged: int | None = None,
        from_logits: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not hasattr(network, "operations") or len(network.inputs) != 1 or len(network.outputs) != 1:
            raise KerasVisionError(f"{network.name}: give a functional network of one input and one output.")
        if len(network.output_shape) != 2 or network.output_shape[-1] < 2:
            raise KerasVisionError(f"{network.name} gives {network.output_shape}; give a classifier: (n, classes).")
        modules = attention_modules(network) if attentions is None else tuple(attentions)
        check_modules(network, modules)
        if not weight >= 0 or units < 1 or not (judged is None or 1 <= judged <= len(modules)):
            raise KerasVisionError(
                f"weight={weight!r}, units={units!r}, judged={judged!r}; give a weight of 0 or above, at least one "
                f"unit, and from 1 to {len(modules)} modules, or None for all."
            )
        self.network, self.attentions, self.weight, self.judged = network, modules, weight, judged
        self.from_logits = from_logits
        self.generator = keras.random.SeedGenerator(seed)
        seeing = observed(network, modules)
        self._seeing = lambda: seeing  # hidden from Keras, which would list every layer twice
        _, features, maps = seeing.output
        self.critic = critic_of([described(*pair) for pair in zip(features, maps, strict=True)], units)
        self.critic_loss, self.reward = (
            keras.Variable(0.0, trainable=False, aggregation="mean", name=name) for name in ("critic_loss", "reward")
        )

    def compile(self, *args: Any, critic_optimizer: Any = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`, with an optimizer of the critic's own beside the network's."""
        super().compile(*args, **kwargs)
        self.critic_optimizer = keras.optimizers.get(critic_optimizer)
        self.critic_optimizer.build(self.critic.trainable_variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """The network's: the critic's have an optimizer of their own."""
        return self.network.trainable_variables

    @property
    def trainable_weights(self) -> list[Any]:
        """As `trainable_variables`."""
        return self.network.trainable_weights

    @property
    def variables(self) -> list[Any]:
        """All that training needs to go on, the critic and its optimizer included; but see `optimizer.variables`."""
        own = [] if self.critic_optimizer is None else self.critic_optimizer.variables
        return [*super().variables, *own]

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.network(inputs, training=training)

    def rewards(self, x: Any, y: Any) -> Any:
        """The reward of each module, -1, 0 or 1, for images and their labels: `(n, modules)`.

        Labels are classes `(n,)` or `(n, 1)`, or rows of probabilities `(n, classes)`.
        """
        given, _, _ = self._seen(x)
        return self._rewards(x, y, given, ops.arange(len(self.attentions)))

    def scores(self, features: Sequence[Any], maps: Sequence[Any]) -> Any:
        """What the critic says of the modules' features and maps, `(n, h, w, c)` each: `(n, modules)`."""
        pairs = zip(features, maps, strict=True)
        return self.critic([vector for pair in pairs for vector in described(*pair)])

    def critic_step(self, x: Any, y: Any) -> None:
        """Fit the critic to the rewards of a batch."""
        given, features, maps = self._seen(x)
        levels = self._drawn_levels()
        rewards = self._rewards(x, y, given, levels)
        with tf.GradientTape() as tape:  # what it watches is the critic's: features and maps are there already
            error = ops.mean(ops.square(ops.take(self.scores(features, maps), levels, axis=1) - rewards))
            loss = error / _replicas()  # Keras sums gradients over the replicas
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.critic_loss.assign(error)
        self.reward.assign(ops.mean(rewards))

    def actor_step(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train the network on a batch; its output `(n, classes)` before that."""
        with tf.GradientTape() as tape:
            y_pred, features, maps = self._seen(x, training=True)
            own = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            worth = ops.mean(self.scores([ops.stop_gradient(each) for each in features], maps))
            loss = own - ops.cast(self.weight * worth / _replicas(), own.dtype)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * _replicas(), sample_weight=ops.shape(x)[0])
        return y_pred

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.critic_step(x, y)
        y_pred = self.actor_step(x, y, sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the network alone; arguments as of `keras.Model.save`."""
        self.network.save(*args, **kwargs)

    def _seen(self, x: Any, training: bool = False, off: Any = -1) -> Any:
        """Output, features and maps for images, one module's map, of number `off`, switched off."""
        levels = ops.broadcast_to(ops.arange(len(self.attentions)), (ops.shape(x)[0], len(self.attentions)))
        return self._seeing()([ops.convert_to_tensor(x), ops.not_equal(levels, off)], training=training)

    def _drawn_levels(self) -> Any:
        levels = ops.arange(len(self.attentions))
        return levels if self.judged is None else keras.random.shuffle(levels, seed=self.generator)[: self.judged]

    def _rewards(self, x: Any, y: Any, given: Any, levels: Any) -> Any:
        def without(level: Any) -> Any:
            return self._certainty(y, self._seen(x, off=level)[0])

        own = self._certainty(y, given)
        # The loop waits for `given`: the graph's optimiser loses that the weights are not to be updated before they are
        # read for it, and keeps that they are not before the end of the loop.
        with tf.control_dependencies([own]):
            levels = tf.identity(levels)
        # One by one: side by side, the passes would need the memory of as many networks.
        others = tf.map_fn(without, levels, fn_output_signature=own.dtype, parallel_iterations=1)
        return ops.sign(own[:, None] - ops.transpose(others))

    def _certainty(self, y: Any, output: Any) -> Any:
        """The true class' probability, or its logarithm, `(n,)`."""
        output = ops.cast(output, keras.config.floatx())
        values = ops.log_softmax(output, axis=-1) if self.from_logits else output
        if len(y.shape) == 2 and y.shape[-1] == output.shape[-1]:
            return ops.sum(ops.cast(y, values.dtype) * values, axis=-1)
        return ops.sum(ops.one_hot(ops.reshape(ops.cast(y, "int32"), (-1,)), output.shape[-1]) * values, axis=-1)


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync
