"""Puts a finished run among the models of this folder: LiteRT file, weights, card, and an entry in manifest.json.

    python savedmodels/add_model.py RUN NAME --started-from TEXT --terms TEXT --machine TEXT

RUN is the folder of `keras-vision recipes run`. Run by hand; read the difference before committing it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import keras

import keras_vision.zoo  # noqa: F401  # what files hold is known by its names
from keras_vision.export import to_litert
from keras_vision.files import whole_file
from keras_vision.training.run_folder import METRICS, MODEL, RUN

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"
LARGEST = 6 << 20  # bytes of one file


def main() -> None:
    """Copies, exports, measures the sizes and writes the manifest last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    for key in ("started-from", "terms", "machine"):
        parser.add_argument(f"--{key}", required=True)
    given = parser.parse_args()
    folder = FOLDER / given.name
    folder.mkdir(exist_ok=True)
    model = keras.models.load_model(given.run / MODEL, compile=False)
    model.save(folder / "model.keras")
    parity = to_litert(model, folder / "model.tflite", overwrite=True)
    entry = described(given, model, parity.max_difference)
    entry["files"] = {path.name: _file(path) for path in sorted(folder.iterdir())}
    known = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    with whole_file(MANIFEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dict(sorted((known | {given.name: entry}).items())), indent=1) + "\n")


def described(given: argparse.Namespace, model: keras.Model, difference: float) -> dict:
    """Where the model comes from, what it reaches, and how it was made."""
    run, metrics = (json.loads((given.run / name).read_text()) for name in (RUN, METRICS))
    settings = run["settings"]
    metrics.pop("result", None)
    rows = (given.run / "history.csv").read_text().splitlines()
    start = settings.get("start")
    command = f"keras-vision recipes run {settings['name']} DATA OUT" + (
        f" --set start={Path(start).name}" if start else ""
    )
    seconds = sum(float(row.split(",")[rows[0].split(",").index("seconds")]) for row in rows[1:])
    return {
        "task": model.card.task,
        "model": settings["model"],
        "parameters": model.count_params(),
        "started_from": given.started_from,
        "data": settings["data"],
        "terms": given.terms,
        "command": command,
        "training_minutes": round(seconds / 60, 1),
        "machine": given.machine,
        "versions": run["starts"][-1]["versions"],
        "metrics": metrics,
        "litert_difference": difference,
    }


def _file(path: Path) -> dict:
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST:,}.")
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}


if __name__ == "__main__":
    main()
