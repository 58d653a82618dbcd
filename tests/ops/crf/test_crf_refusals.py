"""What the C++ core refuses, how it is cancelled, and the memory that it takes."""

import ctypes
import itertools
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from core_library import (
    CANCELLED,
    INVALID,
    NO_MEMORY,
    Arguments,
    Cancelled,
    Core,
    CoreError,
    Kernel,
    Run,
    check_refused,
    filter_arguments,
    mean_field_arguments,
)
from core_oracle import BILATERAL, GAUSSIAN, scene

MIB = 2**20
ALL = 2**40


@pytest.mark.parametrize(
    ("change", "word"),
    [
        *(({name: 0}, name) for name in ("batch", "height", "width", "labels", "channels")),
        *(({name: -5}, name) for name in ("batch", "height", "width", "labels", "channels", "iterations")),
        (dict(batch=2**62), "batch"),
        (dict(height=2**31, width=2**31), "height"),
        (dict(batch=2**39, labels=2**19), "logits"),
        (dict(channels=62), "channels"),
        (dict(kernel_count=-1), "kernels"),
        (dict(kernel_count=1000), "kernels"),
        (dict(normalization=4), "normalization"),
        (dict(normalization=-1), "normalization"),
        (dict(logits=None), "array"),
        (dict(marginals=None), "array"),
        (dict(kernels=None), "array"),
        (dict(image=None), "image"),
    ],
)
def test_bad_mean_field_arguments(core, rng, change, word):
    arguments = mean_field_arguments(*scene(rng, 4, 5, 3), [GAUSSIAN, BILATERAL])
    for name, value in change.items():
        setattr(arguments, name, value)
    check_refused(core, arguments, word)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        *(({name: 0}, name) for name in ("batch", "points", "channels", "dimensions")),
        *(({name: -5}, name) for name in ("batch", "points", "channels", "dimensions")),
        (dict(points=2**62), "points"),
        (dict(dimensions=64), "dimensions"),
        (dict(batch=2**35, points=2**35), "elements"),
        *(({name: None}, "array") for name in ("values", "features", "filtered")),
    ],
)
def test_bad_filter_arguments(core, rng, change, word):
    arguments = filter_arguments(rng.normal(size=(20, 3)), rng.normal(size=(20, 4)))
    for name, value in change.items():
        setattr(arguments, name, value)
    check_refused(core, arguments, word)


@pytest.mark.parametrize(
    ("kernel", "word"),
    [
        *((Kernel(weight, 3), "weight") for weight in (np.nan, np.inf, -np.inf)),
        *((Kernel(1, theta), "theta") for theta in (0, -1, np.nan, np.inf, (3, 0), (np.nan, 3))),
        *((Kernel(1, theta, (9, 9, 9)), "theta") for theta in (0, -1, np.nan, np.inf, (3, 0), (np.nan, 3))),
        *((Kernel(1, 3, (9, theta, 9)), "theta") for theta in (0, -1, np.nan, np.inf)),
        *((Kernel(1, theta, (9, 9, 9)), "theta is too small") for theta in (1e-5, 1e-20, 1e-44)),
        *((Kernel(1, 3, (9, theta, 9)), "theta is too small") for theta in (1e-5, 1e-20, 1e-44)),
    ],
)
def test_bad_kernels(core, rng, kernel, word):
    check_refused(core, mean_field_arguments(*scene(rng, 4, 5, 3), [GAUSSIAN, kernel]), word)


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf, -np.inf, -np.inf], [np.nan, -np.inf, -np.inf]])
@pytest.mark.parametrize("pixel", [0, 15, 16, -1])
def test_bad_logits(core, rng, bad, pixel):
    for iterations, kernels in ((3, [GAUSSIAN, BILATERAL]), (0, []), (2, [])):
        logits, image = scene(rng, 200, 185, 3)
        logits.reshape(-1, 3)[pixel, : len(bad)] = bad
        check_refused(core, mean_field_arguments(logits, image, kernels, iterations=iterations), "logits")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 50, -1])
def test_bad_arrays(core, rng, bad, index):
    logits, image = scene(rng, 9, 7, 4)
    spoilt, penalties, features = image.copy(), np.ones((4, 4)), rng.normal(size=(90, 3))
    spoilt.flat[index] = penalties.flat[index % 16] = features.flat[index] = bad
    check_refused(core, mean_field_arguments(logits, spoilt, [GAUSSIAN, BILATERAL]), "image")
    check_refused(core, mean_field_arguments(logits, image, [GAUSSIAN], penalties), "penalties")
    check_refused(core, filter_arguments(rng.normal(size=(90, 3)), features), "features")
    huge = np.where(np.isfinite(features), features, 3e38)
    check_refused(core, filter_arguments(rng.normal(size=(90, 3)), huge), "features")


def test_levels_that_are_not_there(core, rng):
    for level in (-1, core.best_level + 1, 4, 2**31 - 1):
        check_refused(core, mean_field_arguments(*scene(rng, 4, 5, 3)), "level", Run(level=level))
        check_refused(core, filter_arguments(np.ones((3, 1)), np.ones((3, 2))), "level", Run(level=level))


