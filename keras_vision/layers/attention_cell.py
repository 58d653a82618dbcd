"""A recurrent cell that looks at a memory, such as an image's feature map, in every step."""

from typing import Any

import keras
from keras import layers, ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class AttentionCell(layers.Layer):
    """One step of a recurrent cell, then a look at the memory with what came out.

    ``h = cell([x, attention of the step before])``, ``alignments = softmax(score(h, memory))``, ``attention =
    combined([h, alignments @ memory])``. The score is Keras' own:

    - "additive": ``scale . tanh(queries(h) + keys(memory))`` (`keras.layers.AdditiveAttention`; Bahdanau et al., 2014);
    - "dot": ``h . keys(memory)`` (`keras.layers.Attention`; Luong et al., 2015), with `key_units` those of the cell.

    Args:
        cell: a Keras cell, such as `keras.layers.GRUCell`.
        units: width of the attention.
        key_units: width in which query and memory are compared.
        score: "additive" or "dot".
        query_bias: whether the queries have a bias, as in the "normalized" form of tensorflow-addons.
        scale: whether a dot product has a learnt factor; an additive score always has its vector.

    Call with `(x, states, memory, mask)`: `(n, d)`; the list that `get_initial_state(batch_size)` begins and each step
    returns, cell states and attention; `(n, t, m)`; `(n, t)`, False for cells to leave out, or None. It returns the
    attention `(n, units)`, the next states, and the alignments `(n, t)`.

    Raises:
        KerasVisionError: another score.

    Source: Luong et al. (2015), Equations 4 to 8; `AttentionWrapper` of tensorflow-addons.
    """

    def __init__(
        self,
        cell: Any,
        units: int,
        key_units: int,
        score: str = "additive",
        query_bias: bool = False,
        scale: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if score not in ("additive", "dot"):
            raise KerasVisionError(f"score={score!r}; accepted: 'additive', 'dot'.")
        self.cell, self.units, self.key_units, self.score = cell, units, key_units, score
        self.query_bias, self.scale = query_bias, scale
        self.keys = layers.Dense(key_units, use_bias=False, name="keys")
        self.combined = layers.Dense(units, use_bias=False, name="combined")
        if score == "additive":
            self.queries = layers.Dense(key_units, use_bias=query_bias, name="queries")
            self.scored = layers.AdditiveAttention(name="scored")
        else:
            self.queries = layers.Identity(name="queries")
            self.scored = layers.Attention(use_scale=scale, name="scored")

    def build(self, x_shape: tuple, states_shape: Any, memory_shape: tuple, mask_shape: Any = None) -> None:
        n, output = x_shape[0], self.cell.output_size
        if not self.cell.built:  # a cell from a file is
            self.cell.build((n, x_shape[-1] + self.units))
        self.keys.build(memory_shape)
        self.queries.build((n, 1, output))
        self.scored.build([(n, 1, self.key_units), memory_shape, (*memory_shape[:-1], self.key_units)])
        self.combined.build((n, output + memory_shape[-1]))

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Zeros: the cell's states and the attention."""
        states = keras.tree.flatten(self.cell.get_initial_state(batch_size=batch_size))
        return [*states, ops.zeros((batch_size, self.units), self.compute_dtype)]

    def call(self, x: Any, states: Any, memory: Any, mask: Any = None) -> tuple[Any, list[Any], Any]:
        *inner, attention = states
        output, inner = self.cell(ops.concatenate([x, attention], axis=-1), inner)
        query = ops.expand_dims(self.queries(output), 1)
        context, alignments = self.scored(
            [query, memory, self.keys(memory)],
            mask=None if mask is None else [None, mask],
            return_attention_scores=True,
        )
        attention = self.combined(ops.concatenate([output, context[:, 0]], axis=-1))
        return attention, [*keras.tree.flatten(inner), attention], alignments[:, 0]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("units", "key_units", "score", "query_bias", "scale")}
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AttentionCell":
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})
