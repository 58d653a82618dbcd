"""Layers shared by more than one model. Importing this registers each with Keras, so `.keras` files load."""

from keras_vision.layers.adaptive_pooling import AdaptiveAveragePool2D
from keras_vision.layers.atrous_pooling import AtrousPooling2D
from keras_vision.layers.ceil_pooling import OverhangPadding2D, ceil_max_pool
from keras_vision.layers.convolution import bn_relu, conv_bn_relu, conv_relu
from keras_vision.layers.fully_connected import fc6_to_fc8
from keras_vision.layers.inception import average_pool, conv_names, inception, max_pool
from keras_vision.layers.lrn import LocalResponseNormalization, local_response_norm

__all__ = [
    "AdaptiveAveragePool2D",
    "AtrousPooling2D",
    "LocalResponseNormalization",
    "OverhangPadding2D",
    "average_pool",
    "bn_relu",
    "ceil_max_pool",
    "conv_bn_relu",
    "conv_names",
    "conv_relu",
    "fc6_to_fc8",
    "inception",
    "local_response_norm",
    "max_pool",
]