def test_cancelled_after_any_step(core, rng):
    def attempt(arguments: Arguments, questions: int) -> int:
        """The number of questions whether to go on, of which the last ones are answered with no."""
        count = itertools.count()
        run = Run(cancelled=Cancelled(lambda _: next(count) >= questions))
        if questions == ALL:
            core.call(arguments, run)
            return next(count)
        with pytest.raises(CoreError, match="cancel") as raised:
            core.call(arguments, run)
        assert raised.value.status == CANCELLED
        return next(count)

    for arguments, steps in (
        (mean_field_arguments(*scene(rng, 2, 9, 7, 3), [GAUSSIAN, BILATERAL], iterations=4), 8),
        (filter_arguments(rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 50, 3))), 2),
    ):
        asked = attempt(arguments, ALL)
        assert asked >= steps
        assert [attempt(arguments, questions) for questions in range(asked)] == list(range(1, asked + 1))


def memory_peak(core: Core, arguments: Arguments, **options: int) -> int:
    core.call(arguments, run := Run(**options))
    return run.memory_peak


def test_a_limit_of_the_peak_is_enough(core, rng):
    logits, image = scene(rng, 90, 80, 5)
    kernels = [GAUSSIAN, BILATERAL]
    for arguments in (
        mean_field_arguments(logits, image, kernels),
        mean_field_arguments(logits, image, [BILATERAL, Kernel(1, 8, (9, 9, 9)), GAUSSIAN], np.ones((5, 5))),
        mean_field_arguments(np.stack([logits] * 3), np.stack([image] * 3), kernels),
        filter_arguments(rng.normal(size=(900, 4)), rng.normal(size=(900, 5))),
        filter_arguments(rng.normal(size=(3, 900, 4)), rng.normal(size=(3, 900, 5))),
    ):
        peak = memory_peak(core, arguments)
        assert memory_peak(core, arguments, memory_limit=peak) == peak
        for limit in (peak - 1, peak // 2, peak // 10, 1000, 1):
            with pytest.raises(CoreError, match="memory") as raised:
                core.call(arguments, run := Run(memory_limit=limit))
            assert raised.value.status == NO_MEMORY
            assert run.memory_peak <= limit


def test_what_cannot_fit_is_refused_at_once(core):
    arguments = mean_field_arguments(np.zeros((1, 1, 2)), np.zeros((1, 1, 3)), [BILATERAL, GAUSSIAN])
    shape = arguments.height, arguments.width = 5000, 8000
    arguments.point(logits=np.zeros((*shape, 2), np.float32), image=np.zeros((*shape, 3), np.float32))  # not touched
    arguments.point(marginals=np.zeros((*shape, 2), np.float32))
    filtering = filter_arguments(np.zeros((1, 2)), np.zeros((1, 5)))
    filtering.points = 40_000_000
    filtering.point(**{name: np.zeros((40_000_000, 5), np.float32) for name in ("values", "features", "filtered")})
    for call in (arguments, filtering):
        before, resident = time.process_time(), resident_bytes()
        with pytest.raises(CoreError, match="memory") as raised:
            core.call(call, run := Run(memory_limit=64 * MIB))
        assert raised.value.status == NO_MEMORY
        assert run.memory_peak <= 64 * MIB
        assert resident_bytes() - resident < 16 * MIB
        assert time.process_time() - before < 0.5


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("labels", [2, 8, 21, 60])
def test_memory_per_pixel_and_label(core, rng, labels):
    """Padded to 4 or a multiple of 8 labels; besides a constant for tables of a few rows."""
    height, width = 120, 150
    pixels, padded = height * width, 4 if labels == 2 else -(-labels // 8) * 8
    logits, image = scene(rng, height, width, labels)

    def per_pixel(kernel: Kernel, image: np.ndarray) -> float:
        return (memory_peak(core, mean_field_arguments(logits, image, [kernel], iterations=1)) - MIB // 4) / pixels

    assert per_pixel(Kernel(1, 3), image) < 8 + 2 * padded
    assert per_pixel(Kernel(1, 1), image) < 8 + 12 * padded
    assert per_pixel(Kernel(1, 80, (13, 13, 13)), image) < 240 + 5 * padded
    # At worst no two pixels share a vertex, and each has six.
    assert per_pixel(Kernel(1, 80, (3, 3, 3)), rng.uniform(0, 255, image.shape)) < 6 * (400 + 8 * padded)


def test_nothing_but_the_arguments_is_needed(core, rng):
    arguments = filter_arguments(rng.normal(size=(20, 3)), rng.normal(size=(20, 4)))
    function = core.functions[type(arguments)]
    assert function(ctypes.byref(arguments), None, None, 0) == 0
    arguments.points = 0
    assert function(ctypes.byref(arguments), None, None, 0) == INVALID
    assert function(ctypes.byref(arguments), None, message := ctypes.create_string_buffer(b"x" * 9, 9), 6) == INVALID
    assert message.raw == b"point\0xxx"  # cut, and ended


def test_available_memory(core):
    assert 0 < core.available_memory() < 2**60


def test_threads_that_cannot_start(library):
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from core_library import *
core = Core({str(library)!r})
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {64 * MIB},) * 2)
try:
    core.mean_field(np.zeros((4, 5, 2)), run=Run(threads=64))
except CoreError as error:
    print(error.status, error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(NO_MEMORY)) or not done.stdout
