"""The dense CRF's CUDA core, its kernels as loops on the CPU, called through ctypes: crf_cuda.h for tests."""

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int64, c_void_p
from pathlib import Path

import numpy as np
from core_library import (
    OK,
    SOURCES,
    Arguments,
    Cancelled,
    Core,
    CoreError,
    FilterArguments,
    GradientArguments,
    MeanFieldArguments,
    execute,
)

CUDA = SOURCES.parent / "cuda"
EMULATED = ("-std=c++17", "-fPIC", "-shared", "-ffp-contract=fast", "-fvisibility=hidden", "-x", "c++", "-DKV_EMULATE")

Allocate = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_int64)


def compile_emulation(folder: Path, flags: Sequence[str] = ("-O2", "-Wall", "-Wextra", "-Werror")) -> Path:
    """The CUDA core for machines without a GPU, as a shared library."""
    path = folder / "emulation.so"
    execute(["g++", *EMULATED, *flags, str(CUDA / "crf.cu"), "-o", str(path)])
    return path


def compile_for_gpus(nvcc: str, folder: Path, architectures: Sequence[int]) -> Path:
    """The CUDA core for GPUs of several architectures, and for later ones through the last one's PTX."""
    path = folder / "cuda.so"
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    targets.append("-gencode=arch=compute_{0},code=compute_{0}".format(architectures[-1]))
    flags = [
        "-std=c++17",
        "-O3",
        "-Xcompiler=-fPIC,-fvisibility=hidden",
        "-shared",
        "--threads=2",
        "-Werror=all-warnings",
    ]
    execute([nvcc, *flags, *targets, str(CUDA / "crf.cu"), "-o", str(path)])
    return path


class CudaRun(ctypes.Structure):
    _fields_ = (
        ("stream", c_void_p),
        ("allocate", Allocate),
        ("allocator", c_void_p),
        ("cancelled", Cancelled),
        ("token", c_void_p),
    )


class Allocator:
    """Memory full of NaN, until a number of calls is reached; afterwards none.

    Attributes:
        blocks: what was given.
    """

    def __init__(self, most: float = float("inf")) -> None:
        self.most, self.blocks = most, []

    def __call__(self, _: object, size: int) -> int | None:
        if len(self.blocks) >= self.most:
            return None
        self.blocks.append(np.full(size, 0xFF, np.uint8))
        return self.blocks[-1].ctypes.data

    @property
    def bytes(self) -> int:
        return sum(block.size for block in self.blocks)


class CudaCore(Core):
    """The functions of the CUDA core's library, emulated or not, with Core's methods."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.functions = {
            MeanFieldArguments: library.kv_cuda_mean_field,
            GradientArguments: library.kv_cuda_mean_field_gradient,
            FilterArguments: library.kv_cuda_permutohedral_filter,
        }
        for kind, function in self.functions.items():
            function.argtypes = [POINTER(kind), POINTER(CudaRun), c_char_p, c_int64]

    def call(
        self,
        arguments: Arguments,
        run: None = None,
        stream: int = 0,
        allocator: Callable[[object, int], int | None] | None = None,
        cancelled: Callable[[object], bool] | None = None,
    ) -> np.ndarray:
        """The output, or CoreError. The emulation's stream 0 runs threads forwards, 1 backwards, others mix them."""
        message = ctypes.create_string_buffer(b"unset", 512)
        memory = Allocate(allocator or Allocator())
        options = CudaRun(stream=stream, allocate=memory, cancelled=Cancelled(cancelled) if cancelled else Cancelled())
        status = self.functions[type(arguments)](byref(arguments), byref(options), message, len(message))
        if status != OK:
            raise CoreError(status, message.value.decode())
        assert message.value == b""
        return arguments.output
