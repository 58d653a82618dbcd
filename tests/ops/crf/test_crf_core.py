"""The permutohedral filter of the C++ core, and what holds for both of its functions: levels, threads, batches."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from core_library import (
    NORMALIZATIONS,
    Arguments,
    CoreError,
    Kernel,
    ParallelFor,
    Run,
    filter_arguments,
    mean_field_arguments,
)
from core_oracle import BILATERAL, GAUSSIAN, assert_close, assert_same_bits, gaussian_matrix, lattice_matrix, scene


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
