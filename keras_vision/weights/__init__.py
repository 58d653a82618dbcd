"""Weights from public files into models, strictly: see `load` for what is accepted and what is an error."""

from keras_vision.weights.caffe_files import read_caffemodel
from keras_vision.weights.channels_first import from_channels_first
from keras_vision.weights.deep_compression import read_deep_compression
from keras_vision.weights.loading import LoadReport, load
from keras_vision.weights.onnx_files import read_onnx
from keras_vision.weights.pretrained import load_pretrained, reverse_channels
from keras_vision.weights.safetensors_files import read_safetensors
from keras_vision.weights.store import home, read, resolve, verify
from keras_vision.weights.torch_files import read_torch
from keras_vision.weights.writing import save

__all__ = [
    "LoadReport",
    "from_channels_first",
    "home",
    "load",
    "load_pretrained",
    "read",
    "read_caffemodel",
    "read_deep_compression",
    "read_onnx",
    "read_safetensors",
    "read_torch",
    "resolve",
    "reverse_channels",
    "save",
    "verify",
]
