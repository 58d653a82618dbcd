"""Vocabularies, and the two rows of numbers that a caption becomes."""

import numpy as np
import pytest

from keras_vision.captioning import Vocabulary, padded, vocabulary_of, words_of
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.caption_words import END, SPECIAL, START, UNKNOWN

CAPTIONS = ["A dog runs .", "The dog, the DOG!", "a man's hat", "", " . "]


def test_words_are_sorted_by_frequency_and_go_back_to_sentences():
    found = vocabulary_of(CAPTIONS)
    assert found.words[:4] == SPECIAL
    assert found.words[4] == "dog"
    assert set(found.words[4:]) == {"dog", "a", "the", "runs", "mans", "hat"}
    rows = found.numbers(CAPTIONS)
    assert [found.sentence(row) for row in rows] == ["a dog runs", "the dog the dog", "a mans hat", "", ""]
    assert found.sentence([4, END, 5]) == "dog"
    assert words_of(CAPTIONS)[:3] == [["a", "dog", "runs"], ["the", "dog", "the", "dog"], ["a", "mans", "hat"]]


def test_rare_words_and_those_beyond_the_size_are_unknown():
    often = vocabulary_of(CAPTIONS, least=2)
    assert set(often.words[4:]) == {"dog", "a", "the"}
    assert (often.numbers(["a cat runs"])[0] == [often.words.index("a"), UNKNOWN, UNKNOWN]).all()
    assert vocabulary_of(CAPTIONS, size=5).words == (*SPECIAL, "dog")
    assert often.numbers([]) == []


def test_rows_begin_with_start_and_end_with_end():
    before, words = padded([np.array([5, 6]), np.array([7])])
    np.testing.assert_array_equal(before, [[START, 5, 6], [START, 7, 0]])
    np.testing.assert_array_equal(words, [[5, 6, END], [7, END, 0]])


@pytest.mark.parametrize(("make", "says"), [
    (lambda: vocabulary_of(CAPTIONS, size=4), "size=4"),
    (lambda: vocabulary_of([]), "of 0 captions"),
    (lambda: vocabulary_of(CAPTIONS, least=9), "no word occurs 9 times"),
    (lambda: Vocabulary(("a",)), "a vocabulary of 1"),
    (lambda: Vocabulary(SPECIAL), "at least one word"),
    (lambda: Vocabulary((*SPECIAL, "a", "a")), "twice"),
])  # fmt: skip
def test_vocabularies_that_cannot_be_are_errors(make, says):
    with pytest.raises(KerasVisionError, match=says):
        make()
