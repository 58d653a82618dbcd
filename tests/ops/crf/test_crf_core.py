"""The C++ core of the dense CRF, through its C interface, against float64 NumPy written from the papers."""

import contextlib
import ctypes
import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from core_library import (
    CANCELLED,
    INVALID,
    NO_MEMORY,
    NORMALIZATIONS,
    Arguments,
    Cancelled,
    Core,
    CoreError,
    Kernel,
    ParallelFor,
    Run,
    compile_core,
    filter_arguments,
    mean_field_arguments,
)

MIB = 2**20
ALL = 2**40
GAUSSIAN = Kernel(3, 3)
NARROW = Kernel(2, 1.2)  # a Gaussian below 1.5 pixels, which is computed exactly
# Where y is a multiple of theta a point lies between two simplices, and rounding decides which vertices there are.
BILATERAL = Kernel(4, 30.3, (40, 40, 40))
EXACT = 1e-5  # largest error of marginals, beside what the lattice and the splines themselves do
SPLINES = 5e-3  # with Gaussian kernels of 1.5 pixels and more


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    return compile_core(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="session")
def core(library) -> Core:
    return Core(library)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# ---- Oracles: kernels as float64 matrices (points, points) ----


def gaussian_matrix(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32).astype(float)
    return np.exp(-0.5 * np.square(features[:, None] - features).sum(-1))


def simplex(feature: np.ndarray) -> Iterator[tuple[tuple[int, ...], float]]:
    """The d + 1 vertices around a point, each with its barycentric weight (Adams et al., 2010, section 3.1)."""
    d = len(feature)
    i = np.arange(d)
    scaled = feature * np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2))
    elevated = np.append(np.cumsum(scaled[::-1])[::-1], 0) - np.append(0, np.arange(1, d + 1) * scaled)
    nearest = np.rint(elevated / (d + 1)).astype(int)  # of remainder 0, in steps of d + 1
    rank = np.empty(d + 1, int)
    rank[np.argsort(nearest * (d + 1) - elevated, kind="stable")] = i = np.arange(d + 1)
    rank += nearest.sum()
    moved = (rank < 0).astype(int) - (rank > d)  # brings the sum back to 0
    nearest += moved
    rank += moved * (d + 1)
    left = (elevated / (d + 1) - nearest)[np.argsort(rank)]  # falling
    for k in i:
        weight = left[d - k] - left[d + 1 - k] if k else 1 + left[d] - left[0]
        yield tuple(nearest * (d + 1) + k - (d + 1) * (rank > d - k)), weight


def lattice_matrix(features: np.ndarray) -> np.ndarray:
    """The permutohedral filter: splat, blur by [1/2, 1, 1/2] along axes 0..d over the vertices there are, slice."""
    features = np.asarray(features, np.float32).astype(float)
    points, d = features.shape
    rows: dict[tuple[int, ...], int] = {}
    touched = [(rows.setdefault(vertex, len(rows)), p, w) for p in range(points) for vertex, w in simplex(features[p])]
    splat = np.zeros((len(rows), points))
    for row, p, weight in touched:
        splat[row, p] += weight
    values = splat
    for axis in range(d + 1):
        step = 1 - (d + 1) * (np.arange(d + 1) == axis)
        blurred = values.copy()
        for vertex, sign in itertools.product(rows, (-1, 1)):
            if (neighbour := rows.get(tuple(vertex + sign * step))) is not None:
                blurred[rows[vertex]] += values[neighbour] / 2
        values = blurred
    return splat.T @ values / (1 + 2.0**-d)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kernel_matrix(kernel: Kernel, image: np.ndarray, bilateral: Callable, normalization: str) -> np.ndarray:
    height, width = image.shape[:2]
    y, x = np.divmod(np.arange(height * width), width)
    features = np.stack([x, y], 1) / np.broadcast_to(kernel.theta, 2).astype(np.float32)
    if kernel.theta_image is None:
        matrix = gaussian_matrix(features)
    else:
        colours = image.reshape(height * width, -1).astype(np.float32) / np.array(kernel.theta_image, np.float32)
        matrix = bilateral(np.concatenate([features, colours], 1))
    mass = matrix.sum(1)
    left, right = dict(symmetric=(0.5, 0.5), before=(0, 1), after=(1, 0), none=(0, 0))[normalization]
    return kernel.weight * matrix * mass[:, None] ** -left * mass**-right


