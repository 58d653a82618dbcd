"""One step of DRAW as a recurrent cell, and what it begins with.

``error = x - sigmoid(canvas)``, ``r = read([x, error], h_dec)``, ``h_enc = LSTM([r, h_dec])``, ``z = mean(h_enc) +
sigma(h_enc) noise``, ``h_dec = LSTM(z)``, ``canvas = canvas + write(h_dec)``.

Source: Gregor et al. (2015), equations 3 to 8; numbers from memory.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from keras_vision.layers import ReadAttention, ReadWhole, WriteAttention, WriteWhole


@keras.saving.register_keras_serializable("keras_vision")
class DRAWCell(layers.Layer):
    """A step of DRAW, for `keras.layers.RNN`.

    Call with noise `(n, z)` and the states image, canvas, each `(n, B * A * c)`, h and c of the encoder, h and c of
    the decoder, each `(n, units)`. What comes out of a step is one vector `(n, 2 z + units)`: mean and log sigma of
    z's distribution, and h of the decoder, of which all that is drawn is a function. Image and canvas are float32
    under any policy; the LSTMs and the maps to z have the policy `precision`.

    Args:
        image_shape: B, A and c: height, width, channels.
        units: of each LSTM.
        codes: z's dimensions.
        read, write: sides of the patches, in filters; None for the whole image, without attention.
        precision: dtype policy of the LSTMs; None for the global one.

    Raises:
        KerasVisionError: a patch of one filter, or larger than the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        units: int,
        codes: int,
        read: int | None,
        write: int | None,
        precision: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.image_shape = (image_shape[0], image_shape[1], image_shape[2])
        self.units, self.codes = units, codes
        self.patches = (read, write)
        self.precision = keras.dtype_policies.get(precision or keras.config.dtype_policy()).name
        policy = dict(dtype=self.precision)
        self.read = ReadWhole(name="read", dtype="float32") if read is None else ReadAttention(read, name="read")
        self.encoder = layers.LSTMCell(units, name="encoder", **policy)
        self.mean = layers.Dense(codes, name="mean", **policy)
        self.log_sigma = layers.Dense(codes, name="log_sigma", **policy)
        self.decoder = layers.LSTMCell(units, name="decoder", **policy)
        whole = dict(image_shape=self.image_shape, name="write", **policy)
        self.write = WriteWhole(**whole) if write is None else WriteAttention(write, **whole)
        self.state_size = [math.prod(self.image_shape)] * 2 + [units] * 4
        self.output_size = 2 * codes + units

    def build(self, noise_shape: tuple) -> None:
        batch = noise_shape[0]
        height, width, channels = self.image_shape
        state = (batch, self.units)
        self.read.build((batch, height, width, 2 * channels), state)
        side = self.patches[0]
        seen = 2 * channels * (height * width if side is None else side * side)
        self.encoder.build((batch, seen + self.units))
        self.mean.build(state)
        self.log_sigma.build(state)
        self.decoder.build((batch, self.codes))
        self.write.build(state)

    def call(self, noise: Any, states: Any) -> tuple[Any, list[Any]]:
        image, canvas, h_enc, c_enc, h_dec, c_dec = states
        x = ops.reshape(ops.stop_gradient(image), (-1, *self.image_shape))
        drawn = ops.reshape(canvas, (-1, *self.image_shape))
        glimpse = self.read(ops.concatenate([x, x - ops.sigmoid(drawn)], axis=-1), h_dec)
        _, (h_enc, c_enc) = self.encoder(ops.concatenate([glimpse, h_dec], axis=-1), [h_enc, c_enc])
        mean, log_sigma = ops.cast(self.mean(h_enc), "float32"), ops.cast(self.log_sigma(h_enc), "float32")
        _, (h_dec, c_dec) = self.decoder(mean + ops.exp(log_sigma) * noise, [h_dec, c_dec])
        canvas = canvas + ops.reshape(self.write(h_dec), ops.shape(canvas))
        encoder_decoder = [ops.cast(state, "float32") for state in (h_enc, c_enc, h_dec, c_dec)]
        output = ops.concatenate([mean, log_sigma, encoder_decoder[2]], axis=-1)
        return output, [image, canvas, *encoder_decoder]

    def get_config(self) -> dict[str, Any]:
        read, write = self.patches
        own = {name: getattr(self, name) for name in ("image_shape", "units", "codes", "precision")}
        return {**super().get_config(), **own, "read": read, "write": write}


@keras.saving.register_keras_serializable("keras_vision")
class DRAWStart(layers.Layer):
    """The canvas and the LSTMs' states before the first step: learned biases, or zeros; the same for every image.

    Call with anything of a batch `(n, ...)`; the result is the canvas `(n, B * A * c)` and four states `(n, units)`.

    Args:
        pixels: B * A * c.
        units: of each LSTM.
        learned: whether they are weights.
    """

    def __init__(self, pixels: int, units: int, learned: bool, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.pixels, self.units, self.learned = pixels, units, learned

    def build(self, shape: tuple) -> None:
        if self.learned:
            self.canvas = self.add_weight(shape=(self.pixels,), initializer="zeros", name="canvas")
            self.states = self.add_weight(shape=(4, self.units), initializer="zeros", name="states")

    def call(self, batch: Any) -> list[Any]:
        n = ops.shape(batch)[0]
        if not self.learned:
            return [ops.zeros((n, self.pixels)), *(ops.zeros((n, self.units)) for _ in range(4))]
        starts = [self.canvas, *ops.unstack(ops.convert_to_tensor(self.states), 4, axis=0)]
        return [ops.broadcast_to(start, (n, start.shape[0])) for start in starts]

    def compute_output_shape(self, shape: tuple) -> list[tuple]:
        return [(shape[0], self.pixels), *[(shape[0], self.units)] * 4]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels, "units": self.units, "learned": self.learned}


@keras.saving.register_keras_serializable("keras_vision")
class StandardNormal(layers.Layer):
    """Noise for each step, `(n, steps, codes)`, from a batch of anything; with a seed of its own in training and out.

    Args:
        steps, codes: T and z's dimensions.
        seed: a whole number; None draws one.
    """

    def __init__(self, steps: int, codes: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.steps, self.codes, self.seed = steps, codes, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, batch: Any) -> Any:
        return keras.random.normal((ops.shape(batch)[0], self.steps, self.codes), seed=self.generator)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (shape[0], self.steps, self.codes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "codes": self.codes, "seed": self.seed}
