"""Sentences to numbers and back: a vocabulary, by Keras' own tokenisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.caption_words import END, PAD, SPECIAL, START, UNKNOWN, spoken

_STANDARD = "lower_and_strip_punctuation"  # of keras.layers.TextVectorization; words are split at blanks
_ADDED = len(SPECIAL) - 2  # Keras' own vocabulary begins with padding and unknown alone


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Words by number. The first four are `SPECIAL`: padding, unknown, start and end.

    Attributes:
        words: all of them, most frequent first.

    Raises:
        KerasVisionError: no words besides the four, or others in their places, or one twice.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL or len(self.words) <= len(SPECIAL):
            raise KerasVisionError(
                f"a vocabulary of {len(self.words)} that begins with {list(self.words[:5])}; give {list(SPECIAL)} and "
                "at least one word after them."
            )
        if len(set(self.words)) != len(self.words):
            raise KerasVisionError(f"{len(self.words) - len(set(self.words))} words are in the vocabulary twice.")

    def __len__(self) -> int:
        return len(self.words)

    def numbers(self, captions: Sequence[str]) -> list[np.ndarray]:
        """The numbers of each caption's words, int32 `(length,)`, without start and end; `UNKNOWN` for those not here.

        Letters become small and punctuation goes; a caption of nothing else is empty.
        """
        if not len(captions):
            return []
        layer = keras.layers.TextVectorization(
            standardize=_STANDARD, ragged=True, vocabulary=self.words[len(SPECIAL) :]
        )
        rows = layer(tf.constant(list(captions))).to_list()
        return [np.array([n if n == UNKNOWN else n + _ADDED for n in row], np.int32) for row in rows]

    def sentence(self, numbers: Iterable[int]) -> str:
        """The words of a caption up to its end, joined by blanks."""
        return " ".join(spoken(numbers, self.words))


def vocabulary_of(captions: Sequence[str], size: int = 10_000, least: int = 1) -> Vocabulary:
    """The most frequent words of captions.

    Args:
        captions: sentences.
        size: words at most, the four special ones included; the paper's is 10,000.
        least: how often a word has to occur.

    Raises:
        KerasVisionError: no captions, no room for a word, or none that occurs often enough.
    """
    if size <= len(SPECIAL) or least < 1 or not len(captions):
        raise KerasVisionError(
            f"size={size}, least={least} of {len(captions)} captions; give more than {len(SPECIAL)} words, of which "
            "four are special, at least 1 occurrence, and captions."
        )
    layer = keras.layers.TextVectorization(max_tokens=size - _ADDED, standardize=_STANDARD, ragged=True)
    texts = tf.constant(list(captions))
    layer.adapt(texts)
    known = layer.get_vocabulary()  # sorted by frequency
    occurrences = np.bincount(layer(texts).flat_values, minlength=len(known))
    words = [word for word, count in zip(known[2:], occurrences[2:], strict=True) if count >= least]
    if not words:
        raise KerasVisionError(f"no word occurs {least} times in {len(captions)} captions; lower `least`.")
    return Vocabulary((*SPECIAL, *words))


def padded(captions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a `CaptionModel` takes and is to give: words before each word, and the words, each int32 `(n, T)`.

    T is the longest caption's words and one more: captions begin with `START` and end with `END`; after that is 0.
    """
    steps = max(len(caption) for caption in captions) + 1
    before, words = np.full((len(captions), steps), PAD, np.int32), np.full((len(captions), steps), PAD, np.int32)
    for row, caption in enumerate(captions):
        before[row, : len(caption) + 1] = [START, *caption]
        words[row, : len(caption) + 1] = [*caption, END]
    return before, words


def words_of(captions: Sequence[str]) -> list[list[str]]:
    """The words of each caption as `Vocabulary.numbers` splits them, all of them known; a caption without any is empty.

    Raises:
        KerasVisionError: none has a word.
    """
    whole = vocabulary_of(captions, size=1 << 30)
    return [[whole.words[number] for number in row] for row in whole.numbers(captions)]
