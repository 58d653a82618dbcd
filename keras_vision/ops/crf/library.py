"""The compiled operations: built on the first call, loaded once a process."""

from __future__ import annotations

import functools
import platform
import threading
from pathlib import Path
from typing import Any

from keras_vision.ops.build import Library, Unit, build

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
        units=(*levels, Unit(CORE / "crf.cc"), Unit(CORE / "tensorflow.cc")),
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

    @tf.RegisterGradient("KerasVisionPermutohedralFilter")
    def _transposed(op: Any, gradient: Any) -> tuple[Any, None]:
        """The filter is linear in the values: their gradient goes through the transposed filter."""
        reverse, level = not op.get_attr("reverse"), op.get_attr("level")
        features = op.inputs[1]
        return module.keras_vision_permutohedral_filter(gradient, features, reverse=reverse, level=level), None

    return module
