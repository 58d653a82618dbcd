"""All models by name, and out of files: importing this registers every family, and its layers in Keras."""

import os
from pathlib import Path

import keras

from keras_vision import applications, generative, segmentation
from keras_vision.captioning import show_attend_tell
from keras_vision.edges import hed
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel
from keras_vision.registry import create_model, list_models, model_card

__all__ = [
    "applications",
    "create_model",
    "generative",
    "hed",
    "list_models",
    "load_model",
    "model_card",
    "segmentation",
    "show_attend_tell",
]


def load_model(path: str | os.PathLike, compile: bool = False) -> VisionModel:
    """A model of this package out of a `.keras` file, with its card and labels.

    Keras' own `load_model` knows the package's layers once this module is imported, as `kv.create_model` does. No code
    of the file is run.

    Args:
        path: what `model.save` wrote.
        compile: whether it gets the optimizer, loss and metrics that it was saved with.

    Raises:
        KerasVisionError: no such file, a damaged one, or a model that is not of this package.
    """
    if not Path(path).is_file():
        raise KerasVisionError(f"{path}: no such file.")
    try:
        loaded = keras.saving.load_model(path, compile=compile)
    except Exception as error:  # Keras raises many kinds on a damaged archive
        raise KerasVisionError(f"{path}: damaged, or not a Keras model file ({error}).") from error
    if not isinstance(loaded, VisionModel):
        raise KerasVisionError(f"{path} was not made by keras_vision, so nothing says how to prepare its images.")
    return loaded
