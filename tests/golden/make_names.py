"""Writes names/<Model>.txt: one line "layer/variable shape" per weight of each model at its default size.

Run by hand after a deliberate change of names, and read the difference: `python tests/golden/make_names.py`.
"""

from pathlib import Path

import keras_vision as kv
from keras_vision.weights.loading import variables

FOLDER = Path(__file__).with_name("names")


def lines(name: str) -> list[str]:
    """The weights of a model in the order of its layers."""
    model = kv.create_model(name, weights=None)
    return [f"{path} {tuple(variable.shape)}" for path, _, variable in variables(model, {})]


def main() -> None:
    """Replaces every file."""
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name in kv.list_models():
        (FOLDER / f"{name}.txt").write_text("\n".join(lines(name)) + "\n")
        print(f"names/{name}.txt")


if __name__ == "__main__":
    main()
