"""The numbers of a caption's words that stand for no word, and sentences from numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PAD, UNKNOWN, START, END = 0, 1, 2, 3
SPECIAL = ("", "[UNK]", "[START]", "[END]")  # first of every vocabulary, in this order
NEVER = (PAD, UNKNOWN, START)  # said by no decoder


def spoken(numbers: Iterable[int], vocabulary: Sequence[str]) -> list[str]:
    """The words of a caption up to its end.

    Args:
        numbers: of the words, whole numbers below the size of the vocabulary.
        vocabulary: word of each number.
    """
    words = []
    for number in numbers:
        if number in (END, PAD):
            break
        words.append(vocabulary[int(number)])
    return words
