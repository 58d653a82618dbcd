"""Models as a user names them on the command line: a model's name, or a `.keras` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.model import VisionModel

DEFAULT = "default"  # of --weights: what the model's own constructor takes


def parse_weights(weights: str) -> dict[str, Any]:
    """The constructor's keyword for what follows `--weights`."""
    return {} if weights == DEFAULT else {"weights": None if weights.lower() == "none" else weights}


def load_model(model: str, weights: str = DEFAULT) -> VisionModel:
    """Build a model by name, or load a `.keras` file.

    Raises:
        KerasVisionError: neither; a damaged file; or a file that no constructor of this package made.
    """
    import keras

    from keras_vision.applications import create_model
    from keras_vision.model import VisionModel
    from keras_vision.registry import find

    path = Path(model)
    if path.suffix != ".keras":
        if path.exists():
            raise KerasVisionError(f"{model}: expected a model's name, or a .keras file.")
        if weights == DEFAULT and not find(model).weights:
            raise KerasVisionError(f"{find(model).name} has no public weights; give --weights FILE, or --weights none.")
        return create_model(model, **parse_weights(weights))
    if weights != DEFAULT:
        raise KerasVisionError(f"{model} brings its own weights; leave --weights out.")
    if not path.is_file():
        raise KerasVisionError(f"{model}: no such file.")
    try:
        loaded = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds on a damaged archive
        raise KerasVisionError(f"{model}: damaged, or not a Keras model file ({error}).") from error
    if not isinstance(loaded, VisionModel):
        raise KerasVisionError(f"{model} was not made by keras_vision, so nothing says how to prepare its images.")
    return loaded


def read_labels(file: Path | None) -> list[str] | None:
    """Class names, one per line.

    Raises:
        KerasVisionError: the file cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KerasVisionError(f"{file}: cannot be read as a list of labels ({error}).") from error
