"""Images into TensorFlow input pipelines."""

from keras_vision.data.decode import decode_image, load_pixels

__all__ = ["decode_image", "load_pixels"]