def naive_mean_field(
    logits: np.ndarray,
    image: np.ndarray,
    kernels: list[Kernel],
    penalties: np.ndarray | None = None,
    iterations: int = 5,
    normalization: str = "symmetric",
    bilateral: Callable = lattice_matrix,
) -> np.ndarray:
    """As Core.mean_field on one image: Gaussian kernels exactly, Bilateral ones by the matrix of their features."""
    unary = np.asarray(logits, np.float32).reshape(-1, logits.shape[-1]).astype(float)
    matrix = sum((kernel_matrix(kernel, image, bilateral, normalization) for kernel in kernels), np.zeros((1, 1)))
    marginals = softmax(unary)
    for _ in range(iterations):
        message = matrix @ marginals if kernels else 0 * marginals
        marginals = softmax(unary + message if penalties is None else unary - message @ np.transpose(penalties))
    return marginals.reshape(logits.shape)


def scene(rng: np.random.Generator, *shape: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits (..., h, w, labels) and an image of a few smooth colours and noise."""
    *batch, height, width, _ = shape
    y, x = np.mgrid[:height, :width] / 9
    phase = rng.uniform(0, 6, (*batch, 1, 1, channels))
    image = 128 + 90 * np.sin(phase + x[..., None] + 2 * y[..., None])
    image += rng.normal(0, 6, image.shape)
    return rng.normal(0, 1.5, shape).astype(np.float32), image.astype(np.float32)


def assert_close(actual: np.ndarray, expected: np.ndarray, bound: float) -> None:
    """Largest difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= bound * np.abs(expected).max()


def assert_same_bits(arrays: Iterator[np.ndarray]) -> None:
    first, *others = arrays
    for other in others:
        np.testing.assert_array_equal(first, other)


# ---- The permutohedral filter ----


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 21, 40, 151])
@pytest.mark.parametrize("dimensions", [1, 2, 3, 5, 6, 10])
def test_filter_equals_a_naive_lattice(core, rng, dimensions, channels):
    for points, spread in ((200, 1), (30, 0.2), (40, 6)):  # crowded; a few simplices; isolated points at borders
        features = rng.normal(0, spread, (points, dimensions)).astype(np.float32)
        values = rng.normal(size=(points, channels))
        matrix = lattice_matrix(features)
        assert_close(core.permutohedral_filter(values, features), matrix @ values, 5e-6)
        assert_close(core.permutohedral_filter(values, features, reverse=True), matrix.T @ values, 5e-6)


@pytest.mark.parametrize(
    ("dimensions", "correlation", "error"),  # the lattice's own: it blurs less, the more vertices are missing
    [(1, 0.999, 0.04), (2, 0.998, 0.07), (3, 0.994, 0.13), (5, 0.98, 0.3), (6, 0.98, 0.35), (10, 0.975, 0.4)],
)
def test_filter_is_close_to_the_gaussian_sum(core, rng, dimensions, correlation, error):
    features = rng.normal(0, 2 / dimensions, (1500, dimensions))
    values = np.sin(features @ rng.normal(0, dimensions / 2, (dimensions, 4))) + 1.5
    kernel = gaussian_matrix(features)
    filtered = core.permutohedral_filter(values, features)
    assert np.corrcoef(filtered.ravel(), (kernel @ values).ravel())[0, 1] > correlation
    average = kernel @ values / kernel.sum(1, keepdims=True)
    filtered /= core.permutohedral_filter(np.ones((1500, 3)), features)[:, :1]
    assert np.abs(filtered - average).mean() < error * average.std()


