"""The layers around the decoder's cell, and how they are put together: the LSTM's first states and the words it says.

Source: Xu et al. (2015), section 3.1.2 and equation 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from keras_vision.captioning.attend_cell import AttendCell, LocationNoise

Part = Callable[[str], Any]  # layers by name


def caption_layers(cell: AttendCell, words: int, dropout: float, expected: float, seed: int | None) -> dict[str, Any]:
    """Whatever `telling` needs, by name."""
    plain: dict[str, Any] = dict(dtype="float32")
    parts = [
        layers.GlobalAveragePooling1D(name="mean", **plain),
        layers.Dense(cell.units, activation="tanh", name="start_h", **plain),
        layers.Dense(cell.units, activation="tanh", name="start_c", **plain),
        layers.Dense(cell.keys, use_bias=False, name="keys", **plain),
        layers.Embedding(words, cell.embedding, name="embedding", **plain),
        LocationNoise(cell.locations, expected, seed, name="noise"),
        layers.RNN(cell, return_sequences=True, name="decoder", **plain),
        layers.Dropout(dropout, seed=seed, name="dropout_h", **plain),
        layers.Dense(cell.embedding, name="output_h", **plain),  # L_h
        layers.Dense(cell.embedding, use_bias=False, name="output_z", **plain),  # L_z
        layers.Add(name="output_sum", **plain),
        layers.Dropout(dropout, seed=seed, name="dropout_sum", **plain),
        layers.Dense(words, name="output", **plain),  # L_o
    ]
    return {part.name: part for part in parts}


def first_states(part: Part, cell: AttendCell, annotations: Any) -> list[Any]:
    """What the recurrence begins with: section 3.1.2."""
    mean = part("mean")(annotations)
    keys = [] if cell.attention == "mean" else [part("keys")(annotations)]
    return [part("start_h")(mean), part("start_c")(mean), annotations, *keys]


def telling(part: Part, cell: AttendCell, annotations: Any, words: Any) -> dict[str, Any]:
    """The outputs of the model from annotation vectors and words, through layers by name."""
    embedded = part("embedding")(words)
    inputs = part("noise")(embedded) if cell.attention == "hard" else embedded
    outputs = part("decoder")(inputs, initial_state=first_states(part, cell, annotations))
    h, z, alpha, *chosen = parts_of(cell, outputs)
    found = {"words": logits(part, embedded, h, z), "attention": alpha}
    if chosen:
        found |= {"chosen": chosen[0], "expected": inputs[:, 0, -1:]}
    return found


def parts_of(cell: AttendCell, output: Any) -> list[Any]:
    """h, z, alpha and, of hard attention, what stood in its place, out of the cell's output."""
    ends = [cell.units, cell.units + cell.channels, cell.units + cell.channels + cell.locations]
    parts = [output[..., start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return parts + ([output[..., ends[-1] :]] if cell.attention == "hard" else [])


def logits(part: Part, embedded: Any, h: Any, z: Any) -> Any:
    """The deep output layer, ``L_o (E y + L_h h + L_z z)``: equation 7."""
    total = part("output_sum")([embedded, part("output_h")(part("dropout_h")(h)), part("output_z")(z)])
    return part("output")(part("dropout_sum")(total))
