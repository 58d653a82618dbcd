"""When the averages are in the model; their numbers are in tests/test_addons.py."""

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.training import MovingAverage

X, Y = np.random.default_rng(0).normal(0, 1, (2, 24, 1)).astype("float32")


class Watch(keras.callbacks.Callback):
    """The kernel at the end of each step, and at the end of each evaluation."""

    def __init__(self):
        super().__init__()
        self.steps, self.evaluations = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(float(self.model.layers[-1].kernel[0, 0]))

    def on_test_batch_end(self, batch, logs=None):
        self.evaluations.append(float(self.model.layers[-1].kernel[0, 0]))


def model(**arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=False, **arguments)
    return model


def averages(start, steps, decay):
    found = [start]
    for weight in steps:
        found.append(decay * found[-1] + (1 - decay) * weight)
    return found[1:]


def test_evaluation_sees_the_averages_and_training_does_not():
    network, watch, plain = model(), Watch(), Watch()
    start = float(network.layers[-1].kernel[0, 0])
    callbacks = [MovingAverage(0.8), watch]
    fit = dict(batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y), validation_batch_size=24)
    network.fit(X, Y, callbacks=callbacks, **fit)
    model().fit(X, Y, callbacks=[plain], **fit)
    np.testing.assert_allclose(watch.steps, plain.steps, rtol=1e-6)
    expected = averages(start, plain.steps, 0.8)
    np.testing.assert_allclose(watch.evaluations, expected[2::3], rtol=1e-5)
    assert float(network.layers[-1].kernel[0, 0]) == pytest.approx(expected[-1], rel=1e-5)
    watch.steps.clear()
    network.fit(X, Y, callbacks=callbacks, **(fit | dict(epochs=2, initial_epoch=1)))  # goes on from the weights
    more = model()
    more.fit(X, Y, **(fit | dict(epochs=4)))
    expected = averages(expected[-1], watch.steps, 0.8)
    assert watch.steps[-1] == pytest.approx(float(more.layers[-1].kernel[0, 0]), rel=1e-5)
    assert float(network.layers[-1].kernel[0, 0]) == pytest.approx(expected[-1], rel=1e-5)


def test_statistics_of_batch_norm_are_left_alone():
    network = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    average = MovingAverage(0.5)
    network.fit(X, Y, verbose=0, callbacks=[average])
    assert len(average.averages) == len(network.trainable_variables) == 4


def test_several_steps_per_execution_are_an_error():
    with pytest.raises(KerasVisionError, match="steps_per_execution=1"):
        model(steps_per_execution=4).fit(X, Y, verbose=0, callbacks=[MovingAverage()])


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_out_of_range_is_an_error(decay):
    with pytest.raises(KerasVisionError, match=f"decay={decay}"):
        MovingAverage(decay)
