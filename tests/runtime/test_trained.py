"""Fetching and verifying the trained models, and running each with numpy, Pillow and LiteRT alone."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.runtime import DensePredictor, trained

FOLDER = Path(__file__).parents[2] / "savedmodels"
NAME = "hed-squeezenet-bsds"
COMMAND = [sys.executable, "-m", "keras_vision.cli.main", "models"]


@pytest.fixture
def copy(tmp_path):
    """One model with its manifest, as a server would hold it."""
    (tmp_path / "there").mkdir()
    shutil.copytree(FOLDER / NAME, tmp_path / "there" / NAME)
    entry = json.loads((FOLDER / "manifest.json").read_text())[NAME]
    (tmp_path / "there/manifest.json").write_text(json.dumps({NAME: entry}))
    return tmp_path / "there"


def test_the_checkouts_models_are_whole():
    assert all(fault is None for _, fault in trained.verify())
    total = sum(file.size for file, _ in trained.verify())
    assert total <= 40 << 20
    assert max(file.size for file, _ in trained.verify()) <= 8 << 20


def test_fetching_over_http_writes_whole_files_and_the_manifest(copy, tmp_path, monkeypatch):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(copy))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(trained.VARIABLE, f"http://127.0.0.1:{server.server_port}")
        paths = list(trained.fetch(tmp_path / "here"))
        server.shutdown()
    assert {path.name for path in paths} == {"model.keras", "model.tflite"}
    assert all(path.read_bytes() == (FOLDER / NAME / path.name).read_bytes() for path in paths)
    assert [fault for _, fault in trained.verify(tmp_path / "here")] == [None, None]


def test_a_file_with_another_hash_is_not_written_and_verify_says_so(copy, tmp_path):
    path = copy / NAME / "model.tflite"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(KerasVisionError, match="another hash"):
        list(trained.fetch(tmp_path / "here", address=copy.as_uri()))
    assert not (tmp_path / "here" / NAME / "model.tflite").exists()
    assert not (tmp_path / "here/manifest.json").exists()
    path.write_bytes(content[:-1])
    found = {file.name: fault for file, fault in trained.verify(copy)}
    assert found["model.keras"] is None
    assert "in place of" in found["model.tflite"]
    path.unlink()
    assert {file.name: fault for file, fault in trained.verify(copy)}["model.tflite"] == "missing"


def test_an_existing_file_that_is_damaged_is_replaced_and_a_whole_one_stays(copy, tmp_path):
    here = tmp_path / "here" / NAME
    here.mkdir(parents=True)
    (here / "model.tflite").write_bytes(b"half")
    shutil.copy2(FOLDER / NAME / "model.keras", here / "model.keras")
    before = (here / "model.keras").stat().st_ino
    list(trained.fetch(tmp_path / "here", [NAME], copy.as_uri()))
    assert (here / "model.keras").stat().st_ino == before
    assert (here / "model.tflite").read_bytes() == (FOLDER / NAME / "model.tflite").read_bytes()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("[]", "holds no object"),
        ("{", "cannot be read"),
        ('{"a": {}}', "entry of a is damaged"),
        ('{"a": {"files": {"../b": {"sha256": "", "bytes": 1}}}}', "not below its folder"),
        ('{"..": {"files": {"b": {"sha256": "", "bytes": 1}}}}', "not below its folder"),
        ('{"a": {"files": {"b": {"sha256": "", "bytes": 99999999}}}}', "at most"),
    ],
)
def test_damaged_and_hostile_manifests_are_one_clear_error(manifest, message, tmp_path):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(KerasVisionError, match=message):
        list(trained.fetch(tmp_path / "here", address=tmp_path.as_uri()))
    assert not (tmp_path / "here/manifest.json").exists()


def test_other_addresses_and_unknown_names_are_refused(monkeypatch, tmp_path):
    with pytest.raises(KerasVisionError, match="no trained model is called 'none'"):
        list(trained.fetch(tmp_path, ["none"]))
    monkeypatch.setenv(trained.VARIABLE, "ftp://example.org/models")
    with pytest.raises(KerasVisionError, match="no file, http or https"):
        list(trained.fetch(tmp_path))
    monkeypatch.setenv(trained.VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(KerasVisionError, match="cannot be read"):
        list(trained.verify())


def test_the_commands_fetch_and_verify(copy, tmp_path):
    def run(*arguments):
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)

    done = run("fetch", NAME, "--out", str(tmp_path / "here"))
    assert done.returncode == 0, done.stderr
    assert run("verify", "--folder", str(tmp_path / "here")).returncode == 0
    (tmp_path / "here" / NAME / "model.tflite").write_bytes(b"half")
    done = run("verify", "--folder", str(tmp_path / "here"))
    assert done.returncode == 1
    assert "4 bytes in place of" in done.stdout


def test_truncated_and_tampered_files_are_one_clear_error(tmp_path):
    whole = (FOLDER / NAME / "model.tflite").read_bytes()
    rng = np.random.default_rng(0)
    for number, end in enumerate([0, 1, 7, 100, 5000, len(whole) // 2]):
        (tmp_path / f"{number}.tflite").write_bytes(whole[:end])
        with pytest.raises(KerasVisionError):
            DensePredictor(tmp_path / f"{number}.tflite").predict(np.zeros((32, 32, 3), np.uint8))
    for number in range(20):  # in a process of its own: a file may bring the interpreter down
        content = bytearray(whole)
        content[int(rng.integers(0, 60))] ^= 0xFF
        (tmp_path / f"bent{number}.tflite").write_bytes(content)
    code = (
        "import sys, numpy as np; from keras_vision.runtime import DensePredictor;"
        "from keras_vision.errors import KerasVisionError\n"
        "for file in sys.argv[1:]:\n"
        "    try: DensePredictor(file).predict(np.zeros((32, 32, 3), np.uint8))\n"
        "    except KerasVisionError as error: assert file in str(error), error\n"
    )
    files = [str(file) for file in sorted(tmp_path.glob("bent*"))]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
