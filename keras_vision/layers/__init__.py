"""Layers shared by more than one model. Importing this registers each with Keras, so `.keras` files load."""

from keras_vision.layers.atrous_pooling import AtrousPooling2D
from keras_vision.layers.ceil_pooling import OverhangPadding2D, ceil_max_pool
from keras_vision.layers.lrn import LocalResponseNormalization
from keras_vision.layers.squeeze_excite import excitation, recalibrated_residual, squeeze_excite

__all__ = [
    "AtrousPooling2D",
    "LocalResponseNormalization",
    "OverhangPadding2D",
    "ceil_max_pool",
    "excitation",
    "recalibrated_residual",
    "squeeze_excite",
]
