"""What goes on after an interruption besides the weights, and what is refused because it could not."""

import itertools
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from loop_program import STEPS, Curve, batches, compiled

from keras_vision.errors import KerasVisionError
from keras_vision.training import MovingAverage, train


class Stop(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """Ends training after so many batches, in the middle of one."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        if not self.left:
            raise Stop
        self.left -= 1


def network(optimizer=None, dtype=None):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(dtype=dtype), keras.layers.Dense(4, dtype=dtype)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
    return model


def interrupted(path, callbacks, make=network, epochs=3, after=STEPS + 2):
    """The weights of a run that was interrupted in its second epoch and taken up, and of one that was not."""
    with pytest.raises(Stop):
        train(make(), batches, epochs=epochs, snapshots=path, every=0, callbacks=[*callbacks(), Interrupt(after)])
    ours, theirs = make(), make()
    train(ours, batches, epochs=epochs, snapshots=path, every=0, callbacks=callbacks())
    train(theirs, batches, epochs=epochs, callbacks=callbacks())
    return ours.get_weights(), theirs.get_weights()


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


CALLBACKS = {
    "MovingAverage": lambda: [MovingAverage(0.9)],
    "LearningRateScheduler": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)],
    "ReduceLROnPlateau": lambda: [keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=9)],
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_go_on(name, tmp_path):
    assert_same(*interrupted(tmp_path / "s.npz", CALLBACKS[name]))


def test_averages_that_the_optimizer_keeps_go_on(tmp_path):
    def make():
        return network(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))

    assert_same(*interrupted(tmp_path / "s.npz", lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)], make))


def test_a_finished_run_with_averages_stays_as_it_is(tmp_path):
    first, second = network(), network()
    for model in (first, second):
        train(model, batches, epochs=2, snapshots=tmp_path / "s.npz", callbacks=[MovingAverage(0.9)])
    assert_same(first.get_weights(), second.get_weights())


def test_another_learning_rate_takes_the_place_of_the_one_in_the_snapshot(tmp_path):
    train(network(), batches, epochs=1, snapshots=tmp_path / "s.npz")
    model = network(keras.optimizers.SGD(0.0, momentum=0.9))
    train(model, batches, epochs=2, snapshots=tmp_path / "s.npz")
    assert float(model.optimizer.learning_rate) == 0.0


def test_bfloat16_variables_are_kept_exactly(tmp_path):
    first, second = network("sgd", "bfloat16"), network("sgd", "bfloat16")
    for model in (first, second):
        train(model, batches, epochs=1, snapshots=tmp_path / "s.npz")
    for ours, theirs in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours).astype("float32"), np.asarray(theirs).astype("float32"))


def test_best_weights_of_early_stopping_are_refused(tmp_path):
    stop = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    with pytest.raises(KerasVisionError, match="use ModelCheckpoint beside"):
        train(network(), batches, epochs=1, callbacks=[stop], snapshots=tmp_path / "s.npz")
    assert len(train(network(), batches, epochs=1, callbacks=[stop])) == 1


def test_files_are_not_shared_out_unless_asked(monkeypatch):
    """By files, each of several machines would leave out the steps of all."""
    seen, strategy = [], tf.distribute.get_strategy()
    watch = lambda data: seen.append(data.options()) or data  # noqa: E731
    monkeypatch.setattr(strategy, "experimental_distribute_dataset", watch)
    plain = tf.data.Dataset.from_tensor_slices((np.zeros((8, 8, 8, 3), "float32"), np.zeros(8, int))).batch(4)
    train(network(), plain, epochs=1, strategy=strategy)
    policy = tf.data.experimental.AutoShardPolicy
    assert seen[0].experimental_distribute.auto_shard_policy == policy.DATA


def test_keras_progress_bar_is_a_callback():
    curve = Curve()
    train(compiled(tf.distribute.get_strategy()), batches, epochs=1, callbacks=[keras.callbacks.ProgbarLogger(), curve])
    assert len(curve.losses) == STEPS


def test_an_interruption_costs_no_more_than_the_time_between_snapshots(tmp_path):
    class Slow(keras.callbacks.Callback):
        """Steps of a tenth of a second, and when each of them ended, by the optimizer's count."""

        def __init__(self):
            super().__init__()
            self.ended = {}

        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.1)
            self.ended[int(self.model.optimizer.iterations)] = time.monotonic()

    first, again, every = Slow(), Slow(), 0.5
    settings = dict(epochs=6, snapshots=tmp_path / "s.npz", every=every)
    with pytest.raises(Stop):
        train(network(), batches, callbacks=[first, Interrupt(5 * STEPS - 1)], **settings)
    train(network(), batches, callbacks=[again], **settings)
    times = list(first.ended.values())
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    taken_up = min(again.ended)
    assert 1 < taken_up <= len(times)
    assert times[-1] - first.ended[taken_up] <= every + longest
