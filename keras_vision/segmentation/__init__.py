"""Semantic segmentation: networks that give logits for every pixel, and large images in tiles.

Importing this registers the networks.
"""

from keras_vision.segmentation.deeplab import DeepLab, DeepLab4x4, DeepLab7x7, DeepLabLargeFOV
from keras_vision.segmentation.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s, FCNCaffeNet, FCNGoogLeNet
from keras_vision.segmentation.fusion import late_fusion
from keras_vision.segmentation.shift_and_stitch import shift_and_stitch
from keras_vision.segmentation.stages import initialise_from, train_only
from keras_vision.segmentation.tiles import predict_tiled

__all__ = [
    "DeepLab",
    "DeepLab4x4",
    "DeepLab7x7",
    "DeepLabLargeFOV",
    "FCN8s",
    "FCN8sAtOnce",
    "FCN16s",
    "FCN32s",
    "FCNCaffeNet",
    "FCNGoogLeNet",
    "initialise_from",
    "late_fusion",
    "predict_tiled",
    "shift_and_stitch",
    "train_only",
]
