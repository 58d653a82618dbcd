"""Classifiers, one paper per file, with the signature of Keras Applications. Importing this registers all of them."""

from keras_vision.applications import alexnet, bn_inception, googlenet, inception_v3, squeezenet, vgg
from keras_vision.applications.alexnet import AlexNet, CaffeNet
from keras_vision.applications.bn_inception import BNInception, BNInceptionSeparable
from keras_vision.applications.googlenet import GoogLeNet, GoogLeNetBN
from keras_vision.applications.inception_v3 import InceptionV3, InceptionV3_79, InceptionV3_151
from keras_vision.applications.squeezenet import (
    SqueezeNet,
    SqueezeNetComplexBypass,
    SqueezeNetSimpleBypass,
    SqueezeNetV1_1,
)
from keras_vision.applications.vgg import (
    VGG11,
    VGG11BN,
    VGG11LRN,
    VGG13,
    VGG13BN,
    VGG16,
    VGG16BN,
    VGG16C,
    VGG19,
    VGG19BN,
)
from keras_vision.model import taps
from keras_vision.registry import create_model, list_models, model_card

__all__ = [
    "VGG11",
    "VGG11BN",
    "VGG11LRN",
    "VGG13",
    "VGG13BN",
    "VGG16",
    "VGG16BN",
    "VGG16C",
    "VGG19",
    "VGG19BN",
    "AlexNet",
    "BNInception",
    "BNInceptionSeparable",
    "CaffeNet",
    "GoogLeNet",
    "GoogLeNetBN",
    "InceptionV3",
    "InceptionV3_79",
    "InceptionV3_151",
    "SqueezeNet",
    "SqueezeNetComplexBypass",
    "SqueezeNetSimpleBypass",
    "SqueezeNetV1_1",
    "alexnet",
    "bn_inception",
    "create_model",
    "googlenet",
    "inception_v3",
    "list_models",
    "model_card",
    "squeezenet",
    "taps",
    "vgg",
]
