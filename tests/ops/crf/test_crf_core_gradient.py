"""The core's gradient: kept and computed again, threads, levels, batches, memory, cancellation, bad arguments."""

import itertools
import time

import numpy as np
import pytest
from core_library import (
    CANCELLED,
    NO_MEMORY,
    NORMALIZATIONS,
    Cancelled,
    CoreError,
    Kernel,
    ParallelFor,
    Run,
    check_refused,
    gradient_arguments,
    mean_field_arguments,
)
from core_oracle import BILATERAL, GAUSSIAN, NARROW, assert_close, assert_same_bits, naive_mean_field, scene

KERNELS = [GAUSSIAN, BILATERAL, Kernel(-1, 9.3, (30, 30, 30)), Kernel(0, 15.3, (30, 30, 30)), Kernel(0, 2)]
MIB = 2**20


def prepared(core, rng, *shape, penalties=True, **options):
    """Arguments of a gradient, after the forward call."""
    logits, image = scene(rng, *shape)
    matrix = rng.normal(size=(shape[-1],) * 2) if penalties else None
    forward = mean_field_arguments(logits, image, KERNELS, matrix, 3, **options)
    core.call(forward)
    return gradient_arguments(forward, rng.normal(size=shape))


def all_outputs(core, arguments, run=None):
    for output in arguments.outputs:
        output.fill(np.nan)
    core.call(arguments, run)
    assert all(np.isfinite(output).all() for output in arguments.outputs)
    return np.concatenate([output.ravel() for output in arguments.outputs])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("penalties", [False, True])
