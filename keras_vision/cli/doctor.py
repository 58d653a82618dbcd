"""`keras-vision doctor`: what is installed, and whether the parts work together."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

PACKAGES = (
    "keras-vision",
    "tensorflow",
    "keras",
    "numpy",
    "ai-edge-litert",
    "pillow",
    "h5py",
    "scikit-learn",
    "jax",
    "torch",
)


def doctor(
    build: Annotated[bool, typer.Option("--build", help="Compile the operations in C++ anew, and try them.")] = False,
) -> None:
    """Versions, devices and folders, and one export run as a check. Exits 1 if a check fails."""
    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        try:
            table.add_row(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(package, "[dim]not installed[/]")
    console.print(table)
    problems = 0
    checks = [("backend", _backend), ("weights", _weights), ("compiler", _compiler), ("export", _export)]
    if build:
        checks.append(("dense_crf", _dense_crf))
    for what, check in checks:
        try:
            console.print(f"[green]ok[/]    {what}: {check()}", soft_wrap=True)
        except Exception as error:  # a broken installation fails in any way
            problems += 1
            console.print(f"[red]fails[/] {what}: ", end="")
            console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def _backend() -> str:
    import keras

    gpus = keras.distribution.list_devices("gpu")
    return f"keras on {keras.backend.backend()}; CPU cores: {os.cpu_count()}, GPUs: {len(gpus)}"


def _weights() -> str:
    from keras_vision.weights import home

    found = sorted(p.name for p in home().glob("*")) if home().is_dir() else []
    return f"{home()} (KERAS_VISION_HOME) holds {', '.join(found) or 'nothing yet'}"


def _compiler() -> str:
    from keras_vision.ops import compiler
    from keras_vision.ops.build import cache_folder

    found = compiler.find() or "none found: operations in C++ run as their slow references"
    return f"{found}; compiled operations in {cache_folder()} (KERAS_VISION_CACHE)"


def _dense_crf() -> str:
    import time

    import numpy as np

    from keras_vision.ops import dense_crf
    from keras_vision.ops.build import build
    from keras_vision.ops.crf.library import library

    start = time.perf_counter()
    path = build(library(), force=True)
    took = time.perf_counter() - start
    rng = np.random.default_rng(0)
    logits, image = rng.normal(size=(1, 24, 32, 3)), rng.uniform(0, 255, (1, 24, 32, 3))
    ours, reference = (dense_crf(logits, image, iterations=1, impl=impl) for impl in ("custom", "reference"))
    difference = float(np.abs(np.asarray(ours) - np.asarray(reference)).mean())
    if not difference < 0.05:
        raise RuntimeError(f"the compiled operation differs from its reference by {difference:.2g} on average")
    return f"compiled in {took:.0f} s as {path.name}; within {difference:.0e} of its reference on average"


def _export() -> str:
    import tempfile
    from pathlib import Path

    import numpy as np

    from keras_vision.applications import SqueezeNetV1_1
    from keras_vision.export import to_litert
    from keras_vision.runtime import Predictor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        parity = to_litert(SqueezeNetV1_1(weights=None, input_shape=(48, 48, 3), classes=10), path, uint8_input=True)
        best = Predictor(path).classify(np.zeros((48, 48, 3), np.uint8), top=1)
    return f"a LiteRT file agrees to {parity.max_difference:.0e} and runs ({len(best)} prediction)"
