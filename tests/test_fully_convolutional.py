"""Classifiers slid over images: against the classifier on each crop."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_vision as kv
from keras_vision.applications import fully_convolutional


def slid(classifier, image, stride):
    """Logits of the classifier on every crop of its input size."""
    size = classifier.input_shape[1]
    rows, columns = ((side - size) // stride + 1 for side in image.shape[:2])
    crops = [image[r * stride :, c * stride :][:size, :size] for r in range(rows) for c in range(columns)]
    return np.asarray(classifier(np.stack(crops))).reshape(rows, columns, -1)


def unpadded_vgg(size, classes=7):
    """A small VGG without padding, so that a crop's edge is no different from the image's inside."""
    image = x = keras.Input((size, size, 3))
    for stage, filters in enumerate((8, 16), 1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{stage}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dropout(0.5)(layers.Dense(32, activation="relu", name=name)(x))
    return keras.Model(image, layers.Dense(classes, name="fc8")(x))


def unpadded_pooled(size, classes=7):
    """The same with global pooling."""
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="conv1")(image)
    x = layers.MaxPooling2D(4, name="pool1")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, layers.Dense(classes, name="fc8")(x))


@pytest.mark.parametrize("network", [unpadded_vgg, unpadded_pooled])
def test_it_equals_the_classifier_slid_over_the_image(network, randomize):
    classifier = randomize(network(26))
    image = np.random.default_rng(0).normal(0, 1, (54, 42, 3)).astype("float32")
    expected = slid(classifier, image, stride=4)
    actual = np.asarray(fully_convolutional(classifier)(image[None]))[0]
    assert actual.shape == expected.shape == (8, 5, 7)
    assert np.abs(actual - expected).max() <= 1e-4 * np.ptp(expected)


@pytest.mark.parametrize(
    ("name", "size"),
    [("VGG11", 64), ("VGG11BN", 64), ("SqueezeNet", 99), ("SqueezeNetV1_1", 99), ("InceptionV3_79", 79)],
)
def test_at_its_own_size_it_equals_the_classifier(name, size, randomize):
    arguments = dict(weights=None, classes=10, input_shape=(size, size, 3))
    probabilities = randomize(kv.create_model(name, **arguments))
    logits = kv.create_model(name, classifier_activation=None, **arguments)
    logits.set_weights(probabilities.get_weights())
    x = np.random.default_rng(1).normal(0, 1, (2, size, size, 3)).astype("float32")
    dense = fully_convolutional(probabilities)
    expected = np.asarray(logits(x))
    assert dense.output_shape == (None, None, None, 10)
    assert (dense.card.output, dense.card.parameters) == ("logit", probabilities.card.parameters)
    assert np.abs(np.asarray(dense(x))[:, 0, 0] - expected).max() <= 1e-5 * np.ptp(expected)


def test_the_heads_layers_are_the_papers(randomize):
    dense = fully_convolutional(kv.create_model("VGG11", weights=None, classes=10, input_shape=(96, 96, 3)))
    kernels = {name: dense.get_layer(name).kernel.shape for name in ("fc6", "fc7", "fc8")}
    assert kernels == {"fc6": (3, 3, 512, 4096), "fc7": (1, 1, 4096, 4096), "fc8": (1, 1, 4096, 10)}
    assert dense(np.zeros((1, 128, 160, 3), "float32")).shape == (1, 2, 3, 10)


def test_a_gate_inside_the_trunk_stays_global(randomize):
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, activation="relu")(image)
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(gate)])
    x = layers.GlobalAveragePooling2D()(x)
    classifier = randomize(keras.Model(image, layers.Dense(4, activation="softmax")(x)))
    x = np.random.default_rng(2).normal(0, 1, (1, 24, 24, 3)).astype("float32")
    logits = fully_convolutional(classifier)(x)[:, 0, 0]
    np.testing.assert_allclose(keras.ops.softmax(logits), classifier(x), atol=1e-6)
    assert fully_convolutional(classifier)(np.zeros((1, 30, 28, 3), "float32")).shape == (1, 7, 5, 4)


def test_pools_that_round_up_do_so_at_every_size(randomize):
    """At 99 they need no padding, at 102 and 105 they do."""
    classifier = randomize(kv.create_model("SqueezeNet", weights=None, classes=4, input_shape=(99, 99, 3)))
    trunk = kv.create_model("SqueezeNet", weights=None, include_top=False)
    trunk.set_weights(classifier.get_weights()[:-2])
    dense = fully_convolutional(classifier)
    fire9 = keras.Model(dense.input, dense.get_layer("fire9").output)
    for size in (102, 105):
        x = np.random.default_rng(size).normal(0, 1, (1, size, size, 3)).astype("float32")
        np.testing.assert_array_equal(fire9(x), trunk(x))


def test_what_it_does_not_take():
    with pytest.raises(kv.KerasVisionError, match="fixed input size"):
        fully_convolutional(kv.create_model("SqueezeNet", weights=None, include_top=False))
    with pytest.raises(kv.KerasVisionError, match="with its classifier"):
        fully_convolutional(kv.create_model("SqueezeNet", weights=None, include_top=False, input_shape=(99, 99, 3)))
