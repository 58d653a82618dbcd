"""Layers shared by more than one model. Importing this registers each with Keras, so `.keras` files load."""

from keras_vision.layers.atrous_pooling import AtrousPooling2D
from keras_vision.layers.ceil_pooling import OverhangPadding2D, ceil_max_pool
from keras_vision.layers.channel_padding import ChannelPadding
from keras_vision.layers.lrn import LocalResponseNormalization
from keras_vision.layers.recomputed import Recomputed

__all__ = [
    "AtrousPooling2D",
    "ChannelPadding",
    "LocalResponseNormalization",
    "OverhangPadding2D",
    "Recomputed",
    "ceil_max_pool",
]
