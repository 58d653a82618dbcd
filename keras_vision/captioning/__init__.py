"""Words for images."""

from keras_vision.captioning.decoding import Sequences, beam_search

__all__ = ["Sequences", "beam_search"]
