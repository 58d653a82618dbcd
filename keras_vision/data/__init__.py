"""Images into TensorFlow input pipelines."""

from keras_vision.data.decode import decode_image, load_pixels
from keras_vision.data.labelled_images import LabelledImages, digits, image_folder

__all__ = ["LabelledImages", "decode_image", "digits", "image_folder", "load_pixels"]
