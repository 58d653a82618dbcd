"""Inference over exported models with numpy, Pillow and LiteRT alone; never imports TensorFlow or Keras."""

import importlib
from typing import Any

from keras_vision.runtime.images import list_images, open_image
from keras_vision.runtime.preprocessing import Preprocessing

__all__ = ["Prediction", "Predictor", "Preprocessing", "list_images", "open_image"]


def __getattr__(name: str) -> Any:  # the interpreter loads only when a model is about to run
    if name in ("Prediction", "Predictor"):
        return getattr(importlib.import_module("keras_vision.runtime.predictor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
