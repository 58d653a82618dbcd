"""Networks that draw: DRAW; and classifiers that look at an image by glimpses."""

from keras_vision.generative.draw import DRAW, DRAWModel, nats
from keras_vision.generative.estimates import Bound, log_likelihood, variational_bound
from keras_vision.generative.glimpse_classifier import GlimpseClassifier, GlimpseModel
from keras_vision.generative.nats import BernoulliNats
from keras_vision.generative.nearest import Nearest, nearest_images
from keras_vision.generative.ram import RAM, ConvolutionalBaseline, RAMLoss
from keras_vision.runtime.generator import Drawing

__all__ = [
    "DRAW",
    "RAM",
    "BernoulliNats",
    "Bound",
    "ConvolutionalBaseline",
    "DRAWModel",
    "Drawing",
    "GlimpseClassifier",
    "GlimpseModel",
    "Nearest",
    "RAMLoss",
    "log_likelihood",
    "nats",
    "nearest_images",
    "variational_bound",
]
