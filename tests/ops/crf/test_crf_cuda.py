"""The CUDA core, emulated: as the C++ core, the same bits in any order, memory, cancellation, memory errors."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from core_library import (
    CANCELLED,
    INVALID,
    NO_MEMORY,
    NORMALIZATIONS,
    Arguments,
    CoreError,
    Kernel,
    check_refused,
    filter_arguments,
    mean_field_arguments,
)
from core_oracle import BILATERAL, GAUSSIAN, NARROW, assert_close, assert_same_bits, scene
from cuda_library import Allocator, CudaCore, compile_emulation
from PIL import Image
from test_crf_core import calls

USUAL = [Kernel(3, 3), Kernel(10, 80, (13, 13, 13))]
CLOSE = 2e-5  # largest difference to the C++ core, as between its own levels of instructions


def check_as_core(core, emulation, arguments: Arguments, bound: float = CLOSE) -> None:
    expected = core.call(arguments).copy()
    assert_close(emulation.call(arguments), expected, bound)


@pytest.mark.parametrize("name", ["2011_000003", "2011_000006", "2011_000025"])
def test_photographs(core, emulation, rng, shared, name):
    """Integer colours: some points lie between two simplices, and rounding decides which vertices there are."""
    picture = Image.open(shared / f"data/voc_samples/JPEGImages/{name}.jpg").convert("RGB")
    image = np.array(picture.resize((160, 120), Image.Resampling.BILINEAR))
    for labels, kernels in ((21, USUAL), (2, [Kernel(-1, 0.7), Kernel(5, (40, 60), (5, 9, 7)), BILATERAL])):
        logits = np.kron(rng.normal(0, 3, (15, 20, labels)), np.ones((8, 8, 1)))
        check_as_core(core, emulation, mean_field_arguments(logits, image, kernels, iterations=1))
        check_as_core(core, emulation, mean_field_arguments(logits, image, kernels, iterations=10), 1e-4)


@pytest.mark.parametrize("labels", [1, 2, 5, 21, 151])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 1), (3, 2), (31, 45)])
def test_images(core, emulation, rng, labels, size):
    logits, image = scene(rng, *size, labels)
    penalties = rng.normal(size=(labels, labels))
    for picture in (image, np.full_like(image, 128), rng.integers(0, 256, image.shape)):
        check_as_core(core, emulation, mean_field_arguments(logits, picture, USUAL))
        check_as_core(core, emulation, mean_field_arguments(logits, picture, [NARROW, BILATERAL], penalties))


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_channels_batches_and_normalizations(core, emulation, rng, channels, normalization):
    few = 0.01 if normalization == "none" else 1
    kernels = [
        Kernel(-few, 8.3, [60] * channels),
        GAUSSIAN._replace(weight=few),
        Kernel(4 * few, 30.3, [40] * channels),
    ]
    for batch in (1, 2, 3):
        logits, image = scene(rng, batch, 17, 23, 4, channels=channels)
        check_as_core(core, emulation, mean_field_arguments(logits, image, kernels, normalization=normalization))


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 5, 6, 9, 14, 20, 40])
@pytest.mark.parametrize("reverse", [False, True])
def test_filter(core, emulation, rng, dimensions, reverse):
    for batch, points, spread, channels in ((1, 1, 1, 3), (2, 700, 0.2, 1), (1, 900, 2, 24), (3, 60, 20, 5)):
        features = rng.normal(0, spread, (batch, points, dimensions))
        values = rng.normal(size=(batch, points, channels))
        check_as_core(core, emulation, filter_arguments(values, features, reverse))


def test_features_far_from_0(core, emulation, rng):
    logits, image = scene(rng, 20, 30, 3)
    check_as_core(core, emulation, mean_field_arguments(logits, image + 1e6, [BILATERAL]))


@pytest.mark.parametrize("index", [0, 63, 64, 4095, 4096, 9000, 9998, 9999])
def test_the_one_extreme_feature(core, emulation, rng, index):
    """It sets the widths of the keys, or is refused, wherever it is."""
    values, features = rng.normal(size=(10_000, 2)), rng.normal(0, 0.2, (10_000, 3))
    for extreme in ((300, -200, 700), (-500, 400, -300)):
        features[index] = extreme
        check_as_core(core, emulation, filter_arguments(values, features))
    for bad in (np.nan, np.inf, -np.inf):
        features[index, index % 3] = bad
        check_refused(emulation, filter_arguments(values, features), "features")


@pytest.mark.parametrize("name", ["filter", "transposed", "single", "photo", "penalties", "binary"])
def test_order_of_threads_does_not_change_a_bit(core, emulation, rng, name):
    arguments = calls(rng)[name]
    check_as_core(core, emulation, arguments, 5e-5)
    assert_same_bits(emulation.call(arguments, stream=order).copy() for order in (0, 1, 5, 123_457))


def small_calls(rng: np.random.Generator) -> list[Arguments]:
    logits, image = scene(rng, 2, 9, 7, 3)
    kernels = [GAUSSIAN, BILATERAL, Kernel(1, 8, (9, 9, 9))]
    return [
        mean_field_arguments(logits, image, kernels, np.ones((3, 3)), iterations=4),
        mean_field_arguments(logits[..., :1]),
        filter_arguments(rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 50, 20))),
    ]


def test_memory_that_ends_at_any_request(emulation, rng):
    for arguments in small_calls(rng):
        emulation.call(arguments, allocator=(enough := Allocator()))
        for most in range(len(enough.blocks)):
            with pytest.raises(CoreError, match="the GPU has no") as raised:
                emulation.call(arguments, allocator=Allocator(most))
            assert raised.value.status == NO_MEMORY
        emulation.call(arguments, allocator=Allocator(len(enough.blocks)))


def test_cancelled_after_any_step(emulation, rng):
    for arguments, least in zip(small_calls(rng), (8, 0, 2), strict=True):
        count = itertools.count()
        emulation.call(arguments, cancelled=lambda _, count=count: next(count) < 0)
        steps = next(count)
        assert steps >= least
        for asked in range(steps):
            count = itertools.count()
            with pytest.raises(CoreError, match="cancel") as raised:
                emulation.call(arguments, cancelled=lambda _, count=count, asked=asked: next(count) >= asked)
            assert raised.value.status == CANCELLED
            assert next(count) == asked + 1


def test_a_run_is_needed(emulation, rng):
    for arguments in small_calls(rng):
        assert emulation.functions[type(arguments)](arguments, None, None, 0) == INVALID


@pytest.mark.parametrize("labels", [2, 21, 60])
def test_memory_per_pixel_and_label(emulation, rng, labels):
    """Besides 64 KiB for what does not grow with the pixels."""
    pixels = 120 * 150
    logits, image = scene(rng, 120, 150, labels)
    image[:] = image.mean(2, keepdims=True)

    def per_pixel(image: np.ndarray, *kernels: Kernel) -> float:
        allocator = Allocator()
        emulation.call(mean_field_arguments(logits, image, kernels, iterations=1), allocator=allocator)
        return (allocator.bytes - 2**16) / pixels

    assert per_pixel(image, Kernel(1, 3)) < 3 * labels
    assert per_pixel(image, Kernel(1, 1)) < 13 * labels
    assert per_pixel(image, Kernel(1, 80, (13, 13, 13))) < 260 + 3 * labels
    # At worst no two pixels share a vertex, and each has six.
    noise = rng.uniform(0, 255, image.shape)
    assert per_pixel(noise, Kernel(1, 80, (3, 3, 3))) < 700 + 50 * labels
    # The images of a batch take turns with the same memory.
    one, three = Allocator(), Allocator()
    kernels = [Kernel(1, 80, (13, 13, 13))]
    emulation.call(mean_field_arguments(logits, image, kernels), allocator=one)
    emulation.call(mean_field_arguments(np.stack([logits] * 3), np.stack([image] * 3), kernels), allocator=three)
    assert three.bytes == one.bytes


def test_no_access_out_of_bounds_or_undefined_behaviour(tmp_path):
    """Every block of memory is one of malloc's, so that the sanitizers know its ends."""
    library = compile_emulation(tmp_path, ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from test_crf_cuda import sanitized
sanitized({str(library)!r})
"""
    runtimes = [_gcc_library(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")]
    environment = {**os.environ, "LD_PRELOAD": ":".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-10_000:]
    assert int(done.stdout) > 50


def _gcc_library(name: str) -> str:
    """A link's target: it may be a linker script that names the file."""
    path = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    head = Path(path).read_bytes()[:500]
    script = b"" if head.startswith(b"\x7fELF") else head
    return re.search(rb"/\S+\.so\S*", script)[0].decode() if script else path


def sanitized(library: str) -> None:
    """Calls of many kinds; prints their number."""
    emulation, rng, count = CudaCore(Path(library)), np.random.default_rng(1), 0
    for _ in range(12):
        height, width, labels, channels, batch = (int(n) for n in rng.integers(1, (30, 30, 9, 5, 3)))
        logits, image = scene(rng, batch, height, width, labels, channels=channels)
        theta = float(10 ** rng.uniform(-1, 2))
        kernels = [Kernel(2, (theta, 2)), Kernel(2, theta + 2, [30] * channels), Kernel(1, 9, [0.3] * channels)]
        dimensions = int(rng.integers(1, 64))
        features = rng.normal(0, 2, (height * width, dimensions))
        for normalization in NORMALIZATIONS:
            options = dict(iterations=2, normalization=normalization)
            emulation.mean_field(
                logits, image, kernels[: rng.integers(4)], rng.normal(size=(labels, labels)), **options
            )
            emulation.permutohedral_filter(rng.normal(size=(height * width, labels)), features, labels > 4)
            keep, above = bool(rng.integers(2)), rng.normal(size=logits.shape)
            emulation.gradient(above, logits, image, kernels, rng.normal(size=(labels, labels)), keep=keep, **options)
            count += 3
        logits[0, 0, 0, :] = np.nan
        with pytest.raises(CoreError, match="logits"):
            emulation.mean_field(logits, image, kernels)
    print(count)
