"""The training loop: Keras' own figures, and the same ones after a kill at any moment."""

import random
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from loop_process import finished, result, start, wait_for
from loop_program import STEPS, Curve, batches, compiled

from keras_vision.errors import KerasVisionError
from keras_vision.training import train

# ------------------------------------------------------------------------------------------ as Keras does it


def test_equals_fit():
    ours, theirs = (
        compiled(tf.distribute.get_strategy(), dropout=False),
        compiled(tf.distribute.get_strategy(), dropout=False),
    )
    curve, expected = Curve(), Curve()
    history = train(ours, batches(0, 0), epochs=3, validation=batches(1, 0), callbacks=[curve])
    fitted = theirs.fit(batches(0, 0), epochs=3, validation_data=batches(1, 0), callbacks=[expected], verbose=0)
    np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-6)
    assert history[0].keys() == fitted.history.keys()
    for key, values in fitted.history.items():
        np.testing.assert_allclose([logs[key] for logs in history], values, rtol=1e-5)


def test_moving_average_clipping_and_accumulation_are_keras_own():
    def optimizer():
        return keras.optimizers.Adam(
            0.01, use_ema=True, ema_momentum=0.8, global_clipnorm=0.1, gradient_accumulation_steps=2
        )

    models = [compiled(tf.distribute.get_strategy(), dropout=False) for _ in range(2)]
    for model in models:
        model.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(models[0], batches(0, 0), epochs=2)
    models[1].fit(batches(0, 0), epochs=2, verbose=0)
    for ours, theirs in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_callbacks_stop_training():
    model = compiled(tf.distribute.get_strategy())
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, min_delta=9)
    assert len(train(model, batches(0, 0), epochs=9, validation=batches(0, 0), callbacks=[stop])) == 3


def test_callbacks_stop_an_epoch_as_in_fit():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    models = [compiled(tf.distribute.get_strategy(), dropout=False) for _ in range(2)]
    history = train(models[0], batches(0, 0), epochs=4, callbacks=[Stop()])
    fitted = models[1].fit(batches(0, 0), epochs=4, callbacks=[Stop()], verbose=0).history
    assert len(history) == len(fitted["loss"]) == 1
    assert history[0]["loss"] == pytest.approx(fitted["loss"][0], rel=1e-5)


def test_an_epoch_ends_with_its_last_step():
    """TensorFlow's tuning, whose rounds come after 10, 20, ... 640, 1280 ms, would hold it up: 1.4 to 2.5 seconds."""

    def batches():
        for _ in range(14):
            time.sleep(0.1)
            yield np.ones((2, 3), np.float32), np.ones((2, 1), np.float32)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    times = []
    ends = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: times.append(time.monotonic()),
        on_epoch_end=lambda epoch, logs: times.append(time.monotonic()),
    )
    signature = tf.TensorSpec((2, 3), tf.float32), tf.TensorSpec((2, 1), tf.float32)
    train(model, tf.data.Dataset.from_generator(batches, output_signature=signature), epochs=1, callbacks=[ends])
    assert len(times) == 15
    assert times[-1] - times[-2] < 0.5


# -------------------------------------------------------------------------------------------- several devices


# ------------------------------------------------------------------------------------------------- survival


def killed_at_random(tmp_path, kills, seed):
    """The result of a run that is killed so often, at random moments, and started again each time."""
    rng, out = random.Random(seed), tmp_path / "out.json"
    for _ in range(kills):
        process = start("none", out, f"snapshot={tmp_path / 'snapshot.npz'}", "every=0", "epochs=6")
        wait_for(tmp_path / "snapshot.npz", [process])
        time.sleep(rng.uniform(0, 6))
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished(start("none", out, f"snapshot={tmp_path / 'snapshot.npz'}", "every=0", "epochs=6"))
    return result(out)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_runs_end_with_the_same_weights(kills, tmp_path):
    """Dropout, momentum, schedule, the order of the data and the metrics of the epoch go on where they were."""
    finished(start("none", tmp_path / "expected.json", "epochs=6"))
    expected, actual = result(tmp_path / "expected.json"), killed_at_random(tmp_path, kills, seed=kills)
    assert actual["weights"] == expected["weights"]
    assert actual["history"] == expected["history"]
    assert len(expected["losses"]) == 6 * STEPS


def test_an_interrupted_epoch_goes_on_at_its_batch(tmp_path):
    class Stop(Exception):
        pass

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.count == 9:
                raise Stop
            self.count += 1

        count = 0

    settings = dict(epochs=3, snapshots=tmp_path / "s.npz", every=0)
    with pytest.raises(Stop):
        train(compiled(tf.distribute.get_strategy()), batches, callbacks=[Interrupt()], **settings)
    curve, uninterrupted = Curve(), Curve()
    history = train(compiled(tf.distribute.get_strategy()), batches, callbacks=[curve], **settings)
    expected = train(compiled(tf.distribute.get_strategy()), batches, epochs=3, callbacks=[uninterrupted])
    assert curve.losses == uninterrupted.losses[9:]
    assert history == expected
    assert train(compiled(tf.distribute.get_strategy()), batches, **settings) == expected  # nothing is left to do


def test_callbacks_go_on_counting_and_take_new_settings(tmp_path):
    first, second = (keras.callbacks.EarlyStopping("loss", patience=p, min_delta=9) for p in (5, 3))
    model = compiled(tf.distribute.get_strategy())
    train(model, batches, epochs=3, callbacks=[first], snapshots=tmp_path / "s.npz")
    history = train(model, batches, epochs=9, callbacks=[second], snapshots=tmp_path / "s.npz")
    assert (second.patience, len(history)) == (3, 4)


# ------------------------------------------------------------------------------------------------ bad input


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(tmp_path):
    model = compiled(tf.distribute.get_strategy())

    def poisoned(epoch, start):
        return batches(epoch, start).map(lambda x, y: (x * (float("nan") if epoch == 1 else 1.0), y))

    with pytest.raises(KerasVisionError, match=r"the loss is nan in epoch 2 at batch 1, .*s\.npz keeps what was good"):
        train(model, poisoned, epochs=3, snapshots=tmp_path / "s.npz", every=0)
    other = compiled(tf.distribute.get_strategy())
    assert len(train(other, batches, epochs=1, snapshots=tmp_path / "s.npz")) == 1
    assert all(np.isfinite(array).all() for array in other.get_weights())


def test_snapshots_of_something_else_are_refused(tmp_path):
    path = tmp_path / "s.npz"
    train(compiled(tf.distribute.get_strategy()), batches, epochs=1, snapshots=path)
    with pytest.raises(KerasVisionError, match=r"is of another model or optimizer: .* Give another file, or remove it"):
        train(compiled(tf.distribute.get_strategy(), synchronized=True), batches, epochs=2, snapshots=path)
    for content in (b"", b"PK\3\4 not a zip file", path.read_bytes()[:-200]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(KerasVisionError, match=r"bad\.npz is no snapshot of training"):
            train(compiled(tf.distribute.get_strategy()), batches, epochs=2, snapshots=tmp_path / "bad.npz")


def test_wrong_arguments_are_named(tmp_path):
    model = compiled(tf.distribute.get_strategy())
    with pytest.raises(KerasVisionError, match="epochs=0"):
        train(model, batches, epochs=0)
    with pytest.raises(KerasVisionError, match="compile the model first"):
        train(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), batches, epochs=1)
    with pytest.raises(KerasVisionError, match="epoch 1 has no batches"):
        train(model, lambda epoch, start: batches(epoch, 0).take(0), epochs=1)
