"""`keras-vision data scan` as a user runs it: in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "keras_vision.cli.main", "data", "scan"]
WIDE = {"COLUMNS": "200", "PATH": ""}


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, env=WIDE)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photographs"
    root.mkdir()
    for number in range(4):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / f"{number}.png")
        (root / f"[empty] {number}.jpg").touch()
    Image.new("CMYK", (8, 8)).save(root / "print.jpg")
    (root / "same.png").write_bytes((root / "0.png").read_bytes())
    return root


def test_table_and_skip_list(folder, tmp_path):
    done = run(folder, "--out", tmp_path / "skip.txt", "--keep", "cmyk")
    assert done.returncode == 0, done.stderr
    assert "10 images" in done.stdout
    assert "6 with findings" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    counts = {
        row[0]: row[1] for row in rows if row and row[0] in ("corrupt", "truncated", "cmyk", "duplicate", "misnamed")
    }
    assert counts == {"corrupt": "0", "truncated": "4", "cmyk": "1", "duplicate": "1", "misnamed": "0"}
    assert "[empty] 2.jpg: the file is empty" in done.stdout
    assert "[empty] 3.jpg" not in done.stdout  # only the first few
    lines = (tmp_path / "skip.txt").read_text().splitlines()
    assert lines == [*(f"[empty] {n}.jpg\tthe file is empty" for n in range(4)), "same.png\tsame bytes as 0.png"]


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_cannot_be_printed_do_not_stop_the_list(folder, tmp_path, encoding):
    content = (folder / "1.png").read_bytes()
    for name in (b"1\xff.png", b"1\xff copy.png", "1蜂\x1b[31m.png".encode()):
        with open(os.fsencode(folder) + b"/" + name, "wb") as stream:
            stream.write(content)
    out = os.fsencode(tmp_path) + b"/\xfe.txt"
    command = [*COMMAND, str(folder), "--out", out, "--keep", "cmyk", "--keep", "truncated"]
    done = subprocess.run(command, capture_output=True, timeout=120, env={**WIDE, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    assert b"files listed in" in done.stdout
    with open(out, "rb") as stream:
        assert b"1\xff.png\tsame bytes as 1.png\n" in stream.read()


@pytest.mark.parametrize(("arguments", "message"), [
    (["{folder}/nowhere"], "no such folder"),
    (["{folder}", "--keep", "good"], "--keep good; accepted: corrupt, truncated, cmyk, duplicate, misnamed"),
    (["{folder}", "--out", "{folder}/0.png"], "exists already; pass --overwrite"),
])  # fmt: skip
def test_mistakes_are_one_line(folder, arguments, message):
    done = run(*(argument.format(folder=folder) for argument in arguments))
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: ")
    assert message in done.stderr
    assert done.stdout == ""


def test_an_interruption_leaves_nothing(tmp_path):
    root = tmp_path / "photographs"
    root.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)).save(root / "0.png")
    for number in range(1, 1500):
        (root / f"{number}.png").symlink_to(root / "0.png")
    command = [*COMMAND, str(root), "--out", str(tmp_path / "skip.txt"), "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**WIDE, "TTY_COMPATIBLE": "1"})
    while "scanning" not in process.stderr.readline(80):
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; nothing was written" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]
