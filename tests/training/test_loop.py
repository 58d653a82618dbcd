"""The training loop: Keras' own figures, the same on several devices and machines, and after a kill at any moment."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from loop_program import STEPS, Curve, batches, compiled

from keras_vision.errors import KerasVisionError
from keras_vision.training import strategy_of, train

PROGRAM = Path(__file__).with_name("loop_program.py")


def start(*arguments, **environment):
    """The program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process, timeout=300):
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, output[-3000:]


def result(out):
    return json.loads(Path(out).read_text())


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


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one device gives, with synchronised batch norm, which is plain batch norm there."""
    out = tmp_path_factory.mktemp("alone") / "out.json"
    finished(start("none", out, "curve=1", "synchronized=1", "epochs=4"))
    return result(out)


def test_two_replicas_of_a_machine_give_the_same_curve(alone, tmp_path):
    finished(start("mirrored", tmp_path / "out.json", "curve=1", "synchronized=1", "epochs=4"))
    assert_same_curve(result(tmp_path / "out.json"), alone)


def test_two_machines_give_the_same_curve_and_go_on_after_both_were_killed(alone, tmp_path):
    """The second start reads the chief's snapshot on both."""
    settings = ("curve=1", "synchronized=1", "epochs=4", f"snapshot={tmp_path / 'snapshot.npz'}", "every=0")
    first = workers(tmp_path, *settings)
    wait_for(tmp_path / "snapshot.npz", first)
    for process in first:
        process.kill()
        process.wait()
    for process in workers(tmp_path, *settings):
        finished(process)
    for index in (0, 1):
        again = result(tmp_path / f"out{index}.json")
        assert [logs["loss"] for logs in again["history"]] == pytest.approx(
            [h["loss"] for h in alone["history"]], abs=1e-4
        )
        assert_same_weights(again, alone)


def workers(folder, *settings):
    ports = free_ports(2)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    tasks = [{"type": "worker", "index": index} for index in (0, 1)]
    return [
        start(
            "multiworker",
            folder / f"out{task['index']}.json",
            *settings,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
    ]


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for(path, processes, timeout=240):
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), processes[0].communicate()[0][-3000:]
        time.sleep(0.05)


def assert_same_curve(actual, expected):
    assert len(expected["losses"]) >= 20
    np.testing.assert_allclose(actual["losses"], expected["losses"], atol=1e-4)
    assert_same_weights(actual, expected)


def assert_same_weights(actual, expected):
    for ours, theirs in zip(actual["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_batch_that_leaves_a_replica_empty_is_refused():
    code = """
        import keras, numpy as np, tensorflow as tf
        from keras_vision.training import strategy_of, train
        strategy = strategy_of("mirrored", 2)
        with strategy.scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
            model.compile("sgd", "mse", jit_compile=False)
        images = tf.data.Dataset.from_tensor_slices((np.ones((5, 3), "float32"), np.ones((5, 1), "float32")))
        train(model, images.batch(4), epochs=1, strategy=strategy)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "a batch of 1 images leaves one of 2 replicas without any" in done.stderr.splitlines()[-1]


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


@pytest.mark.parametrize(("text", "says"), [
    (None, "JSONDecodeError"),
    ("{", "JSONDecodeError"),
    ("{}", "KeyError: 'cluster'"),
    ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "none of 1 workers"),
    ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "none of 1 workers"),
    ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "ValueError"),
])  # fmt: skip
def test_malformed_tf_config(text, says, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(
        KerasVisionError, match=f"(?s)does not say who the workers are .*{says}.* expected, on the first"
    ):
        strategy_of("multiworker")


def test_a_port_in_use(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"localhost:{taken.getsockname()[1]}"
        config = {"cluster": {"worker": [address, "localhost:1"]}, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        with pytest.raises(KerasVisionError, match=f"gives this worker {address}, whose port cannot be had"):
            strategy_of("multiworker")


def test_strategies_that_cannot_be():
    with pytest.raises(KerasVisionError, match="strategy='horovod'; accepted: none, mirrored, multiworker"):
        strategy_of("horovod")
    with pytest.raises(KerasVisionError, match="replicas=2 with strategy='none'"):
        strategy_of("none", 2)
    tf.constant(1)  # TensorFlow has begun
    with pytest.raises(KerasVisionError, match="choose the strategy first"):
        strategy_of("mirrored", 7)
