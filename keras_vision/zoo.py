"""All models of the package by name: importing this registers every family."""

from keras_vision import applications, generative, segmentation
from keras_vision.captioning import show_attend_tell
from keras_vision.edges import hed
from keras_vision.registry import create_model, list_models, model_card

__all__ = [
    "applications",
    "create_model",
    "generative",
    "hed",
    "list_models",
    "model_card",
    "segmentation",
    "show_attend_tell",
]
