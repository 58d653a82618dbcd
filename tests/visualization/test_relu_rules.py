"""Guided backpropagation and the deconvnet through ReLUs with an upper bound, and through those without a rule."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_vision.errors import KerasVisionError
from keras_vision.visualization import deconvnet, guided_backpropagation, saliency

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (3, 4, 5, 2)).astype("float32")
RULES = {
    saliency: lambda f, g: g * (f > 0),
    deconvnet: lambda f, g: g * (g > 0),
    guided_backpropagation: lambda f, g: g * (f > 0) * (g > 0),
}
W1, W2, W3 = (rng.normal(0, 1, shape).astype("float32") for shape in ((40, 12), (12, 9), (9, 1)))
B1, B2 = (rng.normal(0, 0.5, n).astype("float32") for n in (12, 9))
BOUNDED = {
    "ReLU": lambda: layers.ReLU(1.5),
    "ReLU6 as a layer": lambda: layers.ReLU(6.0),
    "ReLU6 as an activation": lambda: layers.Activation("relu6"),
    "ReLU6 as an operation": lambda: keras.ops.relu6,
    "ReLU6 of a layer": lambda: layers.Dense(12, "relu6", use_bias=False, kernel_initializer="identity"),
    "ReLU as an operation": lambda: keras.ops.relu,
    "ReLU as a layer of a layer": lambda: layers.Dense(12, layers.ReLU(3), False, kernel_initializer="identity"),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("kind", BOUNDED)
def test_a_bound_lets_nothing_back_where_it_is_reached(method, kind):
    """With f2 = max(f1, 0) @ W2, behind a plain ReLU, and min(max(f1, 0), bound) before it, derived by hand."""
    bound = {"ReLU": 1.5, "ReLU as an operation": np.inf, "ReLU as a layer of a layer": 3.0}.get(kind, 6.0)
    image = keras.Input((4, 5, 2))
    x = BOUNDED[kind]()(layers.Dense(12, name="one")(layers.Flatten()(image)))
    model = keras.Model(image, layers.Dense(1, use_bias=False, name="three")(layers.Dense(9, "relu", name="two")(x)))
    for name, weights in (("one", [W1, B1]), ("two", [W2, B2]), ("three", [W3])):
        model.get_layer(name).set_weights(weights)
    expected, reached, rule = [], 0, RULES[method]
    for x in X.reshape(3, 40):
        f1 = x @ W1 + B1
        g2 = rule(np.minimum(np.maximum(f1, 0), bound) @ W2 + B2, W3[:, 0])
        reached += (f1 >= bound).sum()
        expected.append(rule(f1, (W2 @ g2) * (f1 < bound)) @ W1.T)
    assert (reached > 0) == (bound < np.inf)
    np.testing.assert_allclose(method(model, X, 0), np.reshape(expected, X.shape), atol=1e-5)


UNRULED = {
    "ReLU with a slope": lambda: layers.ReLU(negative_slope=0.1, name="odd"),
    "ReLU with a threshold": lambda: layers.ReLU(6.0, threshold=0.5, name="odd"),
    "leaky": lambda: layers.LeakyReLU(name="odd"),
    "PReLU": lambda: layers.PReLU(name="odd"),
    "leaky activation": lambda: layers.Activation("leaky_relu", name="odd"),
    "leaky activation of a layer": lambda: layers.Conv2D(2, 1, activation=layers.LeakyReLU(), name="odd"),
    "inside of a layer": lambda: layers.TimeDistributed(layers.Dense(2, activation="relu"), name="odd"),
}


@pytest.mark.parametrize("kind", UNRULED)
def test_relus_without_a_rule_are_errors_that_name_them(kind, randomize):
    inner_image = keras.Input((4, 5, 2))
    inner = keras.Model(inner_image, UNRULED[kind]()(inner_image))
    image = keras.Input((4, 5, 2))
    x = layers.Conv2D(2, 1, activation="relu", name="even")(image)
    for nested in (False, True):
        y = layers.GlobalAveragePooling2D()((inner if nested else UNRULED[kind]())(x))
        model = randomize(keras.Model(image, y))
        with pytest.raises(KerasVisionError, match=r"leaky, have a threshold or are inside of another layer: odd; "):
            guided_backpropagation(model, X, 0)
    assert np.any(saliency(model, X, 0))
    assert np.any(guided_backpropagation(model, X, 0, layer="even"))  # it comes before
