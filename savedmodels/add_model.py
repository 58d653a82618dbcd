"""Puts a finished run among the models of this folder: LiteRT file, weights, card, and an entry in manifest.json.

    python savedmodels/add_model.py RUN NAME --started-from TEXT --terms TEXT --machine TEXT [--command TEXT --data D]

RUN is the folder of `keras-vision recipes run`; of other trainings, say the command and the data. Of a network with
early exits it holds stages/, whose files take the place of the LiteRT file. Run by hand; read the difference before
committing it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np

import keras_vision.zoo  # noqa: F401  # what files hold is known by its names
from keras_vision.export import to_litert
from keras_vision.files import whole_file
from keras_vision.runtime import StagedPredictor
from keras_vision.training.recipes.branchynet import STAGES
from keras_vision.training.run_folder import METRICS, MODEL, RUN

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"
LARGEST = 8 << 20  # bytes of one file


def main() -> None:
    """Copies, exports, measures the sizes and writes the manifest last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    for key in ("started-from", "terms", "machine"):
        parser.add_argument(f"--{key}", required=True)
    for key in ("command", "data"):
        parser.add_argument(f"--{key}")
    given = parser.parse_args()
    folder = FOLDER / given.name
    folder.mkdir(exist_ok=True)
    model = keras.models.load_model(given.run / MODEL, compile=False)
    model.save(folder / "model.keras")
    if (given.run / STAGES).is_dir():
        shutil.copytree(given.run / STAGES, folder, dirs_exist_ok=True)
        difference = staged_difference(model, folder)
    else:
        difference = to_litert(model, folder / "model.tflite", overwrite=True).max_difference
    entry = described(given, model, difference)
    entry["files"] = {path.name: _file(path) for path in sorted(folder.iterdir())}
    known = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    with whole_file(MANIFEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dict(sorted((known | {given.name: entry}).items())), indent=1) + "\n")


def staged_difference(model: keras.Model, folder: Path) -> float:
    """Between the last exit's probabilities of the files and of the model, on random images."""
    images = np.random.default_rng(0).random((16, *model.inputs[0].shape[1:]), np.float32)
    staged = StagedPredictor(folder)
    found = StagedPredictor(folder, thresholds=[0.0] * len(staged.thresholds)).run(images).probabilities
    return float(np.abs(found - np.asarray(keras.tree.flatten(model(images, training=False))[0])).max())


def described(given: argparse.Namespace, model: keras.Model, difference: float) -> dict:
    """Where the model comes from, what it reaches, and how it was made."""
    run, metrics = (json.loads((given.run / name).read_text()) for name in (RUN, METRICS))
    settings = run["settings"]
    for lengthy in ("result", "curve"):
        metrics.pop(lengthy, None)
    start = settings.get("start")
    command = given.command or f"keras-vision recipes run {settings['name']} DATA OUT" + (
        f" --set start={Path(start).name}" if start else ""
    )
    return {
        "task": model.card.task,
        "model": settings["model"],
        "parameters": model.count_params(),
        "started_from": given.started_from,
        "data": given.data or settings["data"],
        "terms": given.terms,
        "command": command,
        "training_minutes": minutes(given.run),
        "machine": given.machine,
        "versions": run["starts"][-1]["versions"],
        "metrics": metrics,
        "litert_difference": difference,
    }


def minutes(run: Path) -> float | None:
    """Of training, by the histories of the run; None where they keep no times."""
    seconds = []
    for history in run.glob("history*.csv"):
        with history.open(newline="") as stream:
            seconds += [float(row["seconds"]) for row in csv.DictReader(stream) if "seconds" in row]
    return round(sum(seconds) / 60, 1) if seconds else None


def _file(path: Path) -> dict:
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST:,}.")
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}


if __name__ == "__main__":
    main()
