"""Inference over exported models with numpy, Pillow and LiteRT alone; never imports TensorFlow or Keras."""

import importlib
from typing import Any

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


def __getattr__(name: str) -> Any:  # the interpreter loads only when a model is about to run
    if name in _LATE:
        return getattr(importlib.import_module(f"keras_vision.runtime.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
