"""The fully-connected CRF on a GPU against the C++ core on the same machine: time and largest difference.

    python benchmarks/dense_crf_gpu.py [--labels 21] [--threads 8]

Needs an NVIDIA GPU, nvcc, g++, NumPy and CuPy; neither TensorFlow nor Keras. Both cores are called through their C
interfaces, in turns; a time is the whole call, lattice included, with arrays that are where the core wants them;
figures are medians. 500 x 375, 10 iterations, the kernels of benchmarks/dense_crf.py. What differs is rounding: a mean
above 1e-4 would be an error.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cupy
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/ops/crf")]

from core_library import Core, Kernel, MeanFieldArguments, Run, compile_core, mean_field_arguments  # noqa: E402
from cuda_library import CudaCore, compile_for_gpus  # noqa: E402

HEIGHT, WIDTH = 375, 500
KERNELS = [Kernel(3, 3), Kernel(10, 80, (13, 13, 13))]


class PoolAllocator:
    """Memory of CuPy's pool, which keeps it between calls as TensorFlow's allocator does."""

    def __init__(self) -> None:
        self.blocks: list[cupy.cuda.MemoryPointer] = []

    def __call__(self, _: object, size: int) -> int | None:
        try:
            self.blocks.append(cupy.cuda.alloc(size))
        except cupy.cuda.memory.OutOfMemoryError:
            return None
        return self.blocks[-1].ptr


def picture(rng: np.random.Generator) -> np.ndarray:
    """Discs of some colours with a little noise, (h, w, 3) from 0 to 255."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.full((HEIGHT, WIDTH, 3), 120.0) + 60 * np.sin(x / 150)[..., None]
    for _ in range(25):
        radius = rng.uniform(15, 90)
        inside = (x - rng.uniform(0, WIDTH)) ** 2 + (y - rng.uniform(0, HEIGHT)) ** 2 < radius**2
        image[inside] = rng.uniform(0, 255, 3) + rng.normal(0, 8, (inside.sum(), 1))
    return np.clip(np.round(image + rng.normal(0, 3, image.shape)), 0, 255).astype(np.float32)


def on_gpu(arguments: MeanFieldArguments, logits: cupy.ndarray, image: cupy.ndarray) -> cupy.ndarray:
    """Points the arguments at the GPU's memory; gives the array of their output."""
    marginals = cupy.empty_like(logits)
    arguments.logits, arguments.image, arguments.marginals = (a.data.ptr for a in (logits, image, marginals))
    return marginals


def milliseconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Compiles both cores, runs them in turns, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=21)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the C++ core")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    image = picture(rng)
    coarse = rng.normal(0, 3, (HEIGHT // 8 + 1, WIDTH // 8 + 1, given.labels))
    logits = np.kron(coarse, np.ones((8, 8, 1)))[:HEIGHT, :WIDTH].astype(np.float32)

    gpu = cupy.cuda.Device()
    with tempfile.TemporaryDirectory() as folder:
        core = Core(compile_core(Path(folder)))
        cuda = CudaCore(compile_for_gpus("nvcc", Path(folder), [int(gpu.compute_capability)]))
    there = cupy.asarray(logits), cupy.asarray(image)
    stream = cupy.cuda.get_current_stream().ptr
    differences = {}
    for iterations in (1, 10):
        arguments = mean_field_arguments(logits, image, KERNELS, iterations=iterations)
        others = mean_field_arguments(logits, image, KERNELS, iterations=iterations)
        marginals = on_gpu(others, *there)
        cupy.cuda.Device().synchronize()

        def on_cpu(arguments: MeanFieldArguments = arguments) -> None:
            core.call(arguments, Run(threads=given.threads))

        def with_cuda(others: MeanFieldArguments = others) -> int:
            allocator = PoolAllocator()
            cuda.call(others, stream=stream, allocator=allocator)
            return sum(block.mem.size for block in allocator.blocks)

        taken = [with_cuda() for _ in range(3)][-1]
        on_cpu()
        times = [(milliseconds(with_cuda), milliseconds(on_cpu)) for _ in range(20)]
        difference = np.abs(cupy.asnumpy(marginals) - arguments.output)
        differences[iterations] = difference.mean()
        mine, its = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        print(
            f"{iterations} iterations: GPU {mine:.2f} ms, C++ core {its:.1f} ms, ratio {ratio:.1f}; "
            f"largest difference {difference.max():.1e}, mean {difference.mean():.1e}; {taken / 2**20:.0f} MiB"
        )
    name = cupy.cuda.runtime.getDeviceProperties(gpu.id)["name"].decode()
    print(f"{WIDTH} x {HEIGHT} x {given.labels}; {name}; {given.threads} threads")
    if not max(differences.values()) < 1e-4:
        raise SystemExit("the two cores do not agree")


if __name__ == "__main__":
    main()
