"""Words for images."""

from typing import TYPE_CHECKING

from keras_vision.captioning.decoding import Sequences, beam_search
from keras_vision.lazy import on_first_use

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

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
