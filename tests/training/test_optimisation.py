"""Optimizers, schedules and weight decay of the recipes, against NumPy and loops that follow the papers' words."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.training import Recipe, add_l2, find_recipe, optimizer_of, schedule_of
from keras_vision.training.optimisation import plateau_of

PLAIN = Recipe(
    name="r", result="", model="ResNet20CIFAR", data="", epochs=10, batch_size=4, learning_rate=0.1, momentum=0.0
)
STEPS = 7


def recipe(**settings):
    return dataclasses.replace(PLAIN, **settings)


def network():
    """A kernel and a bias, a norm, and a second kernel with a bias."""
    keras.utils.set_random_seed(3)
    layers = [keras.Input((4,)), keras.layers.Dense(5, name="first"), keras.layers.LayerNormalization(name="norm")]
    return keras.Sequential([*layers, keras.layers.Dense(2, name="last")])


def arrays(model):
    return [np.asarray(v, "float64") for v in model.trainable_variables]


def gradients(model, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, v.shape).astype("float32") for v in model.trainable_variables]


def applied(settings, steps=3):
    """Weights before and after some updates with known gradients, and these."""
    model = network()
    optimizer = optimizer_of(settings, model, STEPS)
    before, given = arrays(model), [gradients(model, seed) for seed in range(steps)]
    for each in given:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in each], model.trainable_variables)
    return before, arrays(model), given


def assert_close(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------------------------------- schedules


def rates_of(settings):
    schedule = schedule_of(settings, STEPS)
    return [float(schedule(step)) for step in range(settings.epochs * STEPS)]


def test_steps_fall_after_whole_epochs_and_the_warm_up_comes_first():
    rate, expected = 0.1, []
    for epoch in range(10):
        if epoch in (3, 8):
            rate /= 10
        for _ in range(STEPS):
            expected.append(0.01 if len(expected) < 5 else rate)
    given = recipe(schedule="step", decay_epochs=(3, 8), warm_up_rate=0.01, warm_up_steps=5)
    np.testing.assert_allclose(rates_of(given), expected, rtol=1e-6)


def test_inceptions_rate_falls_every_two_epochs():
    inception = find_recipe("inception-v3")
    rate, expected = 0.045, []
    for epoch in range(100):
        if epoch and epoch % 2 == 0:
            rate *= 0.94
        expected += [rate] * STEPS
    np.testing.assert_allclose(rates_of(inception), expected, rtol=1e-5)


def test_squeezenets_rate_falls_linearly_to_nothing():
    total = 68 * STEPS
    np.testing.assert_allclose(
        rates_of(find_recipe("squeezenet")), [0.04 * (1 - s / total) for s in range(total)], 1e-4
    )


def test_accumulation_counts_parts_of_a_batch_as_steps():
    given = recipe(schedule="step", decay_epochs=(3,), warm_up_rate=0.01, warm_up_steps=2, accumulation=2)
    assert np.flatnonzero(np.isclose(rates_of(given), 0.01, rtol=1e-5)).tolist() == [0, 1, 2, 3, *range(21, 70)]


def test_a_plateau_lowers_the_rate_as_often_as_it_may():
    settings = recipe(schedule="plateau", patience=2, drops=2)
    model = network()
    model.compile(optimizer_of(settings, model, STEPS), "mse")
    (callback,) = plateau_of(settings, "val_top1")
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, accuracy in enumerate([0.1, 0.2, 0.2, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]):
        callback.on_epoch_end(epoch, {"val_top1": accuracy})
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.1] * 3 + [0.01] * 3 + [0.001] * 5, rtol=1e-5)


def test_changes_of_the_rate_in_the_same_step_are_refused():
    with pytest.raises(KerasVisionError, match="give decay_epochs that rise by a step at least and come after"):
        schedule_of(recipe(schedule="step", decay_epochs=(1,), warm_up_rate=0.01, warm_up_steps=7), STEPS)


# ------------------------------------------------------------------------------------------------- optimizers


def test_rmsprop_with_a_large_epsilon_and_clipping():
    """Section 8 of Inception-v3: decay 0.9, epsilon 1.0 below the root, gradients clipped to a norm of 2 together."""
    settings = recipe(optimizer="rmsprop", epsilon=1.0, clip=2.0, learning_rate=0.045)
    before, after, given = applied(settings)
    squares = [np.zeros_like(w) for w in before]
    for each in given:
        norm = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in each))
        assert norm > 2
        clipped = [g * 2 / norm for g in each]
        squares = [0.9 * s + 0.1 * g**2 for s, g in zip(squares, clipped, strict=True)]
        before = [w - 0.045 * g / np.sqrt(s + 1) for w, g, s in zip(before, clipped, squares, strict=True)]
    assert_close(after, before)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_sutskever(nesterov):
    before, after, given = applied(recipe(momentum=0.9, nesterov=nesterov))
    velocity = [np.zeros_like(w) for w in before]
    for each in given:
        velocity = [0.9 * v - 0.1 * g for v, g in zip(velocity, each, strict=True)]
        step = [0.9 * v - 0.1 * g for v, g in zip(velocity, each, strict=True)] if nesterov else velocity
        before = [w + s for w, s in zip(before, step, strict=True)]
    assert_close(after, before)


def test_each_replica_clips_its_share():
    assert optimizer_of(recipe(clip=2.0), network(), STEPS, replicas=4).global_clipnorm == 0.5


def test_layers_have_rates_of_their_own():
    before, after, given = applied(recipe(rates={"last": 10.0}), steps=1)
    factors = [1, 1, 1, 1, 10, 10]
    expected = [w - 0.1 * f * g for w, g, f in zip(before, given[0], factors, strict=True)]
    assert_close(after, expected)
    with pytest.raises(KerasVisionError, match="rates name 'fc', and no layer"):
        optimizer_of(recipe(rates={"fc": 2.0}), network(), STEPS)


def test_biases_learn_faster_and_the_longest_prefix_counts():
    """FCN's doubled rate of biases (section 4.3), on top of the factors of layers."""
    before, after, given = applied(recipe(rates={"l": 3.0, "last": 10.0}, bias_rate=2.0), steps=1)
    factors = [1, 2, 1, 1, 10, 20]
    expected = [w - 0.1 * f * g for w, g, f in zip(before, given[0], factors, strict=True)]
    assert_close(after, expected)


