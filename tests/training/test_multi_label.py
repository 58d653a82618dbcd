"""Head and loss of multi-label classifiers: a naive loop, gradients, saturation, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from PIL import Image

import keras_vision as kv
from keras_vision.data import LabelGroups
from keras_vision.errors import KerasVisionError
from keras_vision.training import (
    MultiLabelCrossentropy,
    groups_of,
    logits_model,
    multi_label_classifier,
    train_head_only,
)

NAMES = ("road", "clear", "water", "haze", "cloudy", "mine", "field")
GROUPS = LabelGroups(NAMES, [("haze", "clear", "cloudy")])
TWO = LabelGroups(NAMES, [("haze", "clear", "cloudy"), ("field", "road")])
RNG = np.random.default_rng(0)
LABELS = np.array([[1, 0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 1, 0]])
LOGITS = RNG.normal(0, 2, (4, 7)).astype("float32")


SMALL = dict(input_shape=(32, 32, 3), n=1)  # ResNet-8


def naive(labels, logits, groups):
    """Mean cross-entropy of the decisions of each image, in float64."""
    grouped = {k for group in groups for k in group}
    losses = []
    for y, z in zip(labels, logits.astype(np.float64), strict=True):
        terms = []
        for k in range(len(z)):
            if k not in grouped:
                p = 1 / (1 + np.exp(-z[k]))
                terms.append(-np.log(p) if y[k] else -np.log(1 - p))
        for group in groups:
            total = sum(np.exp(z[k]) for k in group)
            terms.append(sum(-np.log(np.exp(z[k]) / total) for k in group if y[k]))
        losses.append(np.mean(terms))
    return np.mean(losses)


@pytest.mark.parametrize("groups", [LabelGroups(NAMES), GROUPS, TWO])
def test_the_loss_equals_a_loop_on_logits_and_probabilities(groups):
    expected = naive(LABELS, LOGITS, groups.positions)
    on_logits = MultiLabelCrossentropy(groups.positions, from_logits=True)(LABELS, LOGITS)
    probabilities = kv.layers.label_probabilities(tf.constant(LOGITS), groups.positions)
    on_probabilities = MultiLabelCrossentropy(groups.positions)(LABELS, probabilities)
    assert float(on_logits) == pytest.approx(expected, rel=1e-5)
    assert float(on_probabilities) == pytest.approx(expected, rel=1e-5)


def test_without_groups_it_is_keras_own_and_with_one_of_all_too():
    binary = keras.losses.BinaryCrossentropy(from_logits=True)(LABELS, LOGITS)
    assert float(MultiLabelCrossentropy(from_logits=True)(LABELS, LOGITS)) == pytest.approx(float(binary), rel=1e-6)
    one_hot = np.eye(7)[[3, 0, 6, 6]]
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)(one_hot, LOGITS)
    every = MultiLabelCrossentropy([range(7)], from_logits=True)(one_hot, LOGITS)
    assert float(every) == pytest.approx(float(categorical), rel=1e-6)


def test_its_gradient_is_that_of_finite_differences():
    loss, z = MultiLabelCrossentropy(TWO.positions, from_logits=True), tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(LABELS, z)
    found, step = tape.gradient(value, z).numpy(), 1e-5
    for index in np.ndindex(LOGITS.shape):
        moved = np.zeros(LOGITS.shape)
        moved[index] = step
        up, down = (naive(LABELS, LOGITS.astype(np.float64) + sign * moved, TWO.positions) for sign in (1, -1))
        assert found[index] == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-6)


def test_logits_of_any_size_keep_loss_and_gradient():
    """A network that is sure of the contrary learns from it; from probabilities it would not."""
    wrong = tf.constant(np.where(LABELS, -200.0, 200.0).astype("float32"))
    gradients = {}
    for from_logits in (True, False):
        loss = MultiLabelCrossentropy(GROUPS.positions, from_logits=from_logits)
        with tf.GradientTape() as tape:
            tape.watch(wrong)
            outputs = wrong if from_logits else kv.layers.label_probabilities(wrong, GROUPS.positions)
            value = loss(LABELS, outputs)
        gradients[from_logits] = tape.gradient(value, wrong).numpy()
        assert np.isfinite(value)
    alone = [0, 2, 5, 6]
    expected = np.where(LABELS, -1, 1)[:, alone] / 5 / 4  # decisions of an image, images
    np.testing.assert_allclose(gradients[True][:, alone], expected, rtol=1e-5)
    assert np.abs(gradients[True][:, 1:5:2]).max() > 0.02
    assert not gradients[False].any()


def test_an_image_without_a_label_of_the_group_adds_nothing_for_it():
    none = LABELS.copy()
    none[:, [1, 3, 4]] = 0
    loss = MultiLabelCrossentropy(GROUPS.positions, from_logits=True)
    assert float(loss(none, LOGITS)) == pytest.approx(naive(none, LOGITS, GROUPS.positions), rel=1e-5)


def test_the_loss_is_restored_and_refuses_other_columns():
    loss = MultiLabelCrossentropy(TWO.positions, from_logits=True, reduction="sum", name="given")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert twin.get_config() == loss.get_config()
    assert float(twin(LABELS, LOGITS)) == pytest.approx(4 * naive(LABELS, LOGITS, TWO.positions), rel=1e-5)
    with pytest.raises(KerasVisionError, match="column 9"):
        MultiLabelCrossentropy([(0, 9)])(LABELS, LOGITS)


# ------------------------------------------------------------------------------------------ head


@pytest.fixture(scope="module")
def squeezenet():
    keras.utils.set_random_seed(0)
    return multi_label_classifier("SqueezeNetV1_1", GROUPS, weights=None, input_shape=(48, 48, 3))


def test_a_model_by_name_keeps_all_but_its_last_layer(squeezenet, randomize):
    randomize(squeezenet)
    images = RNG.normal(0, 1, (3, 48, 48, 3)).astype("float32")
    trunk = kv.create_model("SqueezeNetV1_1", weights=None, include_top=False, input_shape=(48, 48, 3))
    trunk.set_weights(squeezenet.get_weights()[:-2])
    kernel, bias = squeezenet.get_layer("label_logits").get_weights()
    logits = trunk.predict(images, verbose=0).mean((1, 2)).astype(np.float64) @ kernel + bias
    assert (logits < 0).any()  # no ReLU after them
    np.testing.assert_allclose(logits_model(squeezenet).predict(images, verbose=0), logits, rtol=1e-4, atol=1e-5)
    found = squeezenet.predict(images, verbose=0)
    weather, alone = [3, 1, 4], [0, 2, 5, 6]
    odds = np.exp(logits[:, weather])
    np.testing.assert_allclose(found[:, weather], odds / odds.sum(1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(found[:, alone], 1 / (1 + np.exp(-logits[:, alone])), rtol=1e-4)
    assert squeezenet.labels == NAMES
    assert (squeezenet.card.output, logits_model(squeezenet).card.output) == ("probability", "logit")
    assert squeezenet.card.parameters == trunk.card.parameters + 7 * 513
    assert groups_of(squeezenet) == GROUPS


@pytest.mark.parametrize(("name", "feeding"), [("VGG11BN", "fc7"), ("GoogLeNet", "avg"), ("DenseNet40K12", "avg")])
def test_dropout_and_dense_layers_before_the_last_stay(name, feeding):
    source = kv.create_model(name, weights=None, classes=5, input_shape=(64, 64, 3))
    model = multi_label_classifier(source, GROUPS)
    kept = [layer.name for layer in model.layers]
    assert kept == [layer.name for layer in source.layers if layer.name in kept] + kept[-2:]
    before = model.get_layer("label_logits").input._keras_history.operation
    assert feeding in before.name or isinstance(before, layers.Dropout)
    assert len(source.weights) - len(model.weights) in (0, 10)  # GoogLeNet's side classifiers stay behind
    assert model.output_shape == (None, 7)


def test_the_same_from_a_keras_file_a_saved_model_and_litert(squeezenet, randomize, tmp_path):
    randomize(squeezenet, seed=1)
    images = np.random.default_rng(5).integers(0, 256, (4, 48, 48, 3), np.uint8)
    inputs = np.stack([squeezenet.preprocessing(Image.fromarray(image)) for image in images])
    expected = squeezenet.predict(inputs, verbose=0)
    squeezenet.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    assert groups_of(loaded) == GROUPS
    parity = kv.export.to_litert(squeezenet, tmp_path / "model.tflite")
    assert parity.max_difference <= parity.bound
    run = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    for image, row in zip(inputs, expected, strict=True):
        (found,) = run(image=image[None]).values()
        np.testing.assert_allclose(found[0], row, atol=1e-5)
    kv.export.to_saved_model(squeezenet, tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serve"](tf.constant(inputs))
    np.testing.assert_allclose(next(iter(served.values())), expected, atol=1e-5)
    predictor = kv.runtime.Predictor(tmp_path / "model.tflite")
    np.testing.assert_allclose(predictor.predict(list(images)), expected, atol=1e-5)
    assert predictor.labels == NAMES


@pytest.mark.parametrize("pooling", [None, "avg"])
def test_a_network_of_features_gets_a_dense_layer(pooling):
    trunk = kv.create_model("ResNet20CIFAR", weights=None, include_top=False, pooling=pooling, **SMALL)
    model = multi_label_classifier(trunk, TWO)
    images = RNG.normal(0, 1, (2, 32, 32, 3)).astype("float32")
    features = trunk.predict(images, verbose=0)
    features = features if pooling else features.mean((1, 2))
    kernel, bias = model.get_layer("label_logits").get_weights()
    expected = kv.layers.label_probabilities(tf.constant(features @ kernel + bias), TWO.positions)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-6)
    assert model.card.output == "probability"
    assert model.card.parameters == trunk.card.parameters + kernel.size + bias.size
    train_head_only(model, True)
    assert {v.path for v in model.trainable_variables} == {"label_logits/kernel", "label_logits/bias"}
    train_head_only(model, False)
    assert len(model.trainable_variables) == len(trunk.trainable_variables) + 2


def test_two_phases_train_the_head_then_all():
    x = RNG.normal(0, 1, (8, 32, 32, 3)).astype("float32")
    y = np.tile(LABELS, (2, 1))
    model = multi_label_classifier("ResNet20CIFAR", GROUPS, weights=None, **SMALL)
    trained = logits_model(model)
    *trunk, head = [layer for layer in model.layers if layer.weights]
    loss = MultiLabelCrossentropy(GROUPS.positions, from_logits=True)
    for only in (True, False):
        before = [np.asarray(weight) for layer in trunk for weight in layer.weights]
        kernel = np.asarray(head.kernel)
        train_head_only(trained, only)
        trained.compile(keras.optimizers.Adam(1e-3), loss)
        kv.training.train(trained, tf.data.Dataset.from_tensor_slices((x, y)).batch(4), epochs=1)
        after = [np.asarray(weight) for layer in trunk for weight in layer.weights]
        changed = [np.any(a != b) for a, b in zip(before, after, strict=True)]
        assert not any(changed) if only else all(changed)
        assert np.any(kernel != np.asarray(head.kernel))


def test_networks_that_do_not_fit_are_errors():
    trunk = kv.create_model("ResNet20CIFAR", weights=None, include_top=False, **SMALL)
    classes = kv.create_model("ResNet20CIFAR", weights=None, **SMALL)
    with pytest.raises(KerasVisionError, match="settings go with a model's name"):
        multi_label_classifier(trunk, GROUPS, weights=None)
    with pytest.raises(KerasVisionError, match="does not end in LabelProbabilities"):
        logits_model(classes)
    image = keras.Input((8, 8, 3))
    with pytest.raises(KerasVisionError, match="give a network of features"):
        multi_label_classifier(keras.Model(image, [image, layers.Flatten()(image)]), GROUPS)
    with pytest.raises(KerasVisionError, match="no model is called"):
        multi_label_classifier("SqueezeNetV9", GROUPS)
    unnamed = multi_label_classifier(trunk, GROUPS)
    unnamed.labels = None
    with pytest.raises(KerasVisionError, match="has no labels"):
        groups_of(unnamed)
