"""Relay Backpropagation: where each loss's gradient stops, against the same network with stop_gradient in it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.training import Auxiliary, Relay

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (8, 6, 6, 2)).astype("float32")
Y = rng.integers(0, 3, 8)
LOSS = keras.losses.SparseCategoricalCrossentropy()


def network(penalty=None):
    x = image = keras.Input((6, 6, 2))
    for number in range(1, 6):
        x = layers.Conv2D(4, 3, padding="same", activation="tanh", kernel_regularizer=penalty, name=f"conv{number}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, activation="softmax", name="fc")(x))


def relay(net, **settings):
    model = Relay(net, {"conv3": Auxiliary(0.4, **settings)}, main_down_to="conv2")
    model.compile(keras.optimizers.SGD(0.1), LOSS)
    return model


def named(model, gradients):
    return dict(zip(["/".join(v.path.split("/")[-2:]) for v in model.trainable_weights], gradients, strict=True))


def by_hand(net, model, stop, weight, head="conv3_relay"):
    """Gradients of both losses of one graph of plain calls, the main one's stopped behind layer number `stop`."""
    convs = [net.get_layer(f"conv{number}") for number in range(1, 6)]
    variables = [v.value for v in model.trainable_weights]
    with tf.GradientTape(persistent=True) as tape:
        x = side = tf.constant(X)
        for number, conv in enumerate(convs, 1):
            x = conv(x)
            side = conv(side) if number <= 3 else side
            x = tf.stop_gradient(x) if number == stop else x
        main = LOSS(Y, net.get_layer("fc")(tf.reduce_mean(x, (1, 2))))
        auxiliary = weight * LOSS(Y, model.whole.get_layer(head)(tf.reduce_mean(side, (1, 2))))
    return [tape.gradient(loss, variables, unconnected_gradients="zero") for loss in (main, auxiliary)]


def test_each_gradient_stops_at_the_end_of_its_segment_and_overlaps_add_up(randomize):
    net = randomize(network())
    model = relay(net)
    main, auxiliary = by_hand(net, model, stop=2, weight=0.4)
    _, losses, found = model.gradients(X, Y)
    for own, one, other in zip(found, main, auxiliary, strict=True):
        np.testing.assert_allclose(own, one + other, atol=1e-6)
    one, other = named(model, main), named(model, auxiliary)
    for number in range(1, 6):
        key = f"conv{number}/kernel"
        assert np.any(one[key]) == (number > 2)  # d main / d theta_i = 0 for i <= j
        assert np.any(other[key]) == (number <= 3)  # d auxiliary / d theta_i = 0 for i > m
    names = [{v.path.split("/")[-2] for v in segment} for segment in model.segments]
    assert names == [{"conv3", "conv4", "conv5", "fc"}, {"conv1", "conv2", "conv3", "conv3_relay"}]
    assert float(losses[0]) == pytest.approx(float(LOSS(Y, net(X))), rel=1e-5)


def test_without_boundaries_it_is_deep_supervision(randomize):
    net = randomize(network())
    model = Relay(net, {"conv3": Auxiliary(0.4)})
    model.compile("sgd", LOSS)
    variables = [v.value for v in model.trainable_weights]
    with tf.GradientTape() as tape:
        main, auxiliary = model.whole(X)
        total = LOSS(Y, main) + 0.4 * LOSS(Y, auxiliary)
    for own, expected in zip(model.gradients(X, Y)[2], tape.gradient(total, variables), strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-6)


def test_an_auxiliary_segment_may_stop_above_the_input(randomize):
    net = randomize(network())
    layered = {"conv2": Auxiliary(1.0), "conv4": Auxiliary(1.0, down_to="conv1")}
    model = Relay(net, layered, main_down_to="conv3")
    names = [{v.path.split("/")[-2] for v in segment} for segment in model.segments]
    assert names == [
        {"conv4", "conv5", "fc"}, {"conv1", "conv2", "conv2_relay"}, {"conv2", "conv3", "conv4", "conv4_relay"},
    ]  # fmt: skip


def test_penalties_count_once(randomize):
    net = randomize(network(keras.regularizers.L2(0.05)))
    plain = relay(randomize(network()))
    model = relay(net)
    model.set_weights(plain.get_weights())
    for variable, own, other in zip(model.trainable_weights, model.gradients(X, Y)[2], plain.gradients(X, Y)[2],
                                    strict=True):  # fmt: skip
        decayed = "conv" in variable.path and "relay" not in variable.path and variable.path.endswith("kernel")
        expected = 0.1 * np.asarray(variable) if decayed else 0
        np.testing.assert_allclose(np.asarray(own) - other, expected + np.zeros(variable.shape), atol=1e-5)


def test_steps_of_fit_and_of_the_loop_are_the_gradients_and_the_network_is_saved_alone(randomize, tmp_path):
    net = randomize(network())
    model = relay(net)
    gradients = model.gradients(X, Y)[2]
    before = [v.numpy() for v in model.trainable_weights]
    model.fit(X, Y, batch_size=8, verbose=0)
    for was, variable, gradient in zip(before, model.trainable_weights, gradients, strict=True):
        np.testing.assert_allclose(variable, was - 0.1 * gradient, atol=1e-6)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    history = kv.training.train(model, data, epochs=8, validation=data)
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["val_loss"] == pytest.approx(float(LOSS(Y, net(X))), rel=1e-4)  # the main loss alone
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.count_params() == net.count_params()
    np.testing.assert_allclose(loaded(X), model.predict(X, verbose=0), atol=1e-6)


def test_a_tapped_network_of_the_package(randomize):
    net = randomize(kv.create_model("ResNet20CIFAR", weights=None, n=1, classes=3, input_shape=(16, 16, 3)))
    model = Relay(net, {"conv3_1": Auxiliary()}, main_down_to="conv2_1")
    model.compile("sgd", LOSS, run_eagerly=True)
    x = rng.normal(0, 1, (4, 16, 16, 3)).astype("float32")
    before = {v.path: v.numpy() for v in net.trainable_weights}
    model.train_on_batch(x, Y[:4] % 3)
    assert all(np.any(before[v.path] != v.numpy()) for v in net.trainable_weights)


@pytest.mark.parametrize(("auxiliary", "down_to", "message"), [
    ({"conv9": Auxiliary()}, None, r"no layer 'conv9'. Did you mean"),
    ({"conv3": Auxiliary()}, "conv9", "no layer 'conv9'"),
    ({"conv3": Auxiliary(down_to="conv3")}, None, "the segment of the loss of 'conv3' down to 'conv3' is empty"),
    ({"conv3": Auxiliary()}, "fc", "the segment of the main loss down to 'fc' is empty"),
    ({"conv3": Auxiliary(down_to="conv4")}, None, "begins below 'conv4'"),
    ({"conv3": Auxiliary(down_to="conv1")}, "conv2", "no loss reaches .*conv1/"),
    ({"conv3": Auxiliary(0.0)}, None, "give numbers above 0"),
    ({"conv3": Auxiliary(float("nan"))}, None, "give numbers above 0"),
    ({"fc": Auxiliary()}, None, "give its Auxiliary a head of your own"),
    ({"conv3": Auxiliary(head=layers.Flatten())}, None, "the head on 'conv3' gives"),
])  # fmt: skip
def test_segments_that_make_no_sense_are_errors(auxiliary, down_to, message):
    with pytest.raises(KerasVisionError, match=message):
        Relay(network(), auxiliary, down_to)
