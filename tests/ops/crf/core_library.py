"""The dense CRF's C++ core, compiled without TensorFlow and called through ctypes: crf.h for tests."""

import ctypes
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SOURCES = Path(find_spec("keras_vision").origin).parent / "ops/crf/core"  # found, not imported: that takes seconds
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-ffp-contract=fast", "-fvisibility=hidden", "-Wno-psabi")
UNITS = {"crf": ("crf.cc",), "plain": ("level.cc", "-DKV_LEVEL=kv_plain")}
if platform.machine() in ("x86_64", "AMD64"):
    UNITS["avx2"] = ("level.cc", "-DKV_LEVEL=kv_avx2", "-march=x86-64-v3")
    UNITS["avx512"] = ("level.cc", "-DKV_LEVEL=kv_avx512", "-march=x86-64-v4", "-mprefer-vector-width=512")

OK, INVALID, NO_MEMORY, CANCELLED = range(4)
NORMALIZATIONS = ("symmetric", "before", "after", "none")  # in the order of enum kv_normalization

Task = ctypes.CFUNCTYPE(None, c_void_p, c_int64)
ParallelFor = ctypes.CFUNCTYPE(None, c_void_p, c_int64, Task, c_void_p)
Cancelled = ctypes.CFUNCTYPE(c_int, c_void_p)


def compile_core(folder: Path, flags: Sequence[str] = FLAGS, program: Path | None = None) -> Path:
    """The core as a shared library, or linked with a program's source into an executable."""
    units = {**UNITS, "program": (str(program), f"-I{SOURCES}")} if program else UNITS

    def compiled(name: str) -> str:
        source, *own = units[name]
        execute(["g++", *flags, *own, "-c", str(SOURCES / source), "-o", f"{folder}/{name}.o"])
        return f"{folder}/{name}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, units))
    path = folder / ("program" if program else "core.so")
    execute(["g++", *flags, *([] if program else ["-shared"]), *objects, "-pthread", "-o", str(path)])
    return path


def execute(command: list[str]) -> None:
    """Runs a compiler, which must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}"


class Run(ctypes.Structure):
    """How a call runs; it holds the memory_peak afterwards."""

    _fields_ = (
        ("level", c_int32),
        ("threads", c_int32),
        ("parallel_for", ParallelFor),
        ("pool", c_void_p),
        ("cancelled", Cancelled),
        ("token", c_void_p),
        ("memory_limit", c_int64),
        ("memory_peak", c_int64),
    )


class _Kernel(ctypes.Structure):
    _fields_ = (("weight", c_float), ("theta_x", c_float), ("theta_y", c_float), ("theta_image", c_void_p))


class _Arguments(ctypes.Structure):
    """Arguments of a call, which keep their arrays alive."""

    arrays: list[Any]
    output: np.ndarray

    def point(self, **arrays: np.ndarray | None) -> None:
        """Sets pointers to arrays, which have to be C-contiguous."""
        for name, array in arrays.items():
            setattr(self, name, None if array is None else array.ctypes.data)
        self.arrays = [*getattr(self, "arrays", []), *arrays.values()]


class MeanFieldArguments(_Arguments):
    _fields_ = (
        *((name, c_int64) for name in ("batch", "height", "width", "labels", "channels")),
        ("logits", c_void_p),
        ("image", c_void_p),
        ("kernels", POINTER(_Kernel)),
        ("kernel_count", c_int32),
        ("penalties", c_void_p),
        ("iterations", c_int32),
        ("normalization", c_int32),
        ("marginals", c_void_p),
        ("kept", c_void_p),
    )


class GradientArguments(_Arguments):
    outputs: tuple[np.ndarray, ...]  # of the logits, the weights, and the penalties if there are any
    _fields_ = (
        ("forward", MeanFieldArguments),
        ("marginals_gradient", c_void_p),
        ("logits_gradient", c_void_p),
        ("weights_gradient", c_void_p),
        ("penalties_gradient", c_void_p),
    )


class FilterArguments(_Arguments):
    _fields_ = (
        *((name, c_int64) for name in ("batch", "points", "channels", "dimensions")),
        ("values", c_void_p),
        ("features", c_void_p),
        ("reverse", c_int32),
        ("filtered", c_void_p),
    )


Arguments = MeanFieldArguments | GradientArguments | FilterArguments


class Kernel(NamedTuple):
    """A Gaussian kernel; theta is (x, y) or one number for both, theta_image one number for each channel, or None."""

    weight: float
    theta: float | tuple[float, float]
    theta_image: Sequence[float] | None = None


class CoreError(Exception):
    """A call that returned another status than KV_OK."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"status {status}: {message}")
        self.status, self.message = status, message


