"""Training on several devices and machines: the same curve, an empty replica, and what cannot be."""

import json
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from loop_process import finished, result, start, wait_for

from keras_vision.errors import KerasVisionError
from keras_vision.training import strategy_of


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
