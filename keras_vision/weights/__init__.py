"""Weights from public files into models, strictly: see `load` for what is accepted and what is an error."""

from keras_vision.weights.deep_compression import read_deep_compression
from keras_vision.weights.loading import LoadReport, load
from keras_vision.weights.pretrained import load_pretrained
from keras_vision.weights.safetensors_files import read_safetensors
from keras_vision.weights.store import home, read, resolve, verify
from keras_vision.weights.torch_files import read_torch

__all__ = [
    "LoadReport",
    "home",
    "load",
    "load_pretrained",
    "read",
    "read_deep_compression",
    "read_safetensors",
    "read_torch",
    "resolve",
    "verify",
]