@pytest.mark.parametrize("spread", [0.3, 1, 30])  # one simplex, many, isolated points
def test_transposed_filter_is_the_gradient(core, rng, spread):
    features = rng.normal(0, spread, (60, 5))
    values, weights = rng.normal(size=(2, 60, 3)).astype(np.float32)
    gradient = core.permutohedral_filter(weights, features, reverse=True)
    np.testing.assert_allclose(
        np.vdot(weights, core.permutohedral_filter(values, features)), np.vdot(gradient, values), rtol=1e-4, atol=1e-4
    )

    def loss(moved: np.ndarray) -> float:
        return np.vdot(weights, core.permutohedral_filter(moved, features).astype(float))

    step = np.zeros_like(values)
    for point, channel in itertools.product(range(60), range(3)):
        step[point, channel] = 0.5
        slope = loss(values + step) - loss(values - step)
        assert abs(slope - gradient[point, channel]) < 2e-5 * np.abs(gradient).max() + 1e-5
        step[point, channel] = 0


def test_filter_is_linear(core, rng):
    features = rng.normal(size=(500, 5))
    one, other = rng.normal(size=(2, 500, 5))
    apart = 2 * core.permutohedral_filter(one, features) - 3 * core.permutohedral_filter(other, features)
    assert_close(core.permutohedral_filter(2 * one - 3 * other, features), apart, 1e-5)


# ---- Levels, threads, batches ----


def calls(rng: np.random.Generator) -> dict[str, Arguments]:
    """Calls with some work for each of several bands."""
    features = rng.normal(0, 2, (36_000, 4))
    logits, image = scene(rng, 190, 177, 21)
    few, grey = scene(rng, 201, 181, 2, channels=1)
    penalties = rng.uniform(0, 1, (21, 21))
    kernels = [GAUSSIAN, BILATERAL]
    return {
        "filter": filter_arguments(rng.normal(size=(36_000, 5)), features),
        "transposed": filter_arguments(rng.normal(size=(36_000, 24)), features, reverse=True),
        "single": filter_arguments(rng.normal(size=(36_000, 1)), features),
        "photo": mean_field_arguments(logits, image, kernels, iterations=3),
        "penalties": mean_field_arguments(logits, image, kernels, penalties, 2, normalization="before"),
        "binary": mean_field_arguments(few, grey, [Kernel(-2, (0.8, 40)), Kernel(5, (60, 20), [9])], iterations=3),
    }


def test_every_level_gives_the_same(core, rng):
    assert core.best_level >= 1
    for name, arguments in calls(rng).items():
        outputs = [core.call(arguments, Run(level=level)).copy() for level in range(1, core.best_level + 1)]
        for output in outputs[1:]:
            assert_close(output, outputs[0], 3e-5), name
        assert_same_bits([core.call(arguments), outputs[-1]])


def test_threads_do_not_change_a_bit(core, rng):
    @ParallelFor
    def backwards(_, count, task, state):
        for i in reversed(range(count)):
            task(state, i)

    for arguments in calls(rng).values():
        runs = [*(Run(threads=threads) for threads in (1, 2, 3, 8, 0)), Run(parallel_for=backwards)]
        assert_same_bits(core.call(arguments, run).copy() for run in runs)


def test_a_batch_is_its_images(core, rng):
    logits, image = scene(rng, 3, 70, 61, 5)
    for normalization in NORMALIZATIONS:
        options = dict(kernels=[GAUSSIAN, BILATERAL], iterations=3, normalization=normalization)
        singles = [core.mean_field(logits[i], image[i], **options) for i in range(3)]
        assert_same_bits([core.mean_field(logits, image, **options), np.stack(singles)])
    values, features = rng.normal(size=(3, 500, 5)), rng.normal(size=(3, 500, 3)) * [[[1]], [[20]], [[0.1]]]
    singles = [core.permutohedral_filter(values[i], features[i]) for i in range(3)]
    assert_same_bits([core.permutohedral_filter(values, features), np.stack(singles)])


