"""Every model of the zoo as LiteRT files: size, latency and agreement; writes the tables of README and of benchmarks.

    python benchmarks/litert_models.py --calibrate PHOTOGRAPHS [--models NAME ...] [--minutes 60]

Models come from the cheapest to the dearest and are measured once: what is known is in litert_models.json, from which
the tables are written after each. Weights are random, but for SqueezeNet, where --data has the authors'. A form's
milliseconds are of one image with 2 threads, the median of calls to all forms in turn. Agreement is the share of
photographs, of maps the share of pixels, to which the int8 file and the Keras model give the same class, on photographs
that were not calibrated on; of random weights it says little, as their answers lie close together.
"""

import argparse
import datetime
import gc
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from litert import IMAGES, THREADS, built, exported, times

from keras_vision.export import contents
from keras_vision.export.parity import measure
from keras_vision.export.running import both_outputs
from keras_vision.files import whole_file
from keras_vision.registry import catalogue
from keras_vision.runtime import list_images, open_image

FOUND = Path(__file__).with_suffix(".json")
PAGES = {  # columns of each table
    Path(__file__).parents[1] / "README.md": ("float32", "dynamic", "int8"),
    Path(__file__).parent / "README.md": ("float32", "float16", "dynamic", "int8"),
}
MARKS = "<!-- litert_models.py -->\n", "<!-- end -->\n"
OPEN = {"DeepLab": (161, 161, 3), "FCN": (240, 320, 3), "HED": (240, 320, 3)}  # sizes of what takes any
TIMED, CHECKED = 15, 40
MUCH, FEW = 4e9, 20  # multiply-adds above which this many photographs calibrate


def measured(name: str, data: Path, photographs: Path) -> dict[str, Any]:
    """Forms with their MiB and milliseconds, agreement, and what int8 leaves in floating point."""
    entry = catalogue()[name]
    shape = tuple(entry["input"])
    if None in shape:
        shape = next(size for family, size in OPEN.items() if name.startswith(family))
    keras.utils.set_random_seed(0)
    model = built(name, data, input_shape=shape)
    dear = (entry["multiply_adds"] or MUCH) >= MUCH
    with tempfile.TemporaryDirectory() as folder:
        files = exported(model, Path(folder), photographs, images=FEW if dear else IMAGES)
        taken = times(files, model, TIMED)
        found = dict(
            input="x".join(map(str, shape)),
            forms={f: [round(path.stat().st_size / 2**20, 3), round(taken[f], 3)] for f, path in files.items()},
            cpu=processor(),
            date=f"{datetime.date.today():%Y-%m-%d}",
        )
        if "int8" in files:
            found["agreement"] = agreement(model, files["int8"], photographs, FEW if dear else CHECKED)
            found["islands"] = dict(contents(files["int8"]).islands)
    return found


def agreement(model: keras.Model, path: Path, photographs: Path, count: int) -> float | None:
    """Share of equal answers on photographs between those that were calibrated on."""
    files = list(list_images([photographs]))
    seen = set(np.linspace(0, len(files) - 1, IMAGES).round().astype(int))
    others = [file for place, file in enumerate(files) if place not in seen][:count]
    images = [model.preprocessing(open_image(file))[None] for file in others]
    return measure(*both_outputs(model, path, images, in_graph=False), model.card, path.name).agreement


def processor() -> str:
    """What Linux calls it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def table(found: dict[str, Any], forms: tuple[str, ...]) -> str:
    """Markdown, in the order of the catalogue."""
    rows = [("model", "input", *(f"{form}: MiB, ms" for form in forms), "int8 agrees", "int8's floating point")]
    rows.append(("---", "---", *("---:" for _ in forms), "---:", "---"))
    for name in (name for name in catalogue() if name in found):
        own = found[name]
        cells = (f"{own['forms'][f][0]:.3g}, {own['forms'][f][1]:.3g}" if f in own["forms"] else "–" for f in forms)
        same = own.get("agreement")
        islands = ", ".join(f"{count} {op}" for op, count in own.get("islands", {}).items()) or "–"
        rows.append((f"`{name}`", own["input"], *cells, "–" if same is None else f"{same:.0%}", islands))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(found: dict[str, Any]) -> None:
    """What is known, and the tables."""
    with whole_file(FOUND, overwrite=True) as temporary:
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
        temporary.write_text(f"{{\n{lines}\n}}\n")
    machines = sorted({own["cpu"] for own in found.values()})
    for page, forms in PAGES.items():
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0])
        _, after = rest.split(MARKS[1])
        known = f"{len(found)} of {len(catalogue())} models"
        note = f"\n{known}; one image, {THREADS} threads, on: {'; '.join(machines)}.\n"
        with whole_file(page, overwrite=True) as temporary:
            temporary.write_text(f"{before}{MARKS[0]}\n{table(found, forms)}{note}{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--calibrate", type=Path, required=True)
    parser.add_argument("--models", nargs="*", help="these, also if they are known; default: all that are not")
    parser.add_argument("--minutes", type=float, default=1e9, help="no model is begun after them")
    given = parser.parse_args()
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    cost = {name: entry["multiply_adds"] or 1e10 for name, entry in catalogue().items()}
    began = time.monotonic()
    for name in given.models or sorted(set(cost) - set(found), key=cost.__getitem__):
        if time.monotonic() - began > 60 * given.minutes:
            break
        found[name] = measured(name, given.data, given.calibrate)
        write(found)
        print(name, found[name], flush=True)
        keras.backend.clear_session(free_memory=True)
        gc.collect()
    write(found)


if __name__ == "__main__":
    main()
