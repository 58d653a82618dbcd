"""DREAL: rewards, and both steps' gradients, against a network and a critic written in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv
from keras_vision.training import DREAL

CLASSES, UNITS = 3, 4
PAIRS = (("one", "channel_gate"), ("two", "spatial"))  # features and map of a channel's and of a position's attention
rng = np.random.default_rng(0)
X, Y = rng.normal(0, 1, (7, 3, 3, 2)), rng.integers(0, CLASSES, 7)


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # floatx is no longer asked once any test has set a policy
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def network(activation="softmax", seed=0):
    """1x1 convolutions, squeeze-and-excitation, and a map over positions; strong weights, so that attention matters."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((3, 3, 2))
    x = keras.layers.Conv2D(4, 1, activation="tanh", name="one")(image)
    x = kv.layers.squeeze_excite(x, 2, name="channel")
    x = keras.layers.Conv2D(5, 1, activation="tanh", name="two")(x)
    spatial = keras.layers.Conv2D(1, 1, activation="sigmoid", name="spatial")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply(name="weighed")([x, spatial]))
    net = keras.Model(image, keras.layers.Dense(CLASSES, activation, name="out")(x))
    draw = np.random.default_rng(seed)
    net.set_weights([draw.normal(0, 1.5, w.shape) for w in net.get_weights()])
    return net


# ------------------------------------------------------------------------------------------------- in NumPy


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(weights, x, off=None):
    """Probabilities, features and maps of `network`; `off` is the number of the map that gives way to its mean."""
    k1, b1, s1, c1, s2, c2, k2, b2, ks, bs, ko, bo = weights
    one = np.tanh(x @ k1[0, 0] + b1)
    gate = sigmoid(np.maximum(one.mean((1, 2)) @ s1 + c1, 0) @ s2 + c2)[:, None, None, :]
    used = gate.mean((1, 2, 3), keepdims=True) if off == 0 else gate
    two = np.tanh((one * used) @ k2[0, 0] + b2)
    spatial = sigmoid(two @ ks[0, 0] + bs)
    used = spatial.mean((1, 2, 3), keepdims=True) if off == 1 else spatial
    e = np.exp((two * used).mean((1, 2)) @ ko + bo)
    return e / e.sum(1, keepdims=True), (one, two), (gate, spatial)


def rewards(weights, x, y):
    """Image by image."""
    found = np.zeros((len(x), 2))
    for i, label in enumerate(y):
        own = forward(weights, x[i : i + 1])[0][0, label]
        for level in (0, 1):
            other = forward(weights, x[i : i + 1], off=level)[0][0, label]
            found[i, level] = 1 if own > other else -1 if own < other else 0
    return found


def scores(critic, features, maps):
    """The critic: a layer for each module, an LSTM with Keras' order of gates, a linear layer."""
    (one, two), (gate, spatial) = features, maps
    vectors = (
        np.concatenate([one.mean((1, 2)), gate[:, 0, 0]], 1),
        np.concatenate([two.mean((1, 2)), spatial.mean((1, 2)), (two * spatial).mean((1, 2))], 1),
    )
    d1, e1, d2, e2, kernel, recurrent, bias, out, last = critic
    h, c, found = 0, 0, []
    for v, d, e in zip(vectors, (d1, d2), (e1, e2), strict=True):
        z = np.maximum(v @ d + e, 0) @ kernel + bias + (h @ recurrent if found else 0)
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h @ out + last)
    return np.concatenate(found, 1)


def finite_differences(function, weights, step=1e-6):
    """The gradient of a function of arrays, number by number."""
    gradients = [np.zeros_like(w) for w in weights]
    for array, gradient in zip(weights, gradients, strict=True):
        for place in np.ndindex(array.shape):
            kept, ends = array[place], []
            for moved in (kept + step, kept - step):
                array[place] = moved
                ends.append(function(weights))
            array[place] = kept
            gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradients


def dreal(net, rate=1.0, critic_rate=1.0, loss="sparse_categorical_crossentropy", fit=None, **settings):
    keras.utils.set_random_seed(1)
    model = DREAL(net, PAIRS, **(dict(weight=0.7, units=UNITS) | settings))
    sgd = keras.optimizers.SGD
    model.compile(sgd(rate), loss, critic_optimizer=sgd(critic_rate), **(dict(jit_compile=False) | (fit or {})))
    return model


# --------------------------------------------------------------------------------------------------- reward


