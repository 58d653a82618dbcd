"""The operations with the emulated CUDA core in place of the CPU's: the glue of their GPU kernels, run without a GPU.

As a plugin, `pytest -p emulated_operations`, it puts those at $EMULATED_OPERATIONS under any tests of this process.
"""

import os
from dataclasses import replace
from pathlib import Path

from keras_vision.ops.build import Library, Unit
from keras_vision.ops.crf import library

EMULATE = ("-DKV_EMULATE", "-Wno-deprecated-declarations")


def emulated_library() -> Library:
    """Registers the operations, and for the CPU the kernels that are the GPU's elsewhere."""
    core = Unit(library.CUDA / "crf.cu", ("-x", "c++", "-DKV_EMULATE"))
    glue = Unit(library.CUDA / "tensorflow_cuda.cc", EMULATE)
    operations = [Unit(library.CORE / f"tensorflow_{name}.cc", EMULATE) for name in ("filter", "dense_crf")]
    headers = (*library.library().headers, *sorted(library.CUDA.glob("*.h")))
    return replace(library.library(), name="dense_crf_emulated", units=(core, glue, *operations), headers=headers)


def pytest_configure() -> None:
    library.build = lambda _: Path(os.environ["EMULATED_OPERATIONS"])


def pytest_sessionfinish() -> None:
    loaded = {
        line.split("/")[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines() if "dense_crf" in line
    }
    print("loaded:", *loaded)
