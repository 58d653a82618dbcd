"""Layers shared by more than one model. Importing this registers each with Keras, so `.keras` files load."""

from keras_vision.layers.adaptive_pooling import AdaptiveAveragePool2D
from keras_vision.layers.atrous_pooling import AtrousPooling2D
from keras_vision.layers.attention_cell import AttentionCell
from keras_vision.layers.average_classifier import average_classifier
from keras_vision.layers.bilinear_like import BilinearLike2D
from keras_vision.layers.ceil_pooling import MAX_POOLINGS, OverhangPadding2D, ceil_max_pool, padded_max_pool
from keras_vision.layers.channel_padding import ChannelPadding
from keras_vision.layers.convolution import bn_relu, conv_bn_relu, conv_chain, conv_relu
from keras_vision.layers.dense_crf import DenseCRF
from keras_vision.layers.draw_attention import ReadAttention, ReadWhole, WriteAttention, WriteWhole
from keras_vision.layers.drop_block import DropBlock
from keras_vision.layers.edge_padding import EdgePadding2D
from keras_vision.layers.fully_connected import fc6_to_fc8
from keras_vision.layers.inception import average_pool, conv_names, inception, max_pool
from keras_vision.layers.label_probabilities import LabelProbabilities, label_probabilities
from keras_vision.layers.lrn import LocalResponseNormalization, local_response_norm
from keras_vision.layers.recomputed import Recomputed
from keras_vision.layers.rectifier import RECTIFIERS, rectified, rectifier_start
from keras_vision.layers.residual import residual
from keras_vision.layers.shake_drop import ShakeDrop
from keras_vision.layers.shake_shake import ShakeShake
from keras_vision.layers.skipped_branch import SkippedBranch, stochastic_residual, survival_probabilities
from keras_vision.layers.spatial_pyramid_pooling import SpatialPyramidPooling2D
from keras_vision.layers.squeeze_excite import excitation, recalibrated_residual, squeeze_excite
from keras_vision.layers.stochastic_depth import StochasticDepth

__all__ = [
    "MAX_POOLINGS",
    "RECTIFIERS",
    "AdaptiveAveragePool2D",
    "AtrousPooling2D",
    "AttentionCell",
    "BilinearLike2D",
    "ChannelPadding",
    "DenseCRF",
    "DropBlock",
    "EdgePadding2D",
    "LabelProbabilities",
    "LocalResponseNormalization",
    "OverhangPadding2D",
    "ReadAttention",
    "ReadWhole",
    "Recomputed",
    "ShakeDrop",
    "ShakeShake",
    "SkippedBranch",
    "SpatialPyramidPooling2D",
    "StochasticDepth",
    "WriteAttention",
    "WriteWhole",
    "average_classifier",
    "average_pool",
    "bn_relu",
    "ceil_max_pool",
    "conv_bn_relu",
    "conv_chain",
    "conv_names",
    "conv_relu",
    "excitation",
    "fc6_to_fc8",
    "inception",
    "label_probabilities",
    "local_response_norm",
    "max_pool",
    "padded_max_pool",
    "recalibrated_residual",
    "rectified",
    "rectifier_start",
    "residual",
    "squeeze_excite",
    "stochastic_residual",
    "survival_probabilities",
]
