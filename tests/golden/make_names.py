"""Writes names/<Model>.txt, the weights of each model at its default size, and the package's catalogue of models.

One line "layer/variable shape" per weight. Run by hand after a deliberate change, for all models or those named, and
read the difference: `python tests/golden/make_names.py [NAME...]`.
"""

import importlib.resources
import json
import sys
from pathlib import Path

import keras_vision as kv
from keras_vision.model import VisionModel
from keras_vision.registry import CATALOGUE, catalogue_entry
from keras_vision.weights.loading import variables

FOLDER = Path(__file__).with_name("names")


def lines(model: VisionModel) -> list[str]:
    """The weights of a model in the order of its layers."""
    return [f"{path} {tuple(variable.shape)}" for path, _, variable in variables(model, {})]


def main() -> None:
    """Replaces the files of the models named on the command line, by default of all, and removes what is left over."""
    names = kv.list_models()
    file = importlib.resources.files("keras_vision").joinpath(CATALOGUE)
    old = json.loads(file.read_text()) if file.is_file() else {}
    new = {}
    for name in sys.argv[1:] or names:
        model = kv.create_model(name, weights=None)
        new[name] = catalogue_entry(model.card)
        (FOLDER / f"{name}.txt").write_text("\n".join(lines(model)) + "\n")
        print(f"names/{name}.txt")
    for path in FOLDER.glob("*.txt"):
        if path.stem not in names:
            path.unlink()
    entries = {name: (old | new)[name] for name in names}
    rows = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    Path(str(file)).write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
