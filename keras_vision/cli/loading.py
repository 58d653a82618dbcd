"""Models as a user names them on the command line: a model's name, or a `.keras` file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.model import VisionModel

DEFAULT = "default"  # of --weights: what the model's own constructor takes


def parse_weights(weights: str) -> dict[str, Any]:
    """The constructor's keyword for what follows `--weights`."""
    return {} if weights == DEFAULT else {"weights": None if weights.lower() == "none" else weights}


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """A constructor's keywords from "key=value" texts; values read as JSON, else "none", else as text.

    Raises:
        KerasVisionError: a text without "=".
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise KerasVisionError(f"--setting {pair}; give key=value, such as ceil_mode=true.")
        try:
            settings[key] = None if text.lower() == "none" else json.loads(text.lower())
        except ValueError:
            settings[key] = text
    return settings


def load_model(model: str, weights: str = DEFAULT, settings: Mapping[str, Any] | None = None) -> VisionModel:
    """Build a model by name, or load a `.keras` file.

    Args:
        model: the name or the path.
        weights: what follows `--weights`.
        settings: further keywords of the constructor.

    Raises:
        KerasVisionError: neither; a damaged file; or a file that no constructor of this package made.
    """
    from keras_vision import zoo
    from keras_vision.registry import find

    path = Path(model)
    if path.suffix != ".keras":
        if path.exists():
            raise KerasVisionError(f"{model}: expected a model's name, or a .keras file.")
        entry = find(model)
        if weights == DEFAULT and entry.default_weights is None:
            names = "".join(f" --weights {file.name}," for file in entry.weights)
            raise KerasVisionError(
                f"{entry.name} has no weights by default; give --weights FILE,{names} or --weights none."
            )
        return zoo.create_model(model, **{**parse_weights(weights), **(settings or {})})
    if weights != DEFAULT:
        raise KerasVisionError(f"{model} brings its own weights; leave --weights out.")
    if settings:
        raise KerasVisionError(f"{model} brings its own settings; leave {', '.join(settings)} out.")
    return zoo.load_model(path)


def read_labels(file: Path | None) -> list[str] | None:
    """Class names, one per line.

    Raises:
        KerasVisionError: the file cannot be read.
    """
    if file is None:
        return None
    try:
        text = file.read_bytes().decode("utf-8-sig").replace("\r", "").removesuffix("\n")
        return text.split("\n") if text else []  # `str.splitlines` would also break names at a few rare letters
    except (OSError, UnicodeDecodeError) as error:
        raise KerasVisionError(f"{file}: cannot be read as a list of labels ({error}).") from error