def test_rewards_equal_the_loop_over_images(float64):
    net = network()
    expected = rewards(net.get_weights(), X, Y)
    assert {-1, 1} == set(expected[:, 0]) == set(expected[:, 1])
    for labels in (Y, Y[:, None], np.eye(CLASSES)[Y]):
        np.testing.assert_array_equal(DREAL(net, PAIRS).rewards(X, labels), expected)
    logits = network(None)
    np.testing.assert_array_equal(DREAL(logits, PAIRS, from_logits=True).rewards(X, Y), expected)


def test_attention_that_chooses_nothing_earns_nothing():
    net = network()
    for name in ("channel_fc2", "spatial"):
        layer = net.get_layer(name)
        layer.set_weights([np.zeros(w.shape) for w in layer.get_weights()])
    np.testing.assert_array_equal(DREAL(net, PAIRS).rewards(X.astype("float32"), Y), np.zeros((7, 2)))


# ---------------------------------------------------------------------------------------------------- steps


def test_the_critics_step_is_the_gradient_of_its_squared_error(float64):
    net = network()
    model = dreal(net)
    before, network_before = model.critic.get_weights(), net.get_weights()
    _, features, maps = forward(network_before, X)
    truth = rewards(network_before, X, Y)
    model.critic_step(X, Y)
    expected = finite_differences(lambda critic: np.mean((scores(critic, features, maps) - truth) ** 2), before)
    for old, new, gradient in zip(before, model.critic.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=1e-7)
    for old, new in zip(network_before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (int(model.optimizer.iterations), int(model.critic_optimizer.iterations)) == (0, 1)
    assert float(model.critic_loss) == pytest.approx(np.mean((scores(before, features, maps) - truth) ** 2))
    assert float(model.reward) == pytest.approx(truth.mean())


def test_the_actors_step_is_the_gradient_of_the_stated_loss(float64):
    """Loss minus weighed scores, the features in them as they were before the step."""
    net = network()
    model = dreal(net)
    before, critic = net.get_weights(), model.critic.get_weights()
    states = forward(before, X)[1]

    def loss(weights):
        p, _, maps = forward(weights, X)
        return -np.log(p[np.arange(len(Y)), Y]).mean() - 0.7 * scores(critic, states, maps).mean()

    model.actor_step(X, Y)
    expected = finite_differences(loss, before)
    for old, new, gradient in zip(before, net.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=1e-7)
    for old, new in zip(critic, model.critic.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (int(model.optimizer.iterations), int(model.critic_optimizer.iterations)) == (1, 0)


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_step_of_fit_is_the_critics_and_then_the_actors(eagerly, float64):
    models = [dreal(network(), fit=dict(run_eagerly=eagerly, metrics=["accuracy"])) for _ in range(2)]
    for _ in range(2):
        models[0].critic_step(X, Y)
        models[0].actor_step(X, Y)
    history = models[1].fit(X, Y, batch_size=7, shuffle=False, epochs=2, verbose=0).history
    for one, other in zip(models[0].variables, models[1].variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert history.keys() == {"accuracy", "loss"}


def test_the_draws_choose_what_is_judged(float64):
    net, seen = network(), set()
    for seed in range(6):
        model = dreal(net, judged=1, seed=seed)
        level = int(keras.random.shuffle(np.arange(2), seed=keras.random.SeedGenerator(seed))[0])
        weights = net.get_weights()
        error = (scores(model.critic.get_weights(), *forward(weights, X)[1:]) - rewards(weights, X, Y)) ** 2
        model.critic_step(X, Y)
        assert float(model.critic_loss) == pytest.approx(error[:, level].mean())
        seen.add(level)
    assert seen == {0, 1}


@pytest.mark.parametrize(
    "settings",
    [dict(run_eagerly=True), dict(jit_compile=False), pytest.param(dict(jit_compile=True), marks=pytest.mark.slow)],
)
def test_without_weight_the_network_trains_as_alone(settings):
    x = X.astype("float32")
    plain = network()
    plain.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **settings)
    model = dreal(network(), rate=0.1, weight=0.0, fit=settings)
    settings = dict(batch_size=3, shuffle=False, epochs=3, verbose=0)
    losses = [each.fit(x, Y, **settings).history["loss"] for each in (plain, model)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(plain.get_weights(), model.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_critic_learns_fixed_rewards():
    net, x = network(), X.astype("float32")
    model = dreal(net, units=16)
    model.compile("sgd", "sparse_categorical_crossentropy", critic_optimizer=keras.optimizers.Adam(0.02))
    step, errors = tf.function(lambda: model.critic_step(x, Y)), []
    for _ in range(400):
        step()
        errors.append(float(model.critic_loss))
    assert errors[-1] < 0.1 * errors[0]
    said = model.scores(*forward(net.get_weights(), x)[1:])
    np.testing.assert_array_equal(np.sign(said), rewards(net.get_weights(), x, Y))
