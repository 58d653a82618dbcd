"""Population statistics against Algorithm 2 by hand, and folded networks against the whole ones."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_vision as kv
from keras_vision.errors import KerasVisionError

RNG = np.random.default_rng(0)


def batch_norms(model):
    return [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def two_layers():
    """Dense, norm, ReLU, dropout, dense, norm."""
    image = keras.Input((5,))
    x = layers.BatchNormalization(name="first", epsilon=1e-2)(layers.Dense(4, name="dense1")(image))
    x = layers.Dropout(0.5)(layers.Activation("relu")(x))
    return keras.Model(image, layers.BatchNormalization(name="second")(layers.Dense(3, name="dense2")(x)))


def algorithm_2(model, batches):
    """Averages over the batches of their means and of their unbiased variances, normalised as in training."""
    statistics = {"first": [], "second": []}
    first = model.get_layer("first")
    for x in batches:
        u = x @ model.get_layer("dense1").kernel.numpy() + model.get_layer("dense1").bias.numpy()
        statistics["first"].append((u.mean(0), u.var(0) * len(u) / (len(u) - 1)))
        u = first.gamma.numpy() * (u - u.mean(0)) / np.sqrt(u.var(0) + first.epsilon) + first.beta.numpy()
        u = np.maximum(u, 0) @ model.get_layer("dense2").kernel.numpy() + model.get_layer("dense2").bias.numpy()
        statistics["second"].append((u.mean(0), u.var(0) * len(u) / (len(u) - 1)))
    return {name: np.mean(values, axis=0) for name, values in statistics.items()}


@pytest.mark.parametrize("labels", [False, True])
def test_population_statistics_are_those_of_algorithm_2(labels, randomize):
    model = randomize(two_layers())
    batches = [RNG.normal(1, 2, (6, 5)).astype("float32") for _ in range(4)]
    expected = algorithm_2(model, batches)
    trained = [np.asarray(w) for w in model.trainable_weights]
    kv.recalibrate_batch_norm(model, [(x, np.zeros(6)) for x in batches] if labels else batches)
    for name, (mean, variance) in expected.items():
        np.testing.assert_allclose(model.get_layer(name).moving_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.get_layer(name).moving_variance, variance, rtol=1e-4)
    for before, after in zip(trained, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_feature_map_counts_its_positions_and_frozen_layers_stay():
    image = keras.Input((3, 2, 1))
    x = layers.BatchNormalization(name="norm")(image)
    model = keras.Model(image, layers.BatchNormalization(name="frozen", trainable=False)(x))
    batches = [RNG.normal(3, 2, (n, 3, 2, 1)).astype("float32") for n in (4, 2)]
    kv.recalibrate_batch_norm(model, batches)
    variance = (24 * batches[0].var() * 24 / 23 + 12 * batches[1].var() * 12 / 11) / 36
    np.testing.assert_allclose(model.get_layer("norm").moving_mean, [np.concatenate(batches).mean()], rtol=1e-5)
    np.testing.assert_allclose(model.get_layer("norm").moving_variance, [variance], rtol=1e-5)
    np.testing.assert_array_equal(model.get_layer("frozen").moving_mean, [0])


def test_norms_of_nested_models_are_recalibrated():
    inner = two_layers()
    image = keras.Input((5,))
    model = keras.Model(image, inner(image))
    kv.recalibrate_batch_norm(model, [RNG.normal(9, 1, (8, 5))])
    assert not np.array_equal(inner.get_layer("second").moving_variance, np.ones(3))


@pytest.mark.parametrize(("batches", "message"), [([], "no batches"), ([np.ones((1, 5))], "one value per feature")])
def test_too_little_data_is_an_error_and_changes_nothing(batches, message):
    model = two_layers()
    with pytest.raises(KerasVisionError, match=message):
        kv.recalibrate_batch_norm(model, batches)
    np.testing.assert_array_equal(model.get_layer("first").moving_mean, np.zeros(4))


LINEAR = {
    "dense": lambda bias: layers.Dense(6, use_bias=bias),
    "conv": lambda bias: layers.Conv2D(6, 3, 2, padding="same", use_bias=bias),
    "grouped": lambda bias: layers.Conv2D(6, 3, groups=2, use_bias=bias),
    "depthwise": lambda bias: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=bias),
    "separable": lambda bias: layers.SeparableConv2D(6, 3, depth_multiplier=2, use_bias=bias),
    "transposed": lambda bias: layers.Conv2DTranspose(6, 3, 2, use_bias=bias),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("settings", [{}, dict(scale=False), dict(center=False)], ids=["whole", "no gamma", "no beta"])
@pytest.mark.parametrize("kind", LINEAR)
def test_a_folded_layer_gives_the_same_outputs(kind, settings, bias, randomize):
    image = keras.Input((7, 7, 4))
    x = layers.BatchNormalization(epsilon=1e-2, **settings)(LINEAR[kind](bias)(image))
    model = randomize(keras.Model(image, layers.Activation("relu")(x)))
    folded = kv.fold_batch_norm(model)
    images = RNG.normal(0, 1, (2, 7, 7, 4)).astype("float32")
    assert batch_norms(folded) == []
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-4, atol=1e-5)


def test_norms_that_no_linear_layer_can_take_stay(randomize):
    image = keras.Input((7, 7, 4))
    first = layers.BatchNormalization(name="on_the_image")(image)
    relu = layers.BatchNormalization(name="after_relu")(layers.Conv2D(4, 3, activation="relu", padding="same")(first))
    conv = layers.Conv2D(4, 3, padding="same")(relu)
    shared = layers.BatchNormalization(name="of_a_used_map")(conv)
    channels = layers.BatchNormalization(name="other_axis", axis=1)(layers.Conv2D(4, 1)(shared))
    model = randomize(keras.Model(image, layers.Add()([channels, conv])))
    folded = kv.fold_batch_norm(model)
    images = RNG.normal(0, 1, (2, 7, 7, 4)).astype("float32")
    assert [layer.name for layer in batch_norms(folded)] == [layer.name for layer in batch_norms(model)]
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-5, atol=1e-5)


def test_a_norm_that_is_the_output_folds(randomize):
    model = randomize(two_layers())
    x = RNG.normal(0, 1, (3, 5)).astype("float32")
    folded = kv.fold_batch_norm(model)
    assert batch_norms(folded) == []
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["BNInceptionSeparable", "GoogLeNetBN"])
def test_networks_fold_whole_and_keep_card_and_labels(name, randomize):
    model = randomize(
        kv.create_model(name, weights=None, classes=3, classifier_activation=None, input_shape=(64, 64, 3))
    )
    model.labels = ["a", "b", "c"]
    folded = kv.fold_batch_norm(model)
    images = RNG.normal(0, 1, (2, 64, 64, 3)).astype("float32")
    expected = np.asarray(model(images))
    assert (batch_norms(folded), folded.labels, folded.card.name) == ([], ("a", "b", "c"), name)
    assert folded.card.parameters == folded.card.trainable_parameters == folded.count_params()
    assert np.abs(np.asarray(folded(images)) - expected).max() <= 1e-5 * np.ptp(expected)


@pytest.mark.parametrize("change", [kv.fold_batch_norm, lambda model: kv.recalibrate_batch_norm(model, [])])
def test_a_model_without_a_graph_is_an_error(change):
    class Own(keras.Model):
        pass

    with pytest.raises(KerasVisionError, match="Own: give a functional model"):
        change(Own())


def test_a_compiled_model_is_folded_and_recalibrated_whatever_its_loss(randomize):
    model = randomize(kv.create_model("ResNet20CIFAR", weights=None))
    model.compile("sgd", loss=lambda truth, predicted: keras.ops.mean(predicted))
    images = np.random.default_rng(0).normal(0, 1, (4, 32, 32, 3)).astype("float32")
    kv.recalibrate_batch_norm(model, [images])
    expected = np.asarray(model(images))
    assert np.abs(np.asarray(kv.fold_batch_norm(model)(images)) - expected).max() <= 1e-5
