"""`keras-vision train` with Ctrl-C, as a user presses it."""

import signal
import subprocess
import time

from test_cli import COMMAND, run

ARGUMENTS = ["train", "--epochs", "3", "--size", "32", "--batch-size", "64"]


def test_ctrl_c_keeps_whole_epochs_and_the_same_command_finishes(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen([*COMMAND, *ARGUMENTS, "--out", str(out)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not (out / "checkpoints/history.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert "the same command goes on" in said
    left = {p.name for p in (out / "checkpoints").iterdir()}
    assert left <= {"history.json", *(f"epoch-{n:04d}.weights.h5" for n in (1, 2, 3))}
    assert not (out / "model.keras").exists()

    done = run(*ARGUMENTS, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "epoch   1" not in done.stdout  # finished before the interruption
    assert "held-out accuracy" in done.stdout
    assert (out / "report.html").exists()
