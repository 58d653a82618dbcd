"""`keras-vision embed` and `keras-vision explore`."""

import json
import re
import subprocess
import sys

from keras_vision.analytics import (
    read_embeddings,
)  # fmt: skip


def test_the_command(file, photographs, tmp_path):
    def run(*options):
        command = [
            sys.executable,
            "-m",
            "keras_vision.cli.main",
            "embed",
            str(photographs),
            str(tmp_path / "o.parquet"),
        ]
        command += ["-m", str(file), "--cache", str(tmp_path / "cache"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = run()
    assert done.returncode == 0, done.stderr
    assert "5 images, vectors of 512 by SqueezeNetV1_1" in done.stdout
    assert "3 files could not be read" in done.stdout
    assert read_embeddings(tmp_path / "o.parquet").labels == [None, "a", "a", "b", "b"]
    again = run()
    assert again.returncode == 1
    assert "exists already; pass --overwrite" in again.stderr.replace("\n", " ")
    assert run("--overwrite", "--no-cache").returncode == 0


def test_the_page_command(file, photographs, tmp_path):
    def run(folder, *options):
        command = [
            sys.executable,
            "-m",
            "keras_vision.cli.main",
            "explore",
            str(folder),
            "-o",
            str(tmp_path / "p.html"),
        ]
        command += ["-m", str(file), "--no-cache", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = run(photographs)
    assert done.returncode == 0, done.stderr
    assert "5 images" in done.stdout
    assert "3 files could not be read" in done.stdout
    source = (tmp_path / "p.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', source, re.DOTALL)[1])
    assert data["classes"] == ["a", "b"]
    assert data["label"] == [-1, 0, 0, 1, 1]
    assert data["names"][3] == "b/<img src=x onerror=alert(1)>.png"
    assert "<img src=x" not in source
    (tmp_path / "empty").mkdir()
    refused = run(tmp_path / "empty", "--overwrite")
    assert (refused.returncode, "no images in" in refused.stderr) == (1, True)