def test_images_side_by_side(core, rng):
    """With an image for every thread they are computed at the same time; one by one where memory does not suffice."""
    logits, image = scene(rng, 5, 70, 61, 5)
    values, features = rng.normal(size=(5, 500, 5)), rng.normal(size=(5, 500, 3))
    kernels = [GAUSSIAN, BILATERAL, Kernel(1, 1e-40)]  # a denormal theta
    for arguments in (mean_field_arguments(logits, image, kernels), filter_arguments(values, features)):
        single = Run()
        expected = core.call(arguments, single).copy()
        for threads in (2, 3, 5, 8):
            run = Run(threads=threads)
            assert_same_bits([expected, core.call(arguments, run)])
            limited = Run(threads=threads, memory_limit=single.memory_peak + 64)
            assert_same_bits([expected, core.call(arguments, limited)])
            assert limited.memory_peak <= single.memory_peak + 64
        assert run.memory_peak < 5 * single.memory_peak
    logits[3, 1, 2] = np.nan
    with pytest.raises(CoreError, match="logits hold NaN"):
        core.mean_field(logits, image, run=Run(threads=2))


def test_concurrent_calls(core, rng):
    work = list(calls(rng).values())
    expected = [core.call(arguments).copy() for arguments in work]
    for arguments in work:
        arguments.output.fill(-1)
    with ThreadPoolExecutor(len(work)) as pool:
        for output, serial in zip(pool.map(core.call, work, [Run(threads=2) for _ in work]), expected, strict=True):
            np.testing.assert_array_equal(output, serial)


# ---- Mean field ----


def check_mean_field(core: Core, bound: float, logits: np.ndarray, image: np.ndarray, *arguments, **options) -> None:
    marginals = core.mean_field(logits, image, *arguments, **options)
    expected = naive_mean_field(logits, image, *arguments, **options)
    np.testing.assert_allclose(marginals.sum(-1), 1, atol=3e-6)
    assert marginals.min() >= 0
    assert np.abs(marginals - expected).max() <= bound


@pytest.mark.parametrize("labels", [2, 3, 4, 5, 8, 9, 16, 17, 21, 24, 25, 33, 64, 65, 151, 1000])
def test_labels(core, rng, labels):
    logits, image = scene(rng, *((3, 5) if labels == 1000 else (9, 7)), labels)
    check_mean_field(core, EXACT, logits, image, [NARROW, BILATERAL])
    check_mean_field(core, SPLINES, logits, image, [GAUSSIAN, BILATERAL])
    matrix = rng.uniform(0, 1, (labels, labels))
    check_mean_field(core, EXACT, logits, image, [NARROW, BILATERAL], matrix + matrix.T)


def test_one_label(core, rng):
    logits, image = scene(rng, 5, 7, 1)
    np.testing.assert_array_equal(core.mean_field(logits, image, [GAUSSIAN, BILATERAL]), 1)
    for value in (np.nan, np.inf, -np.inf):
        logits[2, 3] = value
        check_refused(core, mean_field_arguments(logits, image, [GAUSSIAN]), "logits")


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("weight", [5, -2])
def test_normalizations(core, rng, normalization, weight):
    logits, image = scene(rng, 12, 15, 4)
    few = 0.02 if normalization == "none" else 1
    kernels = [Kernel(few * weight, 1.3), Kernel(few * weight, 9.1, (60, 60, 60))]
    check_mean_field(core, EXACT, logits, image, kernels, normalization=normalization)
    check_mean_field(core, EXACT, logits, image, kernels, rng.normal(size=(4, 4)), normalization=normalization)


def test_potts_is_a_matrix_of_penalties(core, rng):
    logits, image = scene(rng, 21, 34, 6)
    potts = 1 - np.eye(6)
    options = dict(kernels=[GAUSSIAN, BILATERAL], iterations=10)
    expected = core.mean_field(logits, image, **options)
    assert_close(core.mean_field(logits, image, penalties=potts, **options), expected, 1e-4)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_image_channels(core, rng, channels):
    logits, image = scene(rng, 11, 13, 3, channels=channels)
    kernels = [Kernel(4, (7, 11), [50 + 20 * c for c in range(channels)]), Kernel(2, 1)]
    check_mean_field(core, EXACT, logits, image, kernels)


