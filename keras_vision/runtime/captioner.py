"""Captions with an exported LiteRT model: beam search in NumPy over its encoder and its step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.caption_words import END, NEVER, START, spoken
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.predictor import open_interpreter, read_metadata

ENCODE, STEP = "encode", "step"  # signatures of the file


class Caption(NamedTuple):
    """What is said of an image.

    Attributes:
        words: of the caption.
        log_p: log-probability of each word after those before it, in nats, `(words,)`; the end is not among them.
        attention: weights before each word, `(words, rows, columns)`.
        score: log-probability of the whole with its end, normalised by its length if that was asked for.
    """

    words: list[str]
    log_p: np.ndarray
    attention: np.ndarray
    score: float


class Captioner:
    """A LiteRT file that says what is in photographs.

    Args:
        path: a `.tflite` file that `keras_vision.export.to_litert` wrote of a `captioning.ShowAttendTell`.
        threads: CPU threads; by default all cores.

    Raises:
        KerasVisionError: the file is missing, damaged, or no captioner.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None):
        self.path = Path(path)
        self.card, spec, words = read_metadata(self.path)
        self._interpreter = open_interpreter(self.path, threads, allocate=False)
        found = set(self._interpreter.get_signature_list())
        if self.card.get("task") != "captioning" or spec is None or words is None or not {ENCODE, STEP} <= found:
            raise KerasVisionError(
                f"{path} has the signatures {sorted(found)}, and its card names no captioner; export one with "
                "`keras-vision export MODEL.keras OUT.tflite`."
            )
        self.preprocessing, self.vocabulary = spec, words
        self.grid = tuple(self.card["grid"])
        self._runners = {name: self._interpreter.get_signature_runner(name) for name in (ENCODE, STEP)}

    def caption(self, image: Source, beam: int = 5, longest: int = 30, length_penalty: float = 0.0) -> Caption:
        """The best caption of a photograph.

        Args:
            image: a path, encoded bytes, a Pillow image or uint8 pixels `(h, w, 3)`.
            beam: captions that are kept; 1 is greedy.
            longest: most words, the end included.
            length_penalty: as of `captioning.beam_search`.

        Raises:
            ImageError: the image cannot be decoded.
            KerasVisionError: a beam below 1 or above the size of the vocabulary, or no length.
        """
        words = len(self.vocabulary)
        if not 1 <= beam <= words or longest < 1:
            raise KerasVisionError(
                f"beam={beam}, longest={longest}; give a beam from 1 to {words}, and a length from 1."
            )
        return self._searched(self.preprocessing(open_image(image))[None], beam, longest, length_penalty)

    def run(self, signature: str, **given: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of "encode" or "step" by name, for inputs by name."""
        return self._runners[signature](**given)

    def _searched(self, pixels: np.ndarray, beam: int, longest: int, length_penalty: float) -> Caption:
        memory = self.run(ENCODE, image=pixels)
        states = {name: np.repeat(memory.pop(name), beam, axis=0) for name in ("h", "c")}
        beams = [_Beam([], [], [], 0.0, 0.0)]
        for _ in range(longest):
            last = np.full(beam, END, np.int32)
            for place, one in enumerate(beams):
                last[place] = one.words[-1] if one.words else START
            found = self.run(STEP, word=last, **states, **memory)
            candidates = self._candidates(beams, found, length_penalty)
            chosen = sorted(candidates, key=lambda pair: -pair[1].score)[:beam]
            parents = [parent for parent, _ in chosen]
            parents += [0] * (beam - len(parents))
            states = {name: found[name][parents] for name in ("h", "c")}
            beams = [one for _, one in chosen]
            if all(one.words[-1] == END for one in beams):
                break
        return self._caption(beams[0])

    def _candidates(self, beams: Sequence[_Beam], found: Any, length_penalty: float) -> list[tuple[int, _Beam]]:
        """Every caption as it is, if it has ended, or with each of its likeliest next words; with its place."""
        candidates = []
        for place, one in enumerate(beams):
            if one.words and one.words[-1] == END:
                length = len(one.words)
                candidates.append((place, one._replace(score=one.total / ((5 + length) / 6) ** length_penalty)))
                continue
            log_p = _log_probabilities(found["logits"][place])
            for word in np.argsort(-log_p)[: len(found["logits"]) + 1]:  # one more, as an end has another length
                length = len(one.words) + int(word != END)  # as in `beam_search`, an end counts from the next step on
                total = one.total + float(log_p[word])
                longer = _Beam(
                    [*one.words, int(word)],
                    [*one.log_p, float(log_p[word])],
                    [*one.attention, found["attention"][place]],
                    total,
                    total / ((5 + length) / 6) ** length_penalty,
                )
                candidates.append((place, longer))
        return candidates

    def _caption(self, best: _Beam) -> Caption:
        words = spoken(best.words, self.vocabulary)
        maps = np.array(best.attention, np.float32)[: len(words)].reshape(len(words), *self.grid)
        return Caption(words, np.array(best.log_p[: len(words)], np.float32), maps, best.score)


class _Beam(NamedTuple):
    """A caption so far."""

    words: list[int]
    log_p: list[float]
    attention: list[np.ndarray]
    total: float
    score: float


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Of each word, those that are never said left out."""
    kept = logits.astype(np.float64)
    kept[list(NEVER)] = -np.inf
    highest = kept.max()
    return kept - highest - np.log(np.exp(kept - highest).sum())
