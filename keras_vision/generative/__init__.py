"""Networks that draw: DRAW, and the classifier that looks at an image by glimpses."""

from keras_vision.generative.draw import DRAW, Drawing, DRAWModel, nats
from keras_vision.generative.estimates import Bound, log_likelihood, variational_bound
from keras_vision.generative.nats import BernoulliNats
from keras_vision.generative.nearest import Nearest, nearest_images

__all__ = [
    "DRAW",
    "BernoulliNats",
    "Bound",
    "DRAWModel",
    "Drawing",
    "Nearest",
    "log_likelihood",
    "nats",
    "nearest_images",
    "variational_bound",
]
