"""All that training needs to go on as if nothing had interrupted it, in a file that is written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file

_META = "meta"
_COUNTED: Mapping[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}

Arrays = dict[str, np.ndarray]
Counts = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where training is.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the epoch after them.
        history: the metrics of each finished epoch.
        stopped: a callback has ended training.
    """

    epoch: int = 0
    step: int = 0
    history: tuple[dict[str, float], ...] = ()
    stopped: bool = False


def arrays_of(model: keras.Model) -> Arrays:
    """The values of all variables: of the layers with their random states, of the optimizer, of the metrics."""
    return {name: np.asarray(variable) for name, variable in _variables(model).items()}


def save(path: Path, arrays: Arrays, place: Place, counts: Sequence[Counts], replicas: int) -> None:
    """Write a snapshot, with what `counts_of` each callback, in the place of the one before.

    Raises:
        KerasVisionError: a variable is not finite, or the file cannot be written; the snapshot before stays.
    """
    for name, array in arrays.items():
        if not name.startswith("metrics/") and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise KerasVisionError(
                f"variable {name} is not finite in epoch {place.epoch + 1} after step {place.step}; {path} keeps the "
                "last that was. Lower the learning rate, or clip the gradients."
            )
    meta = dict(place=dataclasses.asdict(place), callbacks=counts, replicas=replicas)
    encoded = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        with whole_file(path, overwrite=True) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{_META: encoded}, **arrays)
    except OSError as error:
        raise KerasVisionError(
            f"{path}: {error.strerror or error}; training stops, and the snapshot before is as it was. Make room, "
            "then give the same command."
        ) from error


def load(path: Path, model: keras.Model, callbacks: Sequence[Any], replicas: int) -> Place:
    """Set the model, its optimizer and the callbacks to what a snapshot holds.

    Raises:
        KerasVisionError: damaged, of another model or optimizer, or of training on another number of replicas.
    """
    arrays, meta = _read(path)
    if meta["replicas"] != replicas:
        raise KerasVisionError(
            f"{path} is of training on {meta['replicas']} replicas, and there are {replicas} now; the batches would be "
            "others. Use as many, or remove the file to start anew."
        )
    variables = _variables(model)
    for name in {*variables, *arrays}:
        here = tuple(variables[name].shape) if name in variables else None
        there = arrays[name].shape if name in arrays else None
        if here != there:
            raise KerasVisionError(
                f"{path} is of another model or optimizer: variable {name} has the shape {there} there and {here} "
                "here. Give another file, or remove it to start anew."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    for callback, counts in zip(callbacks, meta["callbacks"], strict=False):
        if counts["name"] == type(callback).__name__:
            vars(callback).update(counts["values"])
    place = meta["place"]
    return Place(place["epoch"], place["step"], tuple(place["history"]), place["stopped"])


def _read(path: Path) -> tuple[Arrays, Mapping[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(_META).tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise KerasVisionError(f"{path} is no snapshot of training ({error}); remove it to start anew.") from error


def _variables(model: keras.Model) -> dict[str, Any]:
    """By their order: names hold numbers that Keras counts up, and differ from process to process."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}
    metrics = {id(variable) for variable in model.metrics_variables}
    return {
        f"{group}/{number}": variable
        for group, of in groups.items()
        for number, variable in enumerate(v for v in of if group == "metrics" or id(v) not in metrics)
    }


def counts_of(callback: Any) -> Counts:
    """What a callback has counted, which Keras has no way to save: of its own callbacks, and of those that say so.

    Another callback names the attributes that are to go on in `counted`; they are numbers, strings or None.
    """
    names = next((counted for kind, counted in _COUNTED.items() if isinstance(callback, kind)), ())
    names = getattr(callback, "counted", names)
    values = {name: getattr(callback, name) for name in names}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return dict(name=type(callback).__name__, values=plain)