@pytest.mark.parametrize(
    "kernels",
    [
        [],
        [Kernel(0, 3), BILATERAL],
        [Kernel(0, 3), Kernel(0, 3, (9, 9, 9))],
        [Kernel(-2, 1.2)],
        [Kernel(1, 1), BILATERAL, Kernel(-1, (0.8, 1.4))],
        [BILATERAL, Kernel(2, 8.3, (90, 30, 60)), Kernel(-3, (2.7, 2.2), (20, 300, 20))],
    ],
)
@pytest.mark.parametrize("iterations", [0, 1, 4])
def test_kernels_and_iterations(core, rng, kernels, iterations):
    logits, image = scene(rng, 9, 20, 5)
    check_mean_field(core, EXACT, logits, image, kernels, iterations=iterations)


@pytest.mark.parametrize("theta", [0.3, 0.5, 1, 1.49, 1.5, 1.7, 2, 3, 7, 20, 50, 1e4, 1e30, (0.4, 1.3), (30, 1.2)])
@pytest.mark.parametrize("size", [(23, 31), (1, 50), (60, 3)])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_messages_of_a_gaussian_kernel(core, rng, theta, size, normalization):
    logits, image = scene(rng, *size, 3)
    kernel = Kernel(1, theta)
    largest = kernel_matrix(kernel, image, gaussian_matrix, normalization).sum(1).max()
    kernel = Kernel(1 / largest, theta)

    def messages(marginals: np.ndarray) -> np.ndarray:
        message = np.log(marginals.astype(float)) - logits
        return message - message.mean(-1, keepdims=True)

    options = dict(kernels=[kernel], iterations=1, normalization=normalization)
    actual = messages(core.mean_field(logits, image, **options))
    error = np.abs(actual - messages(naive_mean_field(logits, image, **options))).max()
    splines = np.max(theta) >= 1.5
    assert error < (2e-6 if not splines else 1e-2 if normalization == "none" else 6e-3)


@pytest.mark.parametrize("width", range(1, 41))
def test_widths(core, rng, width):
    logits, image = scene(rng, 3, width, 3)
    check_mean_field(core, EXACT, logits, image, [NARROW, BILATERAL])


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 50), (50, 1), (1, 16), (16, 1), (1, 300)])
def test_narrow_images(core, rng, size):
    logits, image = scene(rng, *size, 3)
    check_mean_field(core, EXACT, logits, image, [NARROW, BILATERAL])
    check_mean_field(core, SPLINES, logits, image, [Kernel(2, (5, 0.7)), BILATERAL])


@pytest.mark.parametrize("colour", [0, 255, -1e4])
def test_constant_image(core, rng, colour):
    logits, image = scene(rng, 11, 17, 3)
    check_mean_field(core, EXACT, logits, np.full_like(image, colour), [NARROW, BILATERAL])


@pytest.mark.parametrize(("weight", "error", "agreement"), [(1, 0.01, 0.98), (4, 0.02, 0.95), (10, 0.03, 0.93)])
def test_bilateral_kernel_is_close_to_the_exact_one(core, rng, weight, error, agreement):
    logits, image = scene(rng, 24, 30, 4)
    for theta, theta_image in ((80, 13), (12, 25), (5, 60)):
        kernels = [GAUSSIAN, Kernel(weight, theta, [theta_image] * 3)]
        marginals = core.mean_field(logits, image, kernels)
        exact = naive_mean_field(logits, image, kernels, bilateral=gaussian_matrix)
        assert np.abs(marginals - exact).mean() < error
        assert (marginals.argmax(-1) == exact.argmax(-1)).mean() > agreement


