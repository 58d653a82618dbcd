"""Networks with a card, small enough for tests."""

import keras
from keras import layers

from keras_vision.model import VisionModel
from keras_vision.registry import ModelCard, Paper
from keras_vision.runtime import Preprocessing


def with_card(model, resize_shorter=None, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0)):
    """The model with a card for RGB photographs; counts are left out."""
    height, width, channels = model.input_shape[1:]
    spec = Preprocessing((height, width), resize_shorter, mean=mean, std=std)
    paper = Paper("none", "none", 2014, "")
    card = ModelCard("Small", "small", paper, "none", 0, 0, None, (height, width, channels), "logit", spec)
    return model.with_card(card)


def unpadded_vgg(size=26, classes=7, kernel=3, name="small"):
    """A small VGG of stride 4 without padding, so that a crop's edge is no different from the image's inside."""
    image = x = keras.Input((size, size, 3))
    for stage, filters in enumerate((8, 16), 1):
        x = layers.Conv2D(filters, kernel, activation="relu", name=f"conv{stage}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    for layer in ("fc6", "fc7"):
        x = layers.Dropout(0.5)(layers.Dense(32, activation="relu", name=layer)(x))
    x = layers.Dense(classes, activation="softmax", name="fc8")(x)
    return with_card(VisionModel(image, x, name=name), resize_shorter=30)


def unpadded_pooled(convolution, size=26, classes=7):
    """The same stride with global pooling: after a classifying convolution, as SqueezeNet, or before a dense layer."""
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(16, 3, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(4, name="pool1")(x)
    if convolution:
        x = layers.Conv2D(classes, 1, activation="relu", name="conv2")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    last = layers.Activation("softmax") if convolution else layers.Dense(classes, activation="softmax", name="fc")
    return with_card(VisionModel(image, last(x), name="pooled"), resize_shorter=30)