def test_a_cosine_rises_for_a_tenth_of_the_steps_and_falls_to_nothing():
    given = recipe(schedule="cosine", epochs=10)
    warm_up = STEPS
    rising = [0.001 + (0.1 - 0.001) * s / warm_up for s in range(warm_up)]
    falling = [0.05 * (1 + np.cos(np.pi * s / (9 * STEPS))) for s in range(9 * STEPS)]
    np.testing.assert_allclose(rates_of(given), rising + falling, rtol=1e-4)


# ----------------------------------------------------------------------------------------------- weight decay


@pytest.mark.parametrize("everything", [False, True])
def test_l2_goes_through_momentum_and_leaves_what_it_should(everything):
    """Two steps of v = m v - r (g + d w); the gradient of the loss itself is 0 for images and labels of 0."""
    model = network()
    decayed = add_l2(model, 0.5, everything)
    assert decayed == (6 if everything else 2)
    model.compile(optimizer_of(recipe(momentum=0.9), model, STEPS), lambda y, p: 0.0 * p, jit_compile=False)
    before = arrays(model)
    for _ in range(2):
        model.train_on_batch(np.zeros((4, 4), "float32"), np.zeros((4, 2), "float32"))
    for index, (start, end) in enumerate(zip(before, arrays(model), strict=True)):
        if not everything and index not in (0, 4):  # biases, gamma, beta
            np.testing.assert_array_equal(end, start)
            continue
        w, v = start, np.zeros_like(start)
        for _ in range(2):
            v = 0.9 * v - 0.1 * 0.5 * w
            w = w + v
        np.testing.assert_allclose(end, w, rtol=1e-5)


@pytest.mark.parametrize("everything", [False, True])
def test_keras_own_decay_is_decoupled(everything):
    settings = recipe(weight_decay=0.5, decoupled=True, decay_all=everything, momentum=0.9)
    before, after, given = applied(settings, steps=2)
    velocity = [np.zeros_like(w) for w in before]
    for each in given:
        for i, g in enumerate(each):
            velocity[i] = 0.9 * velocity[i] - 0.1 * g
            kept = 1 - 0.1 * 0.5 if everything or i in (0, 4) else 1
            before[i] = before[i] * kept + velocity[i]
    assert_close(after, before)


# ----------------------------------------------------------------------------------------------- accumulation


def test_two_halves_of_a_batch_are_one_batch():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(0, 1, (8, 4)).astype("float32"), rng.normal(0, 1, (8, 2)).astype("float32")
    whole, halves = network(), network()
    for model, accumulation in ((whole, 1), (halves, 2)):
        settings = recipe(accumulation=accumulation, momentum=0.9, weight_decay=1e-2)
        add_l2(model, settings.weight_decay)
        model.compile(optimizer_of(settings, model, STEPS), "mse", jit_compile=False)
    for _ in range(3):
        whole.train_on_batch(images, labels)
        for half in (slice(4), slice(4, 8)):
            halves.train_on_batch(images[half], labels[half])
    assert_close(arrays(halves), arrays(whole))
