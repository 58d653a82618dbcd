"""Small networks of maps with a card, of any input size."""

import keras
import numpy as np

from keras_vision.model import VisionModel
from keras_vision.registry import ModelCard, Paper
from keras_vision.runtime import Preprocessing


def dense_network(maps=4, size=(None, None), output="logit", strided=False, channels=3):
    """Maps of an image's own size, with labels "a", "b", ...

    Strided, with a transposed convolution and a crop; else by dilation, of Keras' own layers alone.
    """
    keras.utils.set_random_seed(maps)
    image = keras.Input((*size, channels), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1")(image)
    if strided:
        x = keras.layers.MaxPooling2D(4, padding="same", name="pool1")(x)
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2")(x)
        x = keras.layers.Conv2DTranspose(maps, 8, 4, padding="same", bias_initializer="random_normal", name="up")(x)
        x = SameSize(name="crop")([x, image])
    else:
        x = keras.layers.Conv2D(8, 3, padding="same", dilation_rate=4, activation="relu", name="conv2")(x)
        x = keras.layers.Conv2D(maps, 1, bias_initializer="random_normal", name="score")(x)
    if output == "probability":
        x = keras.layers.Activation("sigmoid" if maps == 1 else "softmax", name="probability")(x)
    model = VisionModel(image, x, name="small")
    mean, std = (120.0, 115.0, 105.0)[:channels], (60.0, 58.0, 57.0)[:channels]
    card = ModelCard(
        name="Small",
        family="tests",
        paper=Paper("None", "Nobody", 2020, ""),
        table="none",
        parameters=model.count_params(),
        trainable_parameters=model.count_params(),
        multiply_adds=None,
        input_shape=(*size, channels),
        output=output,
        preprocessing=Preprocessing((64, 96), None, "BGR" if channels == 3 else "L", mean, std),
        task="edges" if maps == 1 else "segmentation",
    )
    model.with_card(card)
    model.labels = [chr(ord("a") + number) for number in range(maps)]
    return model


@keras.saving.register_keras_serializable("keras_vision_tests")
class SameSize(keras.layers.Layer):
    """Cuts a map to the size of an image."""

    def call(self, inputs):
        x, image = inputs
        return x[:, : keras.ops.shape(image)[1], : keras.ops.shape(image)[2]]

    def compute_output_shape(self, shapes):
        return (*shapes[1][:3], shapes[0][3])


def expected_probabilities(model, pixels):
    """What a network gives for uint8 pixels `(h, w, c)`, computed apart."""
    x = model.preprocessing.normalize(pixels)[None]
    scores = keras.ops.convert_to_numpy(model(x))[0].astype(np.float64)
    if model.card.output == "probability":
        return scores
    if scores.shape[-1] == 1:
        return 1 / (1 + np.exp(-scores))
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