def mean_field_arguments(
    logits: np.ndarray,
    image: np.ndarray | None = None,
    kernels: Sequence[Kernel] = (),
    penalties: np.ndarray | None = None,
    iterations: int = 5,
    normalization: str = "symmetric",
    keep: bool = False,
) -> MeanFieldArguments:
    """Arguments for logits (h, w, labels) and an image (h, w, channels), or for a batch of them."""
    arguments = MeanFieldArguments(iterations=iterations, normalization=NORMALIZATIONS.index(normalization))
    logits = np.ascontiguousarray(logits, np.float32)
    arguments.output = np.full_like(logits, -1)
    arguments.batch, arguments.height, arguments.width, arguments.labels = (1, *logits.shape)[-4:]
    if image is not None:
        image = np.ascontiguousarray(image, np.float32)
        assert image.shape[:-1] == logits.shape[:-1]
        arguments.channels = image.shape[-1]
    if penalties is not None:
        penalties = np.ascontiguousarray(penalties, np.float32)
    arguments.point(logits=logits, image=image, penalties=penalties, marginals=arguments.output)
    if keep:
        batch, *shape = (1, *logits.shape)[-4:]
        arguments.point(kept=np.full((batch, iterations, *shape), np.nan, np.float32))
    arguments.kernel_count = len(kernels)
    arguments.kernels = (_Kernel * len(kernels))()
    for kernel, (weight, theta, theta_image) in zip(arguments.kernels, kernels, strict=False):
        kernel.weight = weight
        kernel.theta_x, kernel.theta_y = theta if isinstance(theta, tuple) else (theta, theta)
        if theta_image is not None:
            arguments.arrays.append(array := np.array(theta_image, np.float32))
            assert image is None or len(array) == image.shape[-1]
            kernel.theta_image = array.ctypes.data
    return arguments


def gradient_arguments(forward: MeanFieldArguments, marginals_gradient: np.ndarray) -> GradientArguments:
    """Arguments for the gradient of a call that was made, given the gradient of its marginals."""
    arguments = GradientArguments(forward=forward)
    marginals_gradient = np.ascontiguousarray(marginals_gradient, np.float32)
    assert marginals_gradient.shape == forward.output.shape
    labels = forward.labels if forward.penalties else 0
    shapes = (marginals_gradient.shape, (forward.kernel_count,), (labels, labels))
    arguments.outputs = tuple(np.full(shape, np.nan, np.float32) for shape in shapes)
    logits, weights, penalties = arguments.outputs
    arguments.output = logits
    arguments.point(
        marginals_gradient=marginals_gradient,
        logits_gradient=logits,
        weights_gradient=weights,
        penalties_gradient=penalties if labels else None,
    )
    arguments.arrays.append(forward)
    return arguments


def filter_arguments(values: np.ndarray, features: np.ndarray, reverse: bool = False) -> FilterArguments:
    """Arguments for values (points, channels) and features (points, dimensions), or for a batch of them."""
    values, features = (np.ascontiguousarray(array, np.float32) for array in (values, features))
    assert values.shape[:-1] == features.shape[:-1]
    arguments = FilterArguments(dimensions=features.shape[-1], reverse=reverse)
    arguments.output = np.full_like(values, np.nan)
    arguments.batch, arguments.points, arguments.channels = (1, *values.shape)[-3:]
    arguments.point(values=values, features=features, filtered=arguments.output)
    return arguments


class Core:
    """The functions of the compiled library."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.functions = {
            MeanFieldArguments: library.kv_mean_field,
            GradientArguments: library.kv_mean_field_gradient,
            FilterArguments: library.kv_permutohedral_filter,
        }
        for kind, function in self.functions.items():
            function.argtypes = [POINTER(kind), POINTER(Run), c_char_p, c_int64]
        library.kv_available_memory.restype = c_int64
        self.best_level = library.kv_best_level()
        self.available_memory = library.kv_available_memory

    def call(self, arguments: Arguments, run: Run | None = None) -> np.ndarray:
        """The output, or CoreError."""
        message = ctypes.create_string_buffer(b"unset", 512)
        status = self.functions[type(arguments)](byref(arguments), run and byref(run), message, len(message))
        if status != OK:
            raise CoreError(status, message.value.decode())
        assert message.value == b""
        return arguments.output

    def mean_field(self, *arguments: Any, run: Run | None = None, **options: Any) -> np.ndarray:
        """As mean_field_arguments; gives the marginals."""
        return self.call(mean_field_arguments(*arguments, **options), run)

    def gradient(
        self, marginals_gradient: np.ndarray, *arguments: Any, run: Run | None = None, **options: Any
    ) -> tuple[np.ndarray, ...]:
        """Of mean_field: of the logits, the kernels' weights and the penalties."""
        forward = mean_field_arguments(*arguments, **options)
        self.call(forward, run)
        given = gradient_arguments(forward, marginals_gradient)
        self.call(given, run)
        return given.outputs

    def permutohedral_filter(self, *arguments: Any, run: Run | None = None, **options: Any) -> np.ndarray:
        """As filter_arguments; gives the filtered values."""
        return self.call(filter_arguments(*arguments, **options), run)


def check_refused(core: Core, arguments: Arguments, word: str, run: Run | None = None) -> None:
    """The call is refused as invalid, with a message that has the word."""
    import pytest  # which a benchmark that uses this file does without

    with pytest.raises(CoreError) as raised:
        core.call(arguments, run)
    assert raised.value.status == INVALID
    assert word in raised.value.message.lower()
