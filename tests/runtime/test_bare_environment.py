"""The runtime in an environment that has only LiteRT, NumPy and Pillow, as on a small device."""

import importlib.metadata as metadata
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from PIL import Image

import keras_vision

FOLDER = Path(__file__).parents[2] / "savedmodels"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
PROGRAM = """
import importlib.util, sys
from pathlib import Path
from keras_vision.runtime import Captioner, DensePredictor, Generator, Predictor, StagedPredictor

for name in ("tensorflow", "keras", "scipy", "sklearn", "h5py", "typer", "rich"):
    assert importlib.util.find_spec(name) is None, name
folder, task, image = Path(sys.argv[1]), *sys.argv[2:]
if (folder / "exits.json").exists():
    print(*StagedPredictor(folder).predict([image]).probabilities.shape)
elif task == "captioning":
    print("caption:", *Captioner(folder / "model.tflite").caption(image).words)
elif task == "generation":
    print(*Generator(folder / "model.tflite").generate(3, seed=0).canvases.shape)
elif task == "classification":
    print(*Predictor(folder / "model.tflite").predict([image]).shape)
else:
    print(*DensePredictor(folder / "model.tflite").predict(image).shape)
"""


def needed(*names: str) -> set[str]:
    """These distributions and all that they require, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another system
            continue
        if name not in found:
            found.add(name)
            waiting += [re.match(r"[\w.-]+", line)[0] for line in requires if "extra ==" not in line]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that imports keras_vision and these three packages, and nothing else that is installed."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "keras_vision").symlink_to(Path(keras_vision.__file__).parent)
    for name in needed("ai-edge-litert", "numpy", "pillow"):
        for file in metadata.files(name) or ():
            place = site / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not place.exists():
                place.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0])
    return python


@pytest.mark.parametrize("name", MANIFEST)
def test_each_committed_model_runs_there(python, name, tmp_path):
    task = MANIFEST[name]["task"]
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "image.png")
    command = [python, "-I", "-c", PROGRAM, FOLDER / name, task, tmp_path / "image.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    starts = {"classification": ("1", "10"), "captioning": ("caption:", "a"), "generation": ("3", "16")}
    first, second = starts.get(task, ("256", "256"))
    assert done.stdout.split()[:2] == [first, second]
