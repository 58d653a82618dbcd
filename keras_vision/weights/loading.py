"""Strict loading: every array of the file has its variable and every variable its array, or the caller said so."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_vision.errors import WeightsError

KINDS = ("missing", "unexpected", "mismatched")


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of each entry.

    Attributes:
        loaded: variables that took the file's values.
        missing: variables the file has nothing for; they keep their values.
        unexpected: entries of the file that no variable takes.
        mismatched: variables whose entry has another shape, with both shapes; they keep their values.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    def problems(self, allow: Collection[str] = ()) -> list[str]:
        """One line per kind of problem that `allow` does not name."""
        lines = []
        for kind in KINDS:
            found = getattr(self, kind)
            if found and kind not in allow:
                more = f" and {len(found) - 5} more" if len(found) > 5 else ""
                lines.append(f"{len(found)} {kind}: {', '.join(found[:5])}{more}")
        return lines


def load(
    model: keras.Model, entries: Mapping[str, np.ndarray], allow: Collection[str] = (), source: str = ""
) -> LoadReport:
    """Copy arrays into a model's variables by "layer/variable" or "layer/position".

    Nothing is copied unless everything may be.

    Args:
        model: takes the values in place.
        entries: arrays by name, as the readers return them.
        allow: kinds of difference to accept: any of "missing", "unexpected", "mismatched".
        source: what to call the entries in an error, such as the file's path.

    Raises:
        WeightsError: differences of a kind that is not allowed, an unknown kind, or entries that are no finite numbers.
    """
    if unknown := set(allow) - set(KINDS):
        raise WeightsError(f"allow={sorted(unknown)}; accepted: {', '.join(KINDS)}.")
    values, report = _match(model, entries)
    if problems := report.problems(allow):
        raise WeightsError(
            f"{source or 'the weights'} do not fit {model.name}: {'; '.join(problems)}. "
            "They may belong to another network, or to other settings of this one."
        )
    for variable, array in values:
        variable.assign(array)
    return report


def _match(model: keras.Model, entries: Mapping[str, np.ndarray]) -> tuple[list[tuple[Any, np.ndarray]], LoadReport]:
    values, loaded, missing, mismatched, used = [], [], [], [], set()
    for path, key, variable in variables(model, entries):
        if key is None:
            missing.append(path)
            continue
        used.add(key)
        check_numbers(key, entries[key])
        if entries[key].shape != tuple(variable.shape):
            mismatched.append(f"{path} {entries[key].shape} for {tuple(variable.shape)}")
        else:
            loaded.append(path)
            values.append((variable, entries[key]))
    unexpected = [key for key in entries if key not in used]
    return values, LoadReport(tuple(loaded), tuple(missing), tuple(unexpected), tuple(mismatched))


def check_numbers(name: str, array: np.ndarray) -> None:
    """Refuse what cannot be weights.

    Raises:
        WeightsError: the array holds NaN or infinite values, or no floating-point numbers.
    """
    if not np.issubdtype(array.dtype, np.floating):
        raise WeightsError(f"{name} holds {array.dtype}; weights are floating-point numbers.")
    if array.size and not np.isfinite([array.min(), array.max()]).all():
        raise WeightsError(f"{name} holds NaN or infinite values; the file is damaged, or its training diverged.")


def variables(model: keras.Model, entries: Mapping[str, np.ndarray]) -> Iterable[tuple[str, str | None, Any]]:
    """Each weight of a model: its path, the key of its entry (None where there is none), and the variable."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from variables(layer, entries)
            continue
        for position, variable in enumerate(layer.weights):
            path = f"{layer.name}/{variable.name}"
            keys = (path, f"{layer.name}/{position}")
            yield path, next((k for k in keys if k in entries), None), variable
