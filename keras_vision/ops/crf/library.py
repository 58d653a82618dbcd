"""The compiled operations: built on the first call, loaded once a process."""

from __future__ import annotations

import functools
import platform
import threading
from pathlib import Path
from typing import Any

from keras_vision.ops.build import Library, Unit, build
from keras_vision.ops.crf.gradient import register

CORE = Path(__file__).parent / "core"
LEVELS = {"best": 0, "plain": 1, "avx2": 2, "avx512": 3}  # enum kv_level of crf.h
_lock = threading.Lock()


def library() -> Library:
    """What is compiled: the computations for each level of instructions, the C interface, TensorFlow's operations."""
    # -march by level; on other machines than x86-64 the compiler's default has all vectors there are.
    march: dict[str, tuple[str, ...]] = {"plain": ()}
    if platform.machine() in ("x86_64", "AMD64"):
        march = {
            "avx512": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
            "avx2": ("-march=x86-64-v3",),
            "plain": (),
        }
    levels = [Unit(CORE / "level.cc", (f"-DKV_LEVEL=kv_{name}", *flags), name) for name, flags in march.items()]
    return Library(
        name="dense_crf",
        units=(*levels, *(Unit(CORE / f"{name}.cc") for name in ("crf", "tensorflow_filter", "tensorflow_dense_crf"))),
        headers=tuple(sorted(CORE.glob("*.h"))),
        tensorflow=True,
        flags=("-std=c++17", "-O3", "-fPIC", "-ffp-contract=fast", "-fvisibility=hidden", "-Wno-psabi"),
        link_flags=("-pthread",),
    )


def operations() -> Any:
    """TensorFlow's module of the operations, compiled if this machine has not done so before (half a minute).

    Raises:
        BuildError: there is no compiler, or it fails, or the result cannot be kept.
    """
    with _lock:
        return _load()


@functools.cache
def _load() -> Any:
    import tensorflow as tf

    module = tf.load_op_library(str(build(library())))
    register(module)
    return module
