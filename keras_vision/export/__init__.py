"""Models to files for serving and for devices; each export is checked against the Keras model before it is kept."""

from keras_vision.export.litert import to_litert
from keras_vision.export.parity import Parity
from keras_vision.export.saved_model import to_saved_model
from keras_vision.export.staged import to_staged_litert

__all__ = ["Parity", "to_litert", "to_saved_model", "to_staged_litert"]
