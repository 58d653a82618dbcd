"""Several optimizers in `fit`, in files, and for layers left over; their numbers are in tests/test_addons.py."""

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.training import MultiOptimizer

X, Y = np.random.default_rng(0).normal(0, 1, (2, 32, 4)).astype("float32")


def network():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="deep")], name="inner")
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="first"), inner, keras.layers.Dense(4)])


def kernels(model):
    return [np.asarray(w) for w in model.weights if w.name == "kernel"]


def one_step(model, optimizer):
    """Changes of the three kernels."""
    before = kernels(model)
    model.compile(optimizer, "mse", jit_compile=False)
    model.train_on_batch(X, Y)
    return [after - old for after, old in zip(kernels(model), before, strict=True)]


def test_each_layer_moves_by_its_own_rate_also_a_nested_one():
    whole = one_step(network(), keras.optimizers.SGD(1.0))
    model = network()
    first, second = (keras.optimizers.SGD(rate) for rate in (0.1, 0.01))
    optimizer = MultiOptimizer([(first, model.layers[0]), (second, [model.layers[1]]), ("sgd", None)])
    optimizer.parts[2][0].learning_rate = 0.5
    for change, step, rate in zip(one_step(model, optimizer), whole, (0.1, 0.01, 0.5), strict=True):
        np.testing.assert_allclose(change, rate * step, rtol=1e-3, atol=1e-7)
    assert int(optimizer.iterations) == int(optimizer.parts[0][0].iterations) == 1


def test_a_frozen_layer_stays():
    model = network()
    model.layers[0].trainable = False
    first, *others = one_step(model, MultiOptimizer([("sgd", model.layers[0]), ("adam", None)]))
    assert (first == 0).all()
    assert all((change != 0).any() for change in others)


def test_a_file_keeps_the_state_and_training_goes_on_alike(tmp_path):
    model = network()
    momentum = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 40), momentum=0.9)
    model.compile(MultiOptimizer([(momentum, model.layers[0]), (keras.optimizers.Adam(0.01), None)]), "mse")
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, MultiOptimizer)
    for network_ in (model, loaded):
        network_.fit(X, Y, batch_size=8, shuffle=False, epochs=2, verbose=0)
    for ours, theirs in zip(kernels(model), kernels(loaded), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_mixed_float16_trains():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.LossScaleOptimizer(MultiOptimizer([("sgd", model.layers[0]), ("adam", None)]))
    model.compile(optimizer, "mse", jit_compile=False)
    before = kernels(model)
    model.fit(X, Y, verbose=0)
    assert all(np.isfinite(new).all() and (new != old).any() for new, old in zip(kernels(model), before, strict=True))


def test_wrong_parts_are_errors():
    model = network()
    for parts in ([], [("sgd", None), ("adam", None)]):
        with pytest.raises(KerasVisionError, match="at most one with None"):
            MultiOptimizer(parts)
    with pytest.raises(KerasVisionError, match="new has no weights; build it"):
        MultiOptimizer([("sgd", keras.layers.Dense(3, name="new"))])
    with pytest.raises(KerasVisionError, match="first/kernel belongs to 2 of the optimizers"):
        MultiOptimizer([("sgd", model.layers[0]), ("adam", model)]).build(model.trainable_variables)
    with pytest.raises(KerasVisionError, match="belongs to 0 of the optimizers; name it"):
        MultiOptimizer([("sgd", model.layers[0])]).build(model.trainable_variables)


def test_a_parts_moving_average_reaches_the_model():
    def trained(wrap):
        keras.utils.set_random_seed(2)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")])
        optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        model.compile(MultiOptimizer([(optimizer, None)]) if wrap else optimizer, "mse")
        x, y = np.eye(3, dtype="float32"), np.ones((3, 2), "float32")
        model.fit(x, y, batch_size=1, epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    for ours, theirs in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_two_weights_of_one_path_are_refused():
    def part(size):
        inputs = keras.Input((size,))
        return keras.Model(inputs, keras.layers.Dense(2, name="fc")(inputs))

    first, second, inputs = part(3), part(2), keras.Input((3,))
    model = keras.Model(inputs, second(first(inputs)))
    model.compile(MultiOptimizer([(keras.optimizers.SGD(0.0), first), (keras.optimizers.SGD(0.1), None)]), "mse")
    with pytest.raises(KerasVisionError, match="two weights are called fc/kernel; give their layers other names"):
        model.fit(np.eye(3, dtype="float32"), np.ones((3, 2), "float32"), verbose=0)
