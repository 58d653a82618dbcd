"""`keras-vision train` as a user runs it: interrupted with Ctrl-C, on two parts of the CPU, on two machines."""

import json
import os
import signal
import socket
import subprocess
import time

from test_cli import COMMAND, run

from keras_vision.training.snapshot import place_of

ARGUMENTS = ["train", "--size", "32", "--batch-size", "64", "--epochs"]


def test_ctrl_c_keeps_the_last_snapshot_and_the_same_command_finishes(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, *ARGUMENTS, "3", "--minutes", "0", "--out", str(out)], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not (out / "checkpoints/all.npz").exists() or not place_of(out / "checkpoints/all.npz").epoch:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert "the same command goes on" in said
    left = {p.name for p in (out / "checkpoints").iterdir()}
    assert left <= {"all.npz", *(f"best-{n:04d}.npz" for n in (1, 2, 3))}
    assert not (out / "model.keras").exists()

    done = run(*ARGUMENTS, "3", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "epoch   1" not in done.stdout  # finished before the interruption
    assert "held-out accuracy" in done.stdout
    assert (out / "report.html").exists()


def test_two_replicas(tmp_path):
    done = run(*ARGUMENTS, "1", "--strategy", "mirrored", "--replicas", "2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (start,) = json.loads((tmp_path / "run/run.json").read_text())["starts"]
    assert (start["strategy"], start["replicas"]) == ("MirroredStrategy", 2)
    assert json.loads((tmp_path / "run/metrics.json").read_text())["agreement"] == 1


def test_two_machines_write_one_result(tmp_path):
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("", 0))
        workers = [f"localhost:{probe.getsockname()[1]}" for probe in (first, second)]
    processes = [
        subprocess.Popen(
            [*COMMAND, *ARGUMENTS, "1", "--strategy", "multiworker", "--out", str(tmp_path / "run")],
            env=os.environ
            | {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in (0, 1)
    ]
    said = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "held-out accuracy" in said[0]
    assert "held-out accuracy" not in said[1]
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test_images"] == 360


def test_batches_smaller_than_the_replicas_are_refused(tmp_path):
    out = tmp_path / "run"
    done = run(*ARGUMENTS, "1", "--batch-size", 1, "--strategy", "mirrored", "--replicas", "2", "--out", out)
    assert done.returncode == 1
    assert "batch_size=1 for 2 replicas" in done.stderr
    assert not out.exists()
