"""Words for images."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_vision.captioning.decoding import Sequences, beam_search

if TYPE_CHECKING:
    from keras_vision.captioning.objective import Objective
    from keras_vision.captioning.show_attend_tell import CaptionModel, ShowAttendTell
    from keras_vision.captioning.text import Vocabulary, padded, vocabulary_of, words_of
    from keras_vision.captioning.told import Captions

__all__ = [
    "CaptionModel",
    "Captions",
    "Objective",
    "Sequences",
    "ShowAttendTell",
    "Vocabulary",
    "beam_search",
    "padded",
    "vocabulary_of",
    "words_of",
]

_HOMES = {  # the encoders, and the text, which needs TensorFlow, load when they are asked for
    "CaptionModel": "show_attend_tell",
    "Captions": "told",
    "Objective": "objective",
    "ShowAttendTell": "show_attend_tell",
    "Vocabulary": "text",
    "padded": "text",
    "vocabulary_of": "text",
    "words_of": "text",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
