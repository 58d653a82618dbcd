"""BLEU and METEOR of captions: published examples, and counts by hand."""

import math

import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import caption_scores
from keras_vision.evaluation.captions import _NoSynonyms, corpus_bleu, meteor

# Papineni et al. (2002), examples 1 and 2.
FIRST, *REFERENCES = [
    text.split()
    for text in (
        "It is a guide to action which ensures that the military always obeys the commands of the party",
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    )
]
THE = ["the"] * 7
CAT = [text.split() for text in ("the cat is on the mat", "there is a cat on the mat")]


def test_bleu_is_that_of_the_paper():
    """Of example 1 the modified precision is 17/18; of example 2 it is 2/7 and, of bigrams, 0."""
    found, plain = corpus_bleu([REFERENCES], [FIRST])
    assert plain[0] == pytest.approx(17 / 18)
    assert found[3] == pytest.approx(0.5046, abs=1e-4)  # as NLTK's page prints it
    found, plain = corpus_bleu([CAT], [THE])
    assert plain[0] == pytest.approx(2 / 7)
    assert found[1] == plain[1] == 0.0


def test_a_corpus_is_counted_as_a_whole_and_short_captions_lose():
    captions = [["a", "dog"], ["a", "red", "car", "stops"]]
    references = [[["a", "dog", "runs", "here"]], [["a", "red", "car", "waits"]]]
    found, plain = corpus_bleu(references, captions)
    assert plain[0] == pytest.approx(5 / 6)
    assert plain[1] == pytest.approx(math.sqrt(5 / 6 * 3 / 4))
    assert found[0] == pytest.approx(5 / 6 * math.exp(1 - 8 / 6))


def test_meteor_is_that_of_its_formula_without_synonyms(monkeypatch):
    """Two stems in one row of words of three: precision and recall 2/3, one piece of two matches."""
    monkeypatch.setattr("keras_vision.evaluation.captions._wordnet", _NoSynonyms)
    score, stages = meteor([[["dogs", "running", "here"]]], [["dog", "runs", "there"]])
    assert stages == "exact, stem"
    assert score == pytest.approx(2 / 3 * (1 - 0.5 * (1 / 2) ** 3))
    best, _ = meteor([[["a", "b"], ["dog", "runs", "there"]]], [["dog", "runs", "there"]])
    assert best == pytest.approx(1 - 0.5 * (1 / 3) ** 3)


def test_scores_of_nothing_said_are_0():
    found = caption_scores([CAT], [[]])
    assert found.bleu == found.bleu_unpenalised == (0.0,) * 4
    assert found.meteor == 0
    assert found.captions == 1


@pytest.mark.parametrize(("references", "captions"), [([], []), ([CAT], []), ([[]], [["a"]])])
def test_what_cannot_be_compared_is_an_error(references, captions):
    with pytest.raises(KerasVisionError, match="at least one reference"):
        caption_scores(references, captions)
