"""Show, Attend and Tell (Xu et al., 2015): captions with visible attention. Equations 1 to 7, sections 3 and 4.

A convolutional network gives a feature map, whose cells are the annotation vectors a; an LSTM looks at them anew before
each word: at all of them, weighted ("soft"), or at one that is sampled ("hard").

Deviations: each of the two networks that give the LSTM's first state is one layer with a tanh. The numbers of units are
from memory; the paper does not print them. Hard attention takes the expectation over the locations outside training.
"mean" is no network of the paper: it looks at the mean annotation vector, to compare with.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision import applications, graph
from keras_vision.captioning.attend_cell import AttendCell
from keras_vision.captioning.objective import Objective
from keras_vision.captioning.telling import caption_layers, first_states, logits, parts_of, telling
from keras_vision.captioning.told import Captions, searched, told
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel, taps
from keras_vision.registry import ModelCard, Paper, catalogue, find
from keras_vision.runtime.caption_words import SPECIAL

TABLE: Mapping[str, Mapping[str, Any]] = {  # section 4; sizes from memory
    "soft": dict(attention="soft", gate=True, units=1000, embedding=512, keys=512),
    "hard": dict(attention="hard", gate=False, units=1000, embedding=512, keys=512),
    "mean": dict(attention="mean", gate=True, units=1000, embedding=512, keys=512),
}
PAPER = Paper(
    title="Show, Attend and Tell: Neural Image Caption Generation with Visual Attention",
    authors="Xu, Ba, Kiros, Cho, Courville, Salakhutdinov, Zemel, Bengio",
    year=2015,
    arxiv="1502.03044",
)
DEVIATIONS = (
    "one layer with tanh gives each of the first states",
    "units from memory",
    "hard attention takes the expectation outside training",
)


@keras.saving.register_keras_serializable("keras_vision")
class CaptionModel(VisionModel):
    """What `ShowAttendTell` returns: an image and the words before each word, to each word's logits and attention.

    Its inputs are images `(n, h, w, 3)`, or annotation vectors `(n, L, D)` of its `decoder`, and words `(n, T)`, whole
    numbers, the first of each caption `START`. Outputs: "words", logits `(n, T, K)`, "attention" `(n, T, L)`, and of
    hard attention "chosen" `(n, T, L)` and "expected" `(n, 1)`.

    Compile it with an optimizer alone: what it learns by is `objective`, and targets are the words `(n, T)`, the last
    of each caption `END`, then 0.

    Attributes:
        vocabulary: the K words.
        grid: rows and columns of the annotation vectors.
        objective: an `Objective`.
    """

    vocabulary: tuple[str, ...] = ()
    grid: tuple[int, int] = (0, 0)
    objective = Objective()

    @property
    def cell(self) -> AttendCell:
        """The recurrent cell."""
        return self.get_layer("decoder").cell

    @functools.cached_property
    def encoder(self) -> keras.Model:
        """From images to annotation vectors `(n, L, D)`."""
        if len(self.inputs[0].shape) == 3:
            raise KerasVisionError(f"{self.name} is a decoder alone; take the encoder of the whole model.")
        return keras.Model(self.inputs[0], self.get_layer("annotations").output, name="encoder")

    @functools.cached_property
    def decoder(self) -> CaptionModel:
        """The same network on annotation vectors `(n, L, D)`, with the same weights, and the objective set before."""
        cell = self.cell
        annotations = keras.Input((cell.locations, cell.channels), name="annotations")
        words = keras.Input((None,), dtype="int32", name="words")
        outputs = telling(self.get_layer, cell, annotations, words)
        model = CaptionModel([annotations, words], outputs, card=self._card, name=f"{self.name}_decoder")
        model.objective = self.objective
        return model.spoken(self.vocabulary, self.grid)

    def __dir__(self) -> list[str]:
        """Without encoder and decoder: Keras writes whatever models it finds here into the model's file."""
        return [name for name in super().__dir__() if name not in ("encoder", "decoder", "__tellers")]

    def spoken(self, vocabulary: Sequence[str], grid: tuple[int, int]) -> CaptionModel:
        """This model, with its words and the shape of its attention."""
        self.vocabulary, self.grid = tuple(vocabulary), (grid[0], grid[1])
        return self

    def first_states(self, annotations: Any) -> list[Any]:
        """h, c, annotation vectors and keys before the first word: what `next_word` takes besides the word."""
        return first_states(self.get_layer, self.cell, annotations)

    def next_word(self, words: Any, states: Sequence[Any]) -> tuple[Any, list[Any], Any]:
        """Logits `(m, K)`, states and attention `(m, L)` after the words `(m,)`; attention is of the word to come.

        Annotation vectors and keys of one image among the states serve all words.
        """
        cell = self.cell
        embedded = self.get_layer("embedding")(words)
        output, after = cell(embedded, list(states))  # without noise, hard attention takes the expectation
        h, z, alpha, *_ = parts_of(cell, output)
        return logits(self.get_layer, embedded, h, z), after, alpha

    def tell(
        self, images: Any, beam: int = 1, longest: int = 30, length_penalty: float = 0.0, batch_size: int = 32
    ) -> Captions:
        """Captions of preprocessed images `(n, h, w, 3)`, or of annotation vectors `(n, L, D)`; see `told`."""
        return told(self, images, beam, longest, length_penalty, batch_size)

    def searched(
        self, annotations: Any, beam: int = 1, longest: int = 30, length_penalty: float = 0.0
    ) -> dict[str, Any]:
        """The same of annotation vectors `(n, L, D)` as tensors, within a graph; attention `(n, beam, longest, L)`."""
        return searched(self, annotations, beam, longest, length_penalty)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean over the captions of `objective`; in training it moves the baseline of hard attention."""
        hard = self.cell.attention == "hard"
        baseline = ops.convert_to_tensor(self.cell.baseline) if hard else 0.0
        found = self.objective.costs(y, y_pred, baseline)
        if hard and training:
            memory = self.objective.memory
            self.cell.baseline.assign(memory * baseline + (1 - memory) * ops.mean(ops.stop_gradient(found.log_p)))
        return ops.mean(found.loss)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary": list(self.vocabulary), "grid": list(self.grid)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> CaptionModel:
        config = dict(config)
        words, grid = config.pop("vocabulary"), config.pop("grid")
        return super().from_config(config, custom_objects=custom_objects).spoken(words, grid)


def ShowAttendTell(
    vocabulary: Sequence[str],
    row: str = "soft",
    *,
    encoder: str = "VGG19",
    tap: str = "conv5_4",
    weights: str | Path | None = None,
    input_shape: tuple[int, int, int] | None = None,
    attention: str | None = None,
    gate: bool | None = None,
    units: int | None = None,
    embedding: int | None = None,
    keys: int | None = None,
    dropout: float = 0.5,
    expected: float = 0.5,
    scale: float = 1.0,
    seed: int | None = None,
    name: str = "ShowAttendTell",
) -> CaptionModel:
    """Show, Attend and Tell as a functional model, over one `keras.layers.RNN`.

    Args:
        vocabulary: the words, such as `Vocabulary.words`; the first four are those of `captioning.SPECIAL`.
        row: a name in `TABLE`, whose values the next five below take the place of.
        encoder: name of a classifier; `tap` is its feature map, `weights` what it starts from.
        input_shape: (height, width, channels) of the images; None for the encoder's own.
        attention, gate: "soft", "hard" or "mean", and whether there is beta.
        units, embedding, keys: of the LSTM, of a word, and of the attention's hidden layer.
        dropout: share of the units of h, and of what the output layer sees, that training leaves out.
        expected: share of the images that hard attention trains on the expected context.
        scale: what the feature map is multiplied by to give the annotation vectors. Those of a ReLU can be long, 64 on
            the mean for SqueezeNet's fire9, and may saturate the tanh of attention and of the first states.
        seed: of hard attention's noise.
        name: of the model.

    Returns:
        A `CaptionModel`. Its decoder is float32 under any dtype policy.

    Raises:
        KerasVisionError: an unknown row, encoder or tap, one that is no feature map of a fixed size, a vocabulary
            without a word, or a number out of range.
    """
    given = dict(attention=attention, gate=gate, units=units, embedding=embedding, keys=keys)
    settings = _settings(vocabulary, row, given, dropout, expected)
    if not 0 < scale < np.inf:
        raise KerasVisionError(f"scale={scale!r}; give a number above 0, such as 1.")
    trunk, features = _features(encoder, tap, weights, input_shape)
    height, width, channels = features.shape[1:]
    if scale != 1:
        features = layers.Rescaling(scale, dtype="float32", name="scale")(features)
    annotations = layers.Reshape((height * width, channels), dtype="float32", name="annotations")(features)
    words = keras.Input((None,), dtype="int32", name="words")
    cell = AttendCell(locations=height * width, channels=channels, **settings)
    parts = caption_layers(cell, len(vocabulary), dropout, expected, seed)
    outputs = telling(parts.__getitem__, cell, annotations, words)
    model = CaptionModel([trunk.inputs[0], words], outputs, name=name)
    model.spoken(vocabulary, (height, width))
    return model.with_card(_card(model, trunk.card, f"section 4, {row}; {encoder} {tap}"))


def _settings(
    vocabulary: Sequence[str], row: str, given: dict[str, Any], dropout: float, expected: float
) -> dict[str, Any]:
    """A row of the table with what is given in the place of its values."""
    if row not in TABLE:
        raise KerasVisionError(f"row={row!r}; accepted: {', '.join(TABLE)}.")
    if tuple(vocabulary[: len(SPECIAL)]) != SPECIAL or len(vocabulary) <= len(SPECIAL):
        raise KerasVisionError(
            f"a vocabulary of {len(vocabulary)} that begins with {list(vocabulary[:5])}; give {list(SPECIAL)} and at "
            "least one word after them, as `Vocabulary.words` has."
        )
    settings = {**TABLE[row], **{key: value for key, value in given.items() if value is not None}}
    for key in ("units", "embedding", "keys"):
        if not isinstance(settings[key], int) or settings[key] < 1:
            raise KerasVisionError(f"{key}={settings[key]!r}; give a whole number from 1.")
    if not (0 <= dropout < 1 and 0 <= expected <= 1):
        raise KerasVisionError(f"dropout={dropout}, expected={expected}; give shares.")
    return settings


def _features(encoder: str, tap: str, weights: str | Path | None, shape: Any) -> tuple[VisionModel, Any]:
    """An encoder, and its feature map of that name."""
    shape = catalogue()[find(encoder).name]["input"] if shape is None else shape
    trunk = applications.create_model(encoder, include_top=False, weights=weights, input_shape=tuple(shape))
    known = taps(trunk)
    name = tap.replace("/", "_")
    if name not in known or None in known[name].shape:
        held = "an open size: give input_shape" if name in known else "no feature map"
        raise KerasVisionError(f"{encoder} has {held} at tap={tap!r}. Known: {', '.join(known)}.")
    return trunk, graph.call_of(trunk.get_layer(name))[1]


def _card(model: CaptionModel, encoder: ModelCard, table: str) -> ModelCard:
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return dataclasses.replace(
        encoder,
        name="ShowAttendTell",
        family="show_attend_tell",
        paper=PAPER,
        table=table,
        output="logit",
        weights=(),
        loaded=None if encoder.loaded is None else f"{encoder.name}: {encoder.loaded}",
        deviations=DEVIATIONS,
        task="captioning",
        parameters=trained,  # the states of noise and dropout are no parameters
        trainable_parameters=trained,
        multiply_adds=None,
    )
