"""The notebooks run from top to bottom with fewer and smaller steps, show pictures, and are kept without outputs."""

import base64
import io
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "colab"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CHEAP = ("03", "04", "05", "06", "08", "10")  # these train nothing, or little: less than a minute of processor time


def notebooks():
    """All notebooks as parameters; those that train for longer are slow."""
    for path in NOTEBOOKS:
        marks = () if path.stem.startswith(CHEAP) else pytest.mark.slow
        yield pytest.param(path, id=path.stem, marks=marks)


def shown(notebook):
    """The pictures that a notebook shows, as grey arrays."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", ())]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("L")) for picture in pictures]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_uses_public_names(path):
    notebook = json.loads(path.read_text())
    nbformat.validate(nbformat.from_dict(notebook))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    text = "".join(line for cell in code for line in cell["source"])
    assert "._" not in text
    assert "from keras_vision" not in text  # everything is reached through `kv`
    assert "pip" in "".join(code[0]["source"])


@pytest.mark.parametrize("path", list(notebooks()))
def test_a_notebook_runs_and_shows_pictures(path, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_NOTEBOOKS", "small")
    monkeypatch.setenv("KERAS_VISION_CHECKOUT", str(FOLDER.parent))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = shown(notebook)
    assert len(pictures) >= 1
    assert all(min(picture.shape) >= 32 and picture.std() > 5 for picture in pictures)
