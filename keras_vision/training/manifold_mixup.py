"""MixUp of hidden representations: pairs of examples are mixed at a layer drawn anew for each batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_vision import graph
from keras_vision.errors import KerasVisionError

IMAGE = "image"


class _Drawn(threading.local):
    """What a step has drawn: place, share and order of the batch. Each replica of a strategy is a thread."""

    values: tuple[Any, Any, Any] | None = None


class _Mixed(keras.layers.Layer):
    """The outputs of a place, mixed if that was drawn."""

    def __init__(self, mix: Callable[[Any, int], Any], place: int):
        super().__init__(name=f"mixed_{place}")
        self.mix, self.place = mix, place

    def call(self, inputs: Any) -> Any:
        return self.mix(inputs, self.place)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)


@keras.saving.register_keras_serializable("keras_vision")
class ManifoldMixUp(keras.Model):
    """A network in training by Manifold MixUp; compile and fit it like the network, whose weights it trains.

    For each batch, draws one of the places, ``share ~ Beta(alpha, alpha)`` and an order of the batch; the place's
    outputs ``x`` become ``share * x + (1 - share) * x[order]``, and the loss ``share * loss(y) + (1 - share) *
    loss(y[order])``, which for cross-entropy is that of mixed labels. Metrics in training compare with the labels `y`
    alone. Evaluation, prediction and `save` are the network's own. On TensorFlow, training runs without XLA.

    Args:
        network: functional; one output.
        places: names of its layers whose outputs may be mixed; "image" is the input, so that `("image",)` is MixUp.
        alpha: of the Beta distribution, above 0; 1 is uniform.
        seed: of the draws; None for a random one.

    Raises:
        KerasVisionError: a network that is not functional, an unknown place or none, or alpha not above 0.

    Source: Verma et al. (2019), section 2; MixUp is that of Zhang et al. (2018).
    """

    def __init__(
        self, network: keras.Model, places: Sequence[str], alpha: float = 2.0, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if not hasattr(network, "operations") or len(network.outputs) != 1:
            raise KerasVisionError(f"{network.name}: give a functional network of one output.")
        inner = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
        known = [IMAGE, *(layer.name for layer in inner)]
        if not places or not set(places) <= set(known):
            raise KerasVisionError(f"places={tuple(places)!r}; give one or more of the layers: {', '.join(known)}.")
        if not alpha > 0:
            raise KerasVisionError(f"alpha={alpha!r}; give a number above 0.")
        self.network, self.places, self.alpha = network, tuple(places), alpha
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_jit = keras.backend.backend() != "tensorflow"  # whose XLA cannot draw from a Beta distribution
        self._drawn = _Drawn()
        mixing = self._with_mixing(network)
        self._mixing = lambda: mixing  # hidden from Keras, which would list every layer twice

    def _with_mixing(self, network: keras.Model) -> keras.Model:
        """The same layers, with a mixing layer after each place."""

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            x = layer(*args, **kwargs)
            return _Mixed(self.mix, self.places.index(layer.name))(x) if layer.name in self.places else x

        return graph.cloned(network, clone_function=lambda layer: layer, call_function=call)

    def mix(self, x: Any, place: int) -> Any:
        """`x` mixed with itself in the drawn order, if `place` was drawn."""
        if self._drawn.values is None:
            return x
        drawn, share, order = self._drawn.values
        share = ops.cast(ops.where(ops.equal(drawn, place), share, 1.0), x.dtype)
        return share * x + (1 - share) * ops.take(x, order, axis=0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            self._drawn.values = None
            return self.network(inputs, training=False)
        drawn = keras.random.randint((), 0, len(self.places), seed=self.generator)
        share = keras.random.beta((), self.alpha, self.alpha, dtype="float32", seed=self.generator)
        self._drawn.values = drawn, share, keras.random.shuffle(ops.arange(ops.shape(inputs)[0]), seed=self.generator)
        x = self.mix(inputs, self.places.index(IMAGE)) if IMAGE in self.places else inputs
        return self._mixing()(x, training=True)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training or self._drawn.values is None:
            return own
        _, share, order = self._drawn.values
        other = super().compute_loss(x, ops.take(y, order, axis=0), y_pred, sample_weight, training)
        return share * own + (1 - share) * other

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the network alone; arguments as of `keras.Model.save`."""
        self.network.save(*args, **kwargs)