def test_impossible_labels(core, rng):
    logits, image = scene(rng, 13, 19, 5)
    impossible = rng.random(logits.shape) < 0.3
    impossible[..., 0] = False
    impossible[..., 3] = True
    logits[impossible] = -np.inf
    logits[4, 5] = [7, *[-np.inf] * 4]
    marginals = core.mean_field(logits, image, [NARROW, BILATERAL])
    assert (marginals[impossible] == 0).all()
    assert marginals[4, 5, 0] == 1
    check_mean_field(core, EXACT, logits, image, [NARROW, BILATERAL])


@pytest.mark.parametrize("offset", [0, 100, 1e4, 1e6, -1e6])
def test_an_offset_of_the_logits_changes_nothing(core, rng, offset):
    logits = np.round(rng.normal(0, 2, (9, 16, 5)) * 16) / 16  # exact in float32 with the offset
    for level in range(1, core.best_level + 1):
        marginals = core.mean_field(logits + offset, iterations=0, run=Run(level=level))
        np.testing.assert_allclose(marginals, softmax(logits), rtol=1e-5)


@pytest.mark.parametrize("magnitude", [1e2, 1e4, 1e5, 1e6, 1e9, 1e20, 1e38, 3.4e38])
def test_large_logits(core, rng, magnitude):
    logits = (rng.uniform(-1, 1, (9, 16, 5)) * magnitude).astype(np.float32)
    for level in range(1, core.best_level + 1):
        marginals = core.mean_field(logits, iterations=0, run=Run(level=level))
        np.testing.assert_allclose(marginals, softmax(logits.astype(float)), atol=1e-5)


@pytest.mark.parametrize("weight", [1e3, 1e6, -1e6, 1e12])
def test_large_weights(core, rng, weight):
    logits, image = scene(rng, 9, 16, 5)
    for kernel in (Kernel(weight, 1.2), Kernel(weight, 30.3, (40, 40, 40))):
        for level in range(1, core.best_level + 1):
            marginals = core.mean_field(logits, image, [kernel], iterations=1, run=Run(level=level))
            expected = naive_mean_field(logits, image, [kernel], iterations=1)
            np.testing.assert_allclose(marginals.sum(-1), 1, atol=3e-6)
            assert (marginals.argmax(-1) == expected.argmax(-1)).mean() > 0.98


@pytest.mark.parametrize("theta", [1e-3, 1e-10, 1e-30])
def test_tiny_theta_of_a_gaussian_kernel_is_the_identity(core, rng, theta):
    logits, image = scene(rng, 5, 9, 3)
    for normalization in NORMALIZATIONS:
        check_mean_field(core, 1e-5, logits, image, [Kernel(1, theta)], normalization=normalization)


def test_smallest_theta_of_a_bilateral_kernel(core, rng):
    logits, image = scene(rng, 6, 9, 3)

    def attempt(theta: float) -> np.ndarray | None:
        with contextlib.suppress(CoreError):
            return core.mean_field(logits, image, [Kernel(2, theta, (theta, theta, theta))])
        return None

    refused, accepted = 1e-6, 1.0
    assert attempt(refused) is None
    while accepted / refused > 1.0001:
        middle = (accepted * refused) ** 0.5
        refused, accepted = (middle, accepted) if attempt(middle) is None else (refused, middle)
    check_refused(core, mean_field_arguments(logits, image, [Kernel(2, refused, [refused] * 3)]), "theta is too small")
    expected = naive_mean_field(logits, image, [Kernel(2, 1e-9)])  # the identity
    for theta in (accepted, 1.1 * accepted, 3 * accepted):
        np.testing.assert_allclose(attempt(theta), expected, atol=1e-5)


# ---- What is refused ----


def check_refused(core: Core, arguments: Arguments, word: str, run: Run | None = None) -> None:
    with pytest.raises(CoreError) as raised:
        core.call(arguments, run)
    assert raised.value.status == INVALID
    assert word in raised.value.message.lower()


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


# ---- Memory ----


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
