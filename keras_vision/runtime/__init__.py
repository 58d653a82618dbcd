"""Inference over exported models with numpy, Pillow and LiteRT alone; never imports TensorFlow or Keras."""

from keras_vision.lazy import on_first_use
from keras_vision.runtime.images import list_images, open_image
from keras_vision.runtime.preprocessing import Preprocessing

__all__ = [
    "Captioner",
    "DensePredictor",
    "Generator",
    "Prediction",
    "Predictor",
    "Preprocessing",
    "StagedPredictor",
    "list_images",
    "open_image",
]

_LATE = {  # with the interpreter
    "Captioner": "captioner",
    "DensePredictor": "dense",
    "Generator": "generator",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "StagedPredictor": "staged",
}

__getattr__, __dir__ = on_first_use(__name__, _LATE)
