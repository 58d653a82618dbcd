"""The compiled operations: built on the first call, loaded once a process.

On a machine with a GPU a second library registers their kernels for it (`keras_vision.ops.cuda` says when).
"""

from __future__ import annotations

import ctypes
import functools
import platform
import threading
import warnings
from pathlib import Path
from typing import Any

from keras_vision.errors import KerasVisionWarning
from keras_vision.ops import cuda
from keras_vision.ops.build import Library, Unit, build, cached
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf.gradient import register

CORE = Path(__file__).parent / "core"
CUDA = Path(__file__).parent / "cuda"
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


def gpu_library(toolkit: cuda.Toolkit) -> Library:
    """The operations' kernels for GPUs: the CUDA core by nvcc, and its glue. It defines no operation."""
    flags = ("-std=c++17", "-O3", "-Xcompiler=-fPIC,-fvisibility=hidden", "--threads=0", *cuda.targets())
    glue = ("-DGOOGLE_CUDA=1", "-Wno-deprecated-declarations", f"-I{toolkit.include}")
    return Library(
        name="dense_crf_gpu",
        units=(Unit(CUDA / "crf.cu", flags, program=(toolkit.nvcc,)), Unit(CUDA / "tensorflow_cuda.cc", glue)),
        headers=(*sorted(CUDA.glob("*.h")), *sorted(CORE.glob("*.h"))),
        tensorflow=True,
        flags=("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-Wno-psabi"),
        link_flags=(f"-L{toolkit.libraries}", "-lcudart_static", "-ldl", "-lrt", "-pthread"),
    )


def operations() -> Any:
    """TensorFlow's module of the operations, compiled if this machine has not done so before.

    That takes half a minute, and with kernels for GPUs some minutes.

    Raises:
        BuildError: there is no compiler, or it fails, or the result cannot be kept.
    """
    import tensorflow  # noqa: F401  # before the lock is taken: to import it can call `load_compiled`

    with _lock:
        module = _load()
        _load_for_gpus()
        return module


def load_operations() -> None:
    """Registers the package's operations with TensorFlow, compiled now if they never were on this machine.

    For `tf.saved_model.load` of a file that holds them. Where they were compiled before, `import keras_vision` does
    this itself, once TensorFlow is imported.

    Raises:
        BuildError: there is no compiler, or it fails, or the result cannot be kept.
    """
    operations()


def load_compiled() -> None:
    """As `load_operations`, of what the cache holds: nothing is compiled, and no GPU is looked for."""
    with _lock:
        if cached(library()):
            _load()
        toolkit = cuda.toolkit() if cuda.allowed() else None
        if toolkit and (path := cached(gpu_library(toolkit))):
            _register_for_gpus(path)


def available_memory() -> int:
    """Bytes that the process can still take, as the compiled operations see it.

    Raises:
        BuildError: as of `operations`.
    """
    operations()  # first: of a library that is loaded already, TensorFlow finds no operations
    function = ctypes.CDLL(str(build(library()))).kv_available_memory
    function.restype = ctypes.c_int64
    return function()


@functools.cache
def _load() -> Any:
    import tensorflow as tf

    module = tf.load_op_library(str(build(library())))
    register(module)
    return module


@functools.cache
def _load_for_gpus() -> None:
    """Registers the kernels for GPUs, where they are wanted."""
    try:
        if toolkit := cuda.wanted():
            _register_for_gpus(build(gpu_library(toolkit)))
    except BuildError as error:
        if cuda.required():
            raise
        warnings.warn(
            f"The CRF's kernels for GPUs cannot be compiled, so it runs on the CPU. To say that you want that, set "
            f"KERAS_VISION_CUDA=0. {error}",
            KerasVisionWarning,
            stacklevel=2,
        )


@functools.cache
def _register_for_gpus(path: Path) -> None:
    import tensorflow as tf

    tf.load_library(str(path))
