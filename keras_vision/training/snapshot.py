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
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
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


def arrays_of(model: keras.Model, callbacks: Sequence[Any] = ()) -> Arrays:
    """The values of all variables: of layers with their random states, optimizer, metrics, callbacks that have some."""
    arrays = {name: np.asarray(variable) for name, variable in _variables(model, callbacks).items()}
    # NumPy's files have no bfloat16; float32 holds it exactly.
    return {name: array.astype("float32") if array.dtype.kind == "V" else array for name, array in arrays.items()}


def save(path: Path, arrays: Arrays, place: Place, counts: Sequence[Counts], replicas: int, rate: float | None) -> None:
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
    meta = dict(place=dataclasses.asdict(place), callbacks=counts, replicas=replicas, rate=rate)
    encoded = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        with whole_file(path, overwrite=True) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{_META: encoded}, **arrays)
    except OSError as error:
        raise KerasVisionError(
            f"{path}: {error.strerror or error}; training stops, and the snapshot before is as it was. Make room, "
            "then give the same command."
        ) from error


def place_of(path: Path) -> Place:
    """Where training was at a snapshot.

    Raises:
        KerasVisionError: damaged.
    """
    place = _read(path)[1]["place"]
    return Place(place["epoch"], place["step"], tuple(place["history"]), place["stopped"])


def load(path: Path, model: keras.Model, callbacks: Sequence[Any], replicas: int, rate: float | None) -> None:
    """Set the model, its optimizer and the callbacks to what a snapshot holds.

    Args:
        path: of the snapshot.
        model: compiled as it was then.
        callbacks: in the same order.
        replicas: their number.
        rate: learning rate that the model is compiled with now; it stays if it was another one then. None: a schedule.

    Raises:
        KerasVisionError: damaged, of another model or optimizer, or of training on another number of replicas.
    """
    arrays, meta = _read(path)
    if meta["replicas"] != replicas:
        raise KerasVisionError(
            f"{path} is of training on {meta['replicas']} replicas, and there are {replicas} now; the batches would be "
            "others. Use as many, or remove the file to start anew."
        )
    variables = _variables(model, callbacks)
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
    if rate is not None and rate != meta["rate"]:
        model.optimizer.learning_rate = rate
    for callback, counts in zip(callbacks, meta["callbacks"], strict=False):
        if counts["name"] == type(callback).__name__:
            vars(callback).update(counts["values"])


def _read(path: Path) -> tuple[Arrays, Mapping[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(_META).tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise KerasVisionError(f"{path} is no snapshot of training ({error}); remove it to start anew.") from error


def _variables(model: keras.Model, callbacks: Sequence[Any]) -> dict[str, Any]:
    """By their order: names hold numbers that Keras counts up, and differ from process to process."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}
    groups |= {f"callback {number}": getattr(callback, "variables", ()) for number, callback in enumerate(callbacks)}
    metrics = {id(variable) for variable in model.metrics_variables}
    return {
        f"{group}/{number}": variable
        for group, of in groups.items()
        for number, variable in enumerate(v for v in of if group == "metrics" or id(v) not in metrics)
    }


def counts_of(callback: Any) -> Counts:
    """What a callback has counted, which Keras has no way to save: of its own callbacks, and of those that say so.

    Another callback names the attributes that are to go on in `counted`; they are numbers, strings or None. Keras
    variables go on that it has as `variables`.
    """
    names = next((counted for kind, counted in _COUNTED.items() if isinstance(callback, kind)), ())
    names = getattr(callback, "counted", names)
    values = {name: getattr(callback, name) for name in names}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return dict(name=type(callback).__name__, values=plain)
