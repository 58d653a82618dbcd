"""The CUDA core's gradient, emulated: as the C++ core's, kept and computed again, any order, memory, cancellation."""

import itertools

import numpy as np
import pytest
import test_crf_core_gradient as both
from core_library import CANCELLED, NO_MEMORY, NORMALIZATIONS, CoreError, Kernel
from core_oracle import BILATERAL, GAUSSIAN, assert_close, assert_same_bits, scene
from cuda_library import Allocator
from test_crf_core_gradient import KERNELS, all_outputs, prepared

CLOSE = 1e-4  # largest difference to the C++ core


@pytest.fixture
def core(core, emulation, request):
    """For the tests of both cores the emulated one, for others the C++ core."""
    return emulation if request.function.__module__ == both.__name__ else core


test_a_batch_is_its_images = both.test_a_batch_is_its_images
test_bad_arguments = both.test_bad_arguments
test_bad_logits_are_refused = both.test_bad_logits_are_refused_where_they_are_looked_at
test_finite_differences = both.test_finite_differences_of_mean_field_in_float64
test_infinite_gradients_spread = both.test_infinite_gradients_spread
test_keeping_changes_no_bit_of_the_marginals = both.test_keeping_changes_no_bit_of_the_marginals
test_smallest_weights = both.test_the_smallest_weights_have_a_gradient
test_what_is_not_asked_for = both.test_what_is_not_asked_for_changes_nothing_else


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("penalties", [False, True])
@pytest.mark.parametrize("shape", [(3, 11, 13, 4), (70, 81, 5), (7, 9, 60), (1, 1, 2), (5, 6, 1)])
def test_as_the_core(core, emulation, rng, shape, penalties, normalization):
    logits, image = scene(rng, *shape)
    above = rng.normal(size=shape)
    matrix = rng.normal(size=(shape[-1],) * 2) if penalties else None
    few = 0.01 if normalization == "none" else 1
    kernels = [kernel._replace(weight=few * kernel.weight) for kernel in KERNELS]
    options = dict(kernels=kernels, penalties=matrix, iterations=3, normalization=normalization)
    expected, actual = (library.gradient(above, logits, image, **options) for library in (core, emulation))
    for ours, theirs in zip(actual, expected, strict=True):
        if theirs.size:
            assert_close(ours, theirs, CLOSE)


@pytest.mark.parametrize("iterations", [0, 1, 7])
@pytest.mark.parametrize("kernels", [[], [Kernel(0, 3)], [GAUSSIAN, BILATERAL]], ids=["none", "silent", "two"])
def test_any_number_of_iterations(core, emulation, rng, iterations, kernels):
    logits, image = scene(rng, 2, 12, 9, 4)
    above, matrix = rng.normal(size=logits.shape), rng.normal(size=(4, 4))
    for keep, penalties in itertools.product((False, True), (None, matrix)):
        options = dict(kernels=kernels, penalties=penalties, iterations=iterations, keep=keep)
        expected, actual = (library.gradient(above, logits, image, **options) for library in (core, emulation))
        for ours, theirs in zip(actual, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE * np.abs(theirs).max(initial=0))


@pytest.mark.parametrize("penalties", [False, True])
def test_kept_is_computed_again_in_any_order_of_threads(emulation, penalties):
    def arguments(keep):
        return prepared(emulation, np.random.default_rng(0), 2, 21, 23, 4, penalties=penalties, keep=keep)

    def outputs(keep, order):
        given = arguments(keep)
        emulation.call(given, stream=order)
        return np.concatenate([output.ravel() for output in given.outputs])

    assert_same_bits([outputs(keep, order) for keep in (False, True) for order in (0, 1, 5, 123_457)])


def test_large_sums_stay_exact(core, emulation, rng):
    """More numbers than shares, so that each thread adds up several."""
    logits, image = scene(rng, 200, 220, 3)
    above, matrix = np.abs(rng.normal(size=logits.shape)), np.ones((3, 3)) - np.eye(3)
    given = [library.gradient(above, logits, image, [GAUSSIAN], matrix, iterations=2) for library in (core, emulation)]
    for ours, theirs in zip(*given, strict=True):
        assert_close(ours, theirs, CLOSE)


def test_memory_that_ends_at_any_request(emulation, rng):
    for keep in (False, True):
        arguments = prepared(emulation, rng, 2, 9, 7, 3, keep=keep)
        emulation.call(arguments, allocator=(enough := Allocator()))
        for most in range(len(enough.blocks)):
            with pytest.raises(CoreError, match="the GPU has no") as raised:
                emulation.call(arguments, allocator=Allocator(most))
            assert raised.value.status == NO_MEMORY
        expected = all_outputs(emulation, arguments)
        emulation.call(arguments, allocator=Allocator(len(enough.blocks)))
        assert_same_bits([expected, np.concatenate([output.ravel() for output in arguments.outputs])])


def test_keeping_saves_the_gradient_memory(emulation):
    taken = []
    for keep in (False, True):
        arguments = prepared(emulation, np.random.default_rng(0), 90, 80, 21, penalties=False, keep=keep)
        emulation.call(arguments, allocator=(allocator := Allocator()))
        taken.append(allocator.bytes)
    assert taken[0] - taken[1] == 4 * 3 * 90 * 80 * 21


def test_cancelled_after_any_step(emulation, rng):
    arguments = prepared(emulation, rng, 2, 9, 7, 3)
    asked = itertools.count()
    emulation.call(arguments, cancelled=lambda _: next(asked) < 0)
    steps = next(asked)
    assert steps >= 2 * (3 + 3)  # each image: lattices, and iterations backwards
    for questions in range(steps):
        count = itertools.count()
        with pytest.raises(CoreError, match="cancel") as raised:
            emulation.call(arguments, cancelled=lambda _, count=count, most=questions: next(count) >= most)
        assert raised.value.status == CANCELLED
        assert next(count) == questions + 1


def test_one_label_has_the_gradient_zero_whatever_the_logits(core, emulation):
    for library in (core, emulation):
        arguments = prepared(library, np.random.default_rng(0), 4, 5, 1)
        arguments.arrays[-1].arrays[0][:] = np.nan  # the forward call's logits
        assert not all_outputs(library, arguments).any()
