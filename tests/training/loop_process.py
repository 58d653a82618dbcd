"""Starts loop_program.py in processes of its own, and reads what they leave."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

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


def wait_for(path, processes, timeout=240):
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), processes[0].communicate()[0][-3000:]
        time.sleep(0.05)
