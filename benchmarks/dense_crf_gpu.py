"""The fully-connected CRF and its gradient on a GPU against the C++ core on the same machine: time and difference.

    python benchmarks/dense_crf_gpu.py [--labels 21] [--threads 8]

Needs an NVIDIA GPU, nvcc, g++, NumPy and CuPy; neither TensorFlow nor Keras. Both cores are called through their C
interfaces, in turns; a time is the whole call, lattice included, with arrays that are where the core wants them;
figures are medians. 500 x 375, 1 and 10 iterations, the kernels of benchmarks/dense_crf.py; the gradient of 5
iterations, which computes their marginals again. What differs is rounding: a mean above 1e-4 of the largest value would
be an error. Claim: >= 20x the C++ core with two threads, `--threads 2`.
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

from core_library import (  # noqa: E402
    Arguments,
    Core,
    Kernel,
    Run,
    compile_core,
    gradient_arguments,
    mean_field_arguments,
)
from cuda_library import CudaCore, compile_for_gpus  # noqa: E402

HEIGHT, WIDTH = 375, 500
KERNELS = [Kernel(3, 3), Kernel(10, 80, (13, 13, 13))]


Scene = tuple[np.ndarray, np.ndarray]  # logits, image


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


def forward_calls(scene: Scene, iterations: int) -> tuple[Arguments, Arguments, cupy.ndarray]:
    """Arguments for the C++ core and for the GPU's, and where the GPU's result will be."""
    ours, theirs = (mean_field_arguments(*scene, KERNELS, iterations=iterations) for _ in range(2))
    logits, image = map(cupy.asarray, scene)
    marginals = cupy.empty_like(logits)
    theirs.logits, theirs.image, theirs.marginals = (array.data.ptr for array in (logits, image, marginals))
    theirs.arrays.extend((logits, image))
    return ours, theirs, marginals


def gradient_calls(scene: Scene, core: Core, iterations: int) -> tuple[Arguments, Arguments, cupy.ndarray]:
    """The same of the gradient, after the forward call."""
    ours, theirs, marginals = forward_calls(scene, iterations)
    marginals.set(core.call(ours))
    above = np.sign(scene[0])
    given, others = gradient_arguments(ours, above), gradient_arguments(theirs, above)
    there = cupy.asarray(above)
    result = cupy.empty_like(there)
    others.marginals_gradient, others.logits_gradient = there.data.ptr, result.data.ptr
    others.arrays.extend((there, marginals))
    return given, others, result


def milliseconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def compare(
    name: str, core: Core, cuda: CudaCore, calls: tuple[Arguments, Arguments, cupy.ndarray], threads: int
) -> float:
    """Runs both in turns and prints; gives the mean difference, relative to the largest value."""
    ours, theirs, result = calls
    stream = cupy.cuda.get_current_stream().ptr
    cupy.cuda.Device().synchronize()

    def on_cpu() -> None:
        core.call(ours, Run(threads=threads))

    def on_gpu() -> int:
        allocator = PoolAllocator()
        cuda.call(theirs, stream=stream, allocator=allocator)
        return sum(block.mem.size for block in allocator.blocks)

    taken = [on_gpu() for _ in range(3)][-1]
    on_cpu()
    times = [(milliseconds(on_gpu), milliseconds(on_cpu)) for _ in range(20)]
    difference = np.abs(cupy.asnumpy(result) - ours.output) / np.abs(ours.output).max()
    mine, its = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    print(
        f"{name}: GPU {mine:.2f} ms, C++ core {its:.1f} ms, ratio {ratio:.1f}; "
        f"largest difference {difference.max():.1e}, mean {difference.mean():.1e}; {taken / 2**20:.0f} MiB"
    )
    return difference.mean()


def main() -> None:
    """Compiles both cores, compares them, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=21)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the C++ core")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    image = picture(rng)
    coarse = rng.normal(0, 3, (HEIGHT // 8 + 1, WIDTH // 8 + 1, given.labels))
    scene = np.kron(coarse, np.ones((8, 8, 1)))[:HEIGHT, :WIDTH].astype(np.float32), image
    gpu = cupy.cuda.Device()
    with tempfile.TemporaryDirectory() as folder:
        core = Core(compile_core(Path(folder)))
        cuda = CudaCore(compile_for_gpus("nvcc", Path(folder), [int(gpu.compute_capability)]))
    differences = [
        compare("1 iteration", core, cuda, forward_calls(scene, 1), given.threads),
        compare("10 iterations", core, cuda, forward_calls(scene, 10), given.threads),
        compare("gradient of 5 iterations", core, cuda, gradient_calls(scene, core, 5), given.threads),
    ]
    name = cupy.cuda.runtime.getDeviceProperties(gpu.id)["name"].decode()
    print(f"{WIDTH} x {HEIGHT} x {given.labels}; {name}; {given.threads} threads")
    if not max(differences) < 1e-4:
        raise SystemExit("the two cores do not agree")


if __name__ == "__main__":
    main()
