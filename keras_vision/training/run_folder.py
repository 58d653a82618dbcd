"""The folder of a run: whose it is, where an interrupted run goes on, what a finished one leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.training.manifest import read_manifest, write_manifest
from keras_vision.training.strategy import is_chief, summed

RUN, HISTORY, METRICS, MODEL = "run.json", "history.csv", "metrics.json", "model.keras"
CHECKPOINTS, BOARD = "checkpoints", "tensorboard"


def claim(
    out: Path, settings: Mapping[str, Any], data: str, strategy: tf.distribute.Strategy, *,
    products: Sequence[str] = (), overwrite: bool = False,
) -> Path:  # fmt: skip
    """Make a folder that of a run, if it is empty, or holds the same run unfinished, or may be overwritten.

    With several machines the first does it, and the others wait and fail if it does.

    Args:
        out: the folder.
        settings: of the run, as JSON holds them.
        data: fingerprint of the images.
        strategy: where the run is.
        products: names of what it writes besides the files named above; `METRICS` last of all, as its mark.
        overwrite: remove what a run has left there.

    Returns:
        The folder for snapshots, which goes when the run has finished.

    Raises:
        KerasVisionError: a file, or a folder that holds something else, another run, or this one finished.
    """
    refused: KerasVisionError | None = None
    if is_chief(strategy):
        try:
            settings = json.loads(json.dumps(settings))
            _prepare(out, settings, data, products, overwrite)
            write_manifest(out / RUN, settings, data, strategy)
        except KerasVisionError as error:
            refused = error
        except OSError as error:
            refused = KerasVisionError(f"{out} cannot be written: {error.strerror or error}.")
    if summed(strategy, [float(refused is not None)])[0]:
        raise refused or KerasVisionError("the first machine has refused to start; its message says why.")
    return out / CHECKPOINTS


def keep(out: Path, model: Any) -> None:
    """Write the network of a run whole, or nothing."""
    with whole_file(out / MODEL, overwrite=True) as temporary:
        model.save(temporary)


def finish(out: Path, outcome: Mapping[str, Any]) -> None:
    """Write what a run has measured, which marks it as finished, and remove its snapshots."""
    with whole_file(out / METRICS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(outcome, indent=1))
    shutil.rmtree(out / CHECKPOINTS)


def _prepare(out: Path, settings: Mapping[str, Any], data: str, products: Sequence[str], overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise KerasVisionError(f"{out} is a file; give a folder.")
    if out.exists() and any(path.name[0] != "." for path in out.iterdir()) and not (out / RUN).exists():
        raise KerasVisionError(f"{out} is not empty and holds no training run; give another folder.")
    begun = any((out / CHECKPOINTS).glob("[!.]*")) or any((out / name).exists() for name in (METRICS, MODEL, *products))
    if begun and not overwrite:
        manifest = read_manifest(out / RUN)
        if (manifest["settings"], manifest["data"]) != (settings, data):
            raise KerasVisionError(
                f"{out} holds a run with other settings or other images; give another folder, or --overwrite it."
            )
        if (out / METRICS).exists():
            raise KerasVisionError(f"{out} holds this run, finished; give another folder, or --overwrite it.")
    else:
        for name in (RUN, HISTORY, METRICS, MODEL, CHECKPOINTS, BOARD, *products):
            _remove(out / name)
    (out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    for half in (out / CHECKPOINTS).glob(".*"):  # what a killed run was writing
        _remove(half)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
