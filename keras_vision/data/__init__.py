"""Images into TensorFlow input pipelines, and the layouts that published validation sets come in."""

from keras_vision.data.decode import decode_image, load_pixels
from keras_vision.data.labelled_images import LabelledImages, digits, image_folder
from keras_vision.data.mnist import mnist
from keras_vision.data.validation import (
    class_folders,
    imagenet_validation,
    tiny_imagenet_validation,
    validation_images,
)

__all__ = [
    "LabelledImages",
    "class_folders",
    "decode_image",
    "digits",
    "image_folder",
    "imagenet_validation",
    "load_pixels",
    "mnist",
    "tiny_imagenet_validation",
    "validation_images",
]
