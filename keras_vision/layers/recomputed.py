"""A part of a network that keeps nothing for its gradient but its inputs."""

from __future__ import annotations

from typing import Any

import keras

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class Recomputed(keras.Model):
    """A functional model that, in training, is computed again for its gradient; in between only its inputs are kept.

    Trades time for memory (`keras.remat`). Its batch norms see each batch twice, so that a momentum of `m` acts like
    `m * m`: give them the square root.

    Input and output shapes: those of the graph it is built from.

    Raises:
        KerasVisionError: in training on JAX.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)  # with *args and **kwargs, Keras treats the class as functional

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        plain = super().call
        if not training:
            return plain(inputs, training=training, mask=mask)
        if keras.backend.backend() == "jax":  # batch norm's new statistics cannot leave a rematerialised part
            raise KerasVisionError(f"{self.name} is computed again in training, which JAX does not take: leave it out.")

        def again(*tensors: Any) -> Any:
            return plain(list(tensors), training=training)

        return keras.remat(again)(*keras.tree.flatten(inputs))
