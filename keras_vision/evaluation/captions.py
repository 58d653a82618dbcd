"""Scores of captions against what people wrote: BLEU and METEOR, both NLTK's."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

from keras_vision.errors import KerasVisionError

Words = Sequence[str]


@dataclasses.dataclass(frozen=True)
class CaptionScores:
    """Scores of all captions together, from 0 to 1.

    Attributes:
        bleu: BLEU-1 to BLEU-4, with the brevity penalty.
        bleu_unpenalised: without it, as Xu et al. (2015) report it.
        meteor: mean over the captions.
        meteor_stages: of METEOR's matching that were done: "exact, stem", and "synonym" where WordNet is installed.
        captions: their number.
    """

    bleu: tuple[float, float, float, float]
    bleu_unpenalised: tuple[float, float, float, float]
    meteor: float
    meteor_stages: str
    captions: int


def caption_scores(references: Sequence[Sequence[Words]], captions: Sequence[Words]) -> CaptionScores:
    """BLEU and METEOR of a caption for each image.

    Args:
        references: of each image its captions by people, each a list of words.
        captions: of each image the words to judge; none count as wrong.

    Raises:
        KerasVisionError: no images, an image without a reference, another number of captions, or no NLTK.
    """
    bleu, unpenalised = corpus_bleu(references, captions)
    mean, stages = meteor(references, captions)
    return CaptionScores(bleu, unpenalised, mean, stages, len(captions))


def corpus_bleu(references: Sequence[Sequence[Words]], captions: Sequence[Words]) -> tuple[Any, Any]:
    """BLEU-1 to BLEU-4 of a corpus, with and without the brevity penalty; arguments as of `caption_scores`.

    Source: Papineni et al. (2002); each has equal weights for all n-grams up to its own.
    """
    translate = _translate(references, captions)
    lengths = [len(caption) for caption in captions]
    closest = sum(
        translate.bleu_score.closest_ref_length(of_image, length)
        for of_image, length in zip(references, lengths, strict=True)
    )
    penalty = translate.bleu_score.brevity_penalty(closest, sum(lengths)) if sum(lengths) else 0.0
    weights = [(1 / n,) * n for n in (1, 2, 3, 4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of no n-gram of four in common: the score is 0
        found = translate.bleu_score.corpus_bleu(references, captions, weights=weights)
    scores = tuple(float(score) if score > 1e-12 else 0.0 for score in found)
    return scores, tuple(score / penalty if penalty else 0.0 for score in scores)


def meteor(references: Sequence[Sequence[Words]], captions: Sequence[Words]) -> tuple[float, str]:
    """The mean of METEOR over images, and its stages; arguments as of `caption_scores`.

    Each caption has the score of the reference that fits best. Synonyms count only where WordNet's data are installed
    (`python -m nltk.downloader wordnet`); without, the score is lower, and the stages say so.

    Source: Lavie & Agarwal (2007), with NLTK's alpha = 0.9, beta = 3, gamma = 0.5.
    """
    translate = _translate(references, captions)
    wordnet = _wordnet()
    scores = [
        translate.meteor_score.meteor_score(of_image, caption, wordnet=wordnet)
        for of_image, caption in zip(references, captions, strict=True)
    ]
    stages = "exact, stem" if isinstance(wordnet, _NoSynonyms) else "exact, stem, synonym"
    return sum(scores) / len(scores), stages


class _NoSynonyms:
    """In the place of WordNet where its data are not installed."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _wordnet() -> Any:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return _NoSynonyms()
    return wordnet


def _translate(references: Sequence[Sequence[Words]], captions: Sequence[Words]) -> Any:
    if not len(captions) or len(references) != len(captions) or not all(len(of_image) for of_image in references):
        raise KerasVisionError(
            f"{len(captions)} captions and references of {len(references)} images; give as many of both, from one, and "
            "at least one reference for each."
        )
    try:
        from nltk.translate import bleu_score, meteor_score
    except ImportError as error:
        raise KerasVisionError("scores of captions need NLTK: pip install 'keras-vision[captions]'.") from error
    return _Modules(bleu_score, meteor_score)


@dataclasses.dataclass(frozen=True)
class _Modules:
    bleu_score: Any
    meteor_score: Any
