"""Networks that draw: DRAW, and the classifier that looks at an image by glimpses."""

from keras_vision.generative.draw import DRAW, Drawing, DRAWModel, nats
from keras_vision.generative.nats import BernoulliNats

__all__ = ["DRAW", "BernoulliNats", "DRAWModel", "Drawing", "nats"]