def test_finite_differences_of_mean_field_in_float64(core, rng, normalization, penalties):
    """The oracle with its own lattice: the gradient is that of the very function that is computed."""
    logits, image = scene(rng, 5, 6, 3)
    above = rng.normal(size=logits.shape)
    kernels = [Kernel(0.8, 1.2), Kernel(1.5, 30.3, (40, 40, 40)), Kernel(0, 30.3, (40, 40, 40))]
    matrix = rng.normal(size=(3, 3)).astype(np.float32) if penalties else None
    options = dict(iterations=2, normalization=normalization)
    given = core.gradient(above, logits, image, kernels, matrix, **options)

    def loss(logits, weights, matrix=None):
        used = [kernel._replace(weight=weight) for kernel, weight in zip(kernels, weights, strict=True)]
        return (naive_mean_field(logits, image, used, matrix, **options) * above).sum()

    arguments = [logits, np.array([kernel.weight for kernel in kernels]), *([matrix] if penalties else [])]
    steps = (1e-2, 1e-5, 1e-5)  # the oracle takes its logits in float32
    for i, argument in enumerate(arguments):
        direction = rng.normal(size=argument.shape)
        sides = [loss(*arguments[:i], argument + s * direction, *arguments[i + 1 :]) for s in (steps[i], -steps[i])]
        expected = (sides[0] - sides[1]) / (2 * steps[i])
        assert (given[i] * direction).sum() == pytest.approx(expected, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("shape", [(3, 11, 13, 4), (90, 101, 5), (7, 9, 60)])
@pytest.mark.parametrize("penalties", [False, True])
def test_kept_is_computed_again_with_any_threads(core, rng, shape, penalties):
    @ParallelFor
    def backwards(_, count, task, state):
        for i in reversed(range(count)):
            task(state, i)

    arguments = prepared(core, rng, *shape, penalties=penalties)
    runs = [*(Run(threads=threads) for threads in (1, 2, 3, 8)), Run(parallel_for=backwards)]
    again = [all_outputs(core, arguments, run) for run in runs]
    kept = prepared(core, np.random.default_rng(0), *shape, penalties=penalties, keep=True)
    assert_same_bits([*again, *(all_outputs(core, kept, run) for run in runs)])
    levels = [all_outputs(core, arguments, Run(level=level)) for level in range(1, core.best_level + 1)]
    for level in levels:
        assert_close(level, again[0], 1e-3)


def test_keeping_changes_no_bit_of_the_marginals(core, rng):
    logits, image = scene(rng, 2, 70, 71, 5)
    for iterations in (0, 1, 4):
        options = dict(kernels=KERNELS, iterations=iterations)
        plain = core.mean_field(logits, image, **options)
        arguments = mean_field_arguments(logits, image, **options, keep=True)
        assert_same_bits([plain, core.call(arguments)])
        kept = arguments.arrays[4]
        assert kept.shape == (2, iterations, 70, 71, 5)
        for i in range(iterations):
            options["iterations"] = i
            assert_same_bits([core.mean_field(logits, image, **options), kept[:, i]])


def test_a_batch_is_its_images(core, rng):
    logits, image = scene(rng, 5, 30, 31, 4)
    above, matrix = rng.normal(size=logits.shape), rng.normal(size=(4, 4))
    singles = [core.gradient(above[i], logits[i], image[i], KERNELS, matrix) for i in range(5)]
    for threads in (1, 2, 4):  # side by side, as far as they go
        together = core.gradient(above, logits, image, KERNELS, matrix, run=Run(threads=threads))
        assert_same_bits([together[0], np.stack([single[0] for single in singles])])
        for i in (1, 2):
            np.testing.assert_allclose(together[i], sum(single[i] for single in singles), rtol=1e-4, atol=1e-4)


def test_what_is_not_asked_for_changes_nothing_else(core, rng):
    arguments = prepared(core, rng, 2, 9, 8, 4)
    core.call(arguments)
    of_logits, of_weights, of_penalties = (output.copy() for output in arguments.outputs)
    arguments.penalties_gradient = None
    core.call(arguments)
    np.testing.assert_array_equal(arguments.outputs[0], of_logits)
    np.testing.assert_array_equal(arguments.outputs[1], of_weights)
    arguments.weights_gradient = None
    arguments.outputs[0].fill(np.nan)
    core.call(arguments)
    np.testing.assert_array_equal(arguments.outputs[0], of_logits)
    np.testing.assert_array_equal(arguments.outputs[2], of_penalties)


def test_the_smallest_weights_have_a_gradient(core, rng):
    """It does not jump on the way to 0."""
    logits, image = scene(rng, 9, 8, 4)
    above = rng.normal(size=logits.shape)
    of = [core.gradient(above, logits, image, [Kernel(w, 3), GAUSSIAN])[1] for w in (0, 1e-44, 1e-30, 1e-17, 1e-10)]
    assert abs(of[0][0]) > 1e-3
    for one in of[1:]:
        np.testing.assert_allclose(one, of[0], rtol=1e-4)


def test_infinite_gradients_spread(core, rng):
    """As loss scaling needs it: the optimizer skips the step."""
    logits, image = scene(rng, 9, 8, 4)
    above = rng.normal(size=logits.shape)
    above[3, 4, 2] = np.inf
    of_logits, of_weights, _ = core.gradient(above, logits, image, [NARROW, BILATERAL])
    assert np.isnan(of_logits[3, 4]).all()
    assert np.isnan(of_weights).all()


def test_a_limit_of_the_peak_is_enough(core, rng):
    for shape, keep in (((90, 80, 5), False), ((90, 80, 5), True), ((3, 30, 40, 4), False)):
        arguments = prepared(core, rng, *shape, keep=keep)
        expected = all_outputs(core, arguments, run := Run())
        peak = run.memory_peak
        limited = Run(threads=2, memory_limit=peak + 64)
        assert_same_bits([expected, all_outputs(core, arguments, limited)])
        for limit in (peak - 1, peak // 2, 1000, 1):
            with pytest.raises(CoreError, match="memory") as raised:
                core.call(arguments, run := Run(memory_limit=limit))
            assert raised.value.status == NO_MEMORY
            assert run.memory_peak <= limit


def test_keeping_saves_the_gradient_memory(core, rng):
    peaks = []
    for keep in (False, True):
        all_outputs(core, prepared(core, rng, 90, 80, 21, keep=keep), run := Run())
        peaks.append(run.memory_peak)
    iterations = 4 * 3 * 90 * 80 * 21  # bytes; the lattices need some more while they are built
    assert 0.9 * iterations < peaks[0] - peaks[1] < 1.1 * iterations


def test_what_cannot_fit_is_refused_at_once(core, rng):
    arguments = prepared(core, rng, 9, 8, 4, penalties=False)
    arguments.forward.height, arguments.forward.width = 5000, 8000
    huge = {name: np.zeros(5000 * 8000 * 4, np.float32) for name in ("logits", "image", "marginals")}  # not touched
    arguments.forward.point(**huge)
    arguments.point(marginals_gradient=huge["logits"], logits_gradient=huge["marginals"])
    start = time.process_time()
    with pytest.raises(CoreError, match="memory") as raised:
        core.call(arguments, run := Run(memory_limit=64 * MIB))
    assert raised.value.status == NO_MEMORY
    assert run.memory_peak <= 64 * MIB
    assert time.process_time() - start < 0.5


def test_cancelled_after_any_step(core, rng):
    def attempt(arguments, questions):
        count = itertools.count()
        with pytest.raises(CoreError, match="cancel") as raised:
            core.call(arguments, Run(cancelled=Cancelled(lambda _: next(count) >= questions)))
        assert raised.value.status == CANCELLED
        return next(count)

    for keep, steps in ((True, 2 * (5 + 3)), (False, 2 * (5 + 3 + 2))):
        arguments = prepared(core, rng, 2, 9, 7, 3, keep=keep)
        asked = itertools.count()
        core.call(arguments, Run(cancelled=Cancelled(lambda _, asked=asked: next(asked) < 0)))
        assert next(asked) >= steps
        assert [attempt(arguments, questions) for questions in range(steps)] == list(range(1, steps + 1))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (dict(marginals_gradient=None), "array is missing"),
        (dict(logits_gradient=None), "array is missing"),
        (dict(penalties_gradient=1), "potts"),
        (dict(logits=None), "array is missing"),
        (dict(marginals=None), "array is missing"),
        (dict(height=0), "height"),
        (dict(iterations=-1), "iterations"),
        (dict(normalization=7), "normalization"),
        (dict(batch=2**39, iterations=2**30), "all iterations"),
    ],
)
def test_bad_arguments(core, rng, change, word):
    arguments = prepared(core, rng, 4, 5, 3, penalties=False)
    for name, value in change.items():
        setattr(arguments if name.endswith("gradient") else arguments.forward, name, value)
    check_refused(core, arguments, word)


def test_bad_logits_are_refused_where_they_are_looked_at(core, rng):
    arguments = prepared(core, rng, 4, 5, 3)
    arguments.arrays[-1].arrays[0][2, 3, 1] = np.nan
    check_refused(core, arguments, "logits")
