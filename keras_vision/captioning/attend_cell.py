"""One step of the caption decoder: where to look, and then an LSTM; and the noise that hard attention looks by.

Source: Xu et al. (2015), equations 1 to 6, 8, 9 and 13, and section 4.2.1.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_vision.errors import KerasVisionError

ATTENTIONS = ("soft", "hard", "mean")


@keras.saving.register_keras_serializable("keras_vision")
class AttendCell(layers.Layer):
    """A step of the decoder, for `keras.layers.RNN`.

    ``e_i = v . tanh(key_i + W h)``, ``alpha = softmax(e)``, ``z = beta sum_i alpha_i a_i``, ``beta = sigmoid(w . h)``,
    ``h, c = LSTM([E y, z], h, c)``. Hard attention looks at one location, sampled by alpha: in place of alpha there is
    1 there and 0 elsewhere, wherever the noise says so. Without attention, "mean", alpha is 1 / L.

    Call with the embedded word `(n, m)`, of hard attention followed by its noise (`LocationNoise`), without which it
    takes the expectation; and the states h and c `(n, units)`, annotation vectors `(n, L, D)` and, but for "mean", keys
    `(n, L, A)`, the projected annotation vectors. Annotation vectors and keys of one image, `(1, L, ...)`, serve any
    number of words. What comes out of a step is one vector: h, z, alpha and, of hard attention, what stood in its
    place. All is float32 under any policy.

    Args:
        units: of the LSTM.
        embedding: m.
        locations, channels: L and D.
        keys: A, hidden units of the attention's perceptron.
        attention: "soft", "hard" or "mean".
        gate: whether there is beta.

    Raises:
        KerasVisionError: another kind of attention.
    """

    def __init__(
        self,
        units: int,
        embedding: int,
        locations: int,
        channels: int,
        keys: int,
        attention: str = "soft",
        gate: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if attention not in ATTENTIONS:
            raise KerasVisionError(f"attention={attention!r}; accepted: {', '.join(ATTENTIONS)}.")
        self.units, self.embedding, self.locations, self.channels = units, embedding, locations, channels
        self.keys, self.attention, self.gate = keys, attention, gate
        self.lstm = layers.LSTMCell(units, name="lstm", dtype="float32")
        if attention != "mean":
            self.query = layers.Dense(keys, name="attention_query", dtype="float32")
            self.score = layers.Dense(1, use_bias=False, name="attention_score", dtype="float32")
        if gate:
            self.beta = layers.Dense(1, activation="sigmoid", name="beta", dtype="float32")
        looked = [(locations, channels)] + ([] if attention == "mean" else [(locations, keys)])
        self.state_size = [units, units, *looked]
        self.output_size = units + channels + locations * (2 if attention == "hard" else 1)

    def build(self, inputs_shape: tuple) -> None:
        batch = inputs_shape[0]
        self.lstm.build((batch, self.embedding + self.channels))
        if self.attention != "mean":
            self.query.build((batch, self.units))
            self.score.build((batch, self.locations, self.keys))
        if self.gate:
            self.beta.build((batch, self.units))
        if self.attention == "hard":  # b of section 4.1, a mean log-probability of captions
            self.baseline = self.add_weight(shape=(), initializer="zeros", trainable=False, name="baseline")

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        h, c, annotations, *keys = states
        alpha = self.alpha(h, annotations, *keys)
        noisy = inputs.shape[-1] > self.embedding
        looked = self.chosen(alpha, inputs[:, self.embedding :]) if noisy else alpha
        z = ops.matmul(looked[:, None], annotations)[:, 0]
        if self.gate:
            z = self.beta(h) * z
        _, (h, c) = self.lstm(ops.concatenate([inputs[:, : self.embedding], z], axis=-1), [h, c])
        parts = [h, z, alpha] + ([looked] if self.attention == "hard" else [])
        return ops.concatenate(parts, axis=-1), [h, c, annotations, *keys]

    def alpha(self, h: Any, annotations: Any, keys: Any = None) -> Any:
        """Weights of the locations `(n, L)`, which sum to 1: equations 4 and 5."""
        if keys is None:
            return ops.zeros_like(h[:, :1]) + ops.ones((1, self.locations), "float32") / self.locations
        return ops.softmax(self.score(ops.tanh(keys + self.query(h)[:, None]))[..., 0], axis=-1)

    def chosen(self, alpha: Any, noise: Any) -> Any:
        """1 at a sampled location and 0 elsewhere, or alpha for images that take the expectation."""
        scores = ops.log(alpha + 1e-20) + noise[:, : self.locations]
        sampled = ops.one_hot(ops.argmax(scores, axis=-1), self.locations, dtype="float32")
        expected = noise[:, self.locations :]
        return (1 - expected) * sampled + expected * alpha

    def get_config(self) -> dict[str, Any]:
        names = ("units", "embedding", "locations", "channels", "keys", "attention", "gate")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("keras_vision")
class LocationNoise(layers.Layer):
    """Noise that hard attention samples locations by: Gumbel's, whose argmax with log alpha is distributed as alpha.

    Call with embedded words `(n, T, m)`; the result is `(n, T, m + L + 1)`: the words, the noise, and 1 where the image
    takes the expectation over the locations. In training that is a share of the images, for all of their words; else
    all of them, so that captions do not depend on chance.

    Args:
        locations: L.
        expected: that share, the paper's 0.5.
        seed: a whole number; None draws one.

    Source: section 4.1.
    """

    def __init__(self, locations: int, expected: float = 0.5, seed: int | None = None, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.locations, self.expected, self.seed = locations, expected, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, words: Any, training: bool | None = None) -> Any:
        n, steps = ops.shape(words)[:2]
        if not training:
            return ops.concatenate([words, ops.zeros((n, steps, self.locations)), ops.ones((n, steps, 1))], axis=-1)
        uniform = keras.random.uniform((n, steps, self.locations), minval=1e-7, maxval=1.0, seed=self.generator)
        coins = keras.random.uniform((n, 1, 1), seed=self.generator)
        expected = ops.cast(ops.less(coins, self.expected), "float32")
        noise = -ops.log(-ops.log(uniform))
        return ops.concatenate([words, noise, ops.broadcast_to(expected, (n, steps, 1))], axis=-1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (*shape[:2], shape[2] + self.locations + 1)

    def get_config(self) -> dict[str, Any]:
        own = {"locations": self.locations, "expected": self.expected, "seed": self.seed}
        return {**super().get_config(), **own}
