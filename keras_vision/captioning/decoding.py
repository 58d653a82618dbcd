"""The most probable sequences of words of a decoder that gives one word at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


class Sequences(NamedTuple):
    """What `beam_search` found for each of n images, best first.

    Attributes:
        words: `(n, width, longest)`, integers; after the end of a sequence, more ends.
        scores: `(n, width)`, what the sequences are sorted by.
        lengths: `(n, width)`, number of words, the end included.
        log_p: `(n, width, longest)`, log-probability of each word after those before it; 0 after the end.
        states: of the sequences after their last word, those of one image side by side: `(n * width, ...)`.
    """

    words: Any
    scores: Any
    lengths: Any
    log_p: Any
    states: Any


def beam_search(
    step: Callable[[Any, Any], tuple[Any, Any]],
    states: Any,
    *,
    start: int,
    end: int,
    width: int = 3,
    longest: int = 20,
    length_penalty: float = 0.0,
) -> Sequences:
    """Keeps, word by word, the `width` sequences of highest score.

    A sequence's score is ``log p / ((5 + length) / 6) ** length_penalty``. In the step in which a sequence ends, the
    end does not count for its length yet; afterwards it does, as in tensorflow-addons.

    Args:
        step: ``(words (m,), states) -> (logits (m, vocabulary), states)``, for m = n * width sequences at once, those
            of one image side by side.
        states: of the n images before the first word: a tensor `(n, ...)` or a nest of them.
        start: the word before the first.
        end: the word after the last.
        width: number of sequences kept; 1 is greedy search.
        longest: most words of a sequence, the end included.
        length_penalty: 0 for none; above, long sequences lose less.

    Raises:
        KerasVisionError: a width or a length below 1.

    Source: `BeamSearchDecoder` of tensorflow-addons; the penalty is that of Wu et al. (2016), Equation 14.
    """
    if width < 1 or longest < 1:
        raise KerasVisionError(f"width={width!r}, longest={longest!r}; give numbers of at least 1.")
    n = ops.shape(keras.tree.flatten(states)[0])[0]
    search = _Search(step, end, width, length_penalty, longest)
    first = ops.broadcast_to(ops.array([0.0, *[-math.inf] * (width - 1)], "float32"), (n, width))
    beams = _Beams(
        time=ops.zeros((), "int32"),
        words=ops.full((n, width, longest), end, "int32"),
        last=ops.full((n, width), start, "int32"),
        log_p=first,  # one sequence, the empty one
        each=ops.zeros((n, width, longest), "float32"),
        scores=first,
        lengths=ops.zeros((n, width), "int32"),
        finished=ops.zeros((n, width), "bool"),
        states=keras.tree.map_structure(lambda state: ops.repeat(state, width, axis=0), states),
    )
    last = _Beams(*ops.while_loop(search.goes_on, search.next, tuple(beams), maximum_iterations=longest))
    return Sequences(last.words, last.scores, last.lengths, last.each, last.states)


class _Beams(NamedTuple):
    """All that a step of the search changes; `last` is each sequence's last word, `each` has every word's log p."""

    time: Any
    words: Any
    last: Any
    log_p: Any
    each: Any
    scores: Any
    lengths: Any
    finished: Any
    states: Any


class _Search(NamedTuple):
    """What stays the same throughout a search."""

    step: Callable[[Any, Any], tuple[Any, Any]]
    end: int
    width: int
    length_penalty: float
    longest: int

    def goes_on(self, *beams: Any) -> Any:
        return ops.logical_not(ops.all(_Beams(*beams).finished))

    def next(self, *arguments: Any) -> tuple:
        """One more word for every sequence that has not ended."""
        beams = _Beams(*arguments)
        logits, states = self.step(ops.reshape(beams.last, (-1,)), beams.states)
        vocabulary = logits.shape[-1]
        log_p = self._continued(beams, ops.reshape(ops.cast(logits, "float32"), (-1, self.width, vocabulary)))
        scores = log_p / self._penalty(beams, vocabulary)
        scores, chosen = ops.top_k(ops.reshape(scores, (-1, self.width * vocabulary)), self.width)
        parent, word = chosen // vocabulary, chosen % vocabulary

        def of_parent(values: Any) -> Any:
            return ops.take_along_axis(values, parent, axis=1)

        ended = of_parent(beams.finished)
        here = ops.equal(ops.arange(self.longest), beams.time)
        before = ops.take_along_axis(beams.words, parent[..., None], axis=1)
        log_p = ops.take_along_axis(ops.reshape(log_p, (-1, self.width * vocabulary)), chosen, axis=1)
        gained = ops.where(ended, 0.0, log_p - of_parent(beams.log_p))
        each = ops.take_along_axis(beams.each, parent[..., None], axis=1)
        return _Beams(
            time=beams.time + 1,
            words=ops.where(here, word[..., None], before),
            last=word,
            log_p=log_p,
            each=ops.where(here, gained[..., None], each),
            scores=scores,
            lengths=of_parent(beams.lengths) + ops.cast(ops.logical_not(ended), "int32"),
            finished=ops.logical_or(ended, ops.equal(word, self.end)),
            states=keras.tree.map_structure(lambda state: self._of_parent(state, parent), states),
        )

    def _continued(self, beams: _Beams, logits: Any) -> Any:
        """Log-probability of each sequence with each word after it; one that ended has only more ends after it."""
        after_end = ops.where(ops.equal(ops.arange(logits.shape[-1]), self.end), 0.0, -math.inf)
        words = ops.where(beams.finished[..., None], after_end, ops.log_softmax(logits, axis=-1))
        return beams.log_p[..., None] + words

    def _penalty(self, beams: _Beams, vocabulary: int) -> Any:
        grows = ops.logical_and(
            ops.logical_not(beams.finished)[..., None], ops.not_equal(ops.arange(vocabulary), self.end)
        )
        length = ops.cast(beams.lengths[..., None] + ops.cast(grows, "int32"), "float32")
        return ((5 + length) / 6) ** self.length_penalty

    def _of_parent(self, state: Any, parent: Any) -> Any:
        """States `(n * width, ...)` in the order of the new sequences."""
        first = ops.arange(ops.shape(parent)[0])[:, None] * self.width
        return ops.take(state, ops.reshape(first + ops.cast(parent, "int32"), (-1,)), axis=0)
