"""Captions of a trained decoder, with each word's log-probability and where the decoder looked before it."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from keras_vision.captioning.decoding import Sequences, beam_search
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.caption_words import END, NEVER, START, spoken

_NEVER = -1e9  # logit of a word that is not said


class Captions(NamedTuple):
    """What `CaptionModel.tell` says of n images, the best caption of each first.

    Attributes:
        sentences: the best caption of each image, its words joined by blanks.
        words: `(n, beam, longest)`, whole numbers; `END` and more of it after the last word.
        lengths: `(n, beam)`, number of words, the end included.
        scores: `(n, beam)`, what captions are sorted by: their log-probability, in nats, normalised by the length if
            that was asked for.
        log_p: `(n, beam, longest)`, of each word after those before it, in nats; 0 after the end.
        attention: `(n, beam, longest, rows, columns)`, weights before each word; 0 after the end.
    """

    sentences: list[str]
    words: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    log_p: np.ndarray
    attention: np.ndarray


def told(model: Any, images: Any, beam: int, longest: int, length_penalty: float, batch_size: int) -> Captions:
    """Captions by beam search; a beam of 1 is greedy.

    No caption has a word outside the vocabulary: the probabilities are of the others, given that.

    Args:
        model: a `CaptionModel`.
        images: preprocessed `(n, h, w, c)`, or annotation vectors `(n, L, D)`.
        beam: captions that are kept of each image.
        longest: most words, the end included.
        length_penalty: 0 for none; above, long captions lose less (see `beam_search`).
        batch_size: images at a time.

    Raises:
        KerasVisionError: images that do not fit, a beam below 1 or above the size of the vocabulary, or no length.
    """
    checked(model, beam, longest)
    given, cell = np.asarray(images, np.float32), model.cell
    if given.ndim == 4 and len(given):
        given = model.encoder.predict(given, batch_size=batch_size, verbose=0)
    if given.shape[1:] != (cell.locations, cell.channels) or not len(given):
        raise KerasVisionError(
            f"images {np.shape(images)}; give at least one, preprocessed (n, h, w, c), or annotation vectors "
            f"(n, {cell.locations}, {cell.channels})."
        )
    found = teller(model, beam, longest, length_penalty).predict(given, batch_size=batch_size, verbose=0)
    sentences = [" ".join(spoken(best, model.vocabulary)) for best in found["words"][:, 0]]
    maps = found["attention"].reshape(*found["words"].shape, *model.grid)
    return Captions(sentences, found["words"], found["lengths"], found["scores"], found["log_p"], maps)


def checked(model: Any, beam: int, longest: int) -> None:
    """Refuse what cannot be searched.

    Raises:
        KerasVisionError: a beam below 1 or above the size of the vocabulary, or no length.
    """
    words = len(model.vocabulary)
    if not 1 <= beam <= words or longest < 1:
        raise KerasVisionError(
            f"beam={beam}, longest={longest}, with a vocabulary of {words}; give a beam from 1 to {words}, and a "
            "length of at least 1."
        )


def teller(model: Any, beam: int, longest: int, length_penalty: float) -> keras.Model:
    """A model from annotation vectors `(n, L, D)` to the arrays of `Captions`; built once for each of its settings."""
    built = model.__dict__.setdefault("__tellers", {})  # under such a name Keras leaves it out of the model's file
    key = (beam, longest, length_penalty)
    if key not in built:
        annotations = keras.Input((model.cell.locations, model.cell.channels), name="annotations")
        built[key] = keras.Model(annotations, _Telling(model, *key)(annotations), name="teller")
        built[key].jit_compile = False
    return built[key]


class _Telling(layers.Layer):
    """A beam search as a layer, so that Keras compiles it."""

    def __init__(self, model: Any, beam: int, longest: int, length_penalty: float):
        super().__init__(dtype="float32", name="telling")
        self.model, self.settings = model, (beam, longest, length_penalty)

    def call(self, annotations: Any) -> dict[str, Any]:
        return searched(self.model, annotations, *self.settings)

    def compute_output_spec(self, annotations: Any) -> dict[str, Any]:
        n, (beam, longest, _) = annotations.shape[0], self.settings
        whole, single = (n, beam, longest), (n, beam)
        return {
            "words": keras.KerasTensor(whole, "int32"),
            "lengths": keras.KerasTensor(single, "int32"),
            "scores": keras.KerasTensor(single, "float32"),
            "log_p": keras.KerasTensor(whole, "float32"),
            "attention": keras.KerasTensor((*whole, self.model.cell.locations), "float32"),
        }


def searched(model: Any, annotations: Any, beam: int, longest: int, length_penalty: float) -> dict[str, Any]:
    """The arrays of `Captions`, as tensors; attention `(n, beam, longest, L)`."""
    h, c, *looked = model.first_states(annotations)
    looked = [ops.repeat(memory, beam, axis=0) for memory in looked]  # of an image the same in all its beams
    never = np.zeros(len(model.vocabulary), np.float32)
    never[list(NEVER)] = _NEVER
    n, locations = ops.shape(annotations)[0], model.cell.locations

    def step(words: Any, states: Any) -> tuple[Any, Any]:
        logits, (h, c, *_), alpha = model.next_word(words, [states["h"], states["c"], *looked])
        here = ops.equal(ops.arange(longest), states["time"][:, None])[..., None]
        seen = ops.where(here, alpha[:, None], states["attention"])
        return logits + never, {"h": h, "c": c, "time": states["time"] + 1, "attention": seen}

    begun = {
        "h": h, "c": c, "time": ops.zeros((n,), "int32"), "attention": ops.zeros((n, longest, locations), "float32"),
    }  # fmt: skip
    found = beam_search(step, begun, start=START, end=END, width=beam, longest=longest, length_penalty=length_penalty)
    return _arrays(found, longest, locations)


def _arrays(found: Sequences, longest: int, locations: int) -> dict[str, Any]:
    width = found.words.shape[1]
    said = ops.less(ops.arange(longest), found.lengths[..., None])[..., None]
    maps = ops.reshape(found.states["attention"], (-1, width, longest, locations))
    arrays = {"words": found.words, "lengths": found.lengths, "scores": found.scores, "log_p": found.log_p}
    return {**arrays, "attention": ops.where(said, maps, 0.0)}
