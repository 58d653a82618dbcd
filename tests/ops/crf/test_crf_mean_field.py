"""Mean-field inference by the C++ core against float64 NumPy."""

import contextlib

import numpy as np
import pytest
from core_library import NORMALIZATIONS, Core, CoreError, Kernel, Run, check_refused, mean_field_arguments
from core_oracle import (
    BILATERAL,
    EXACT,
    GAUSSIAN,
    NARROW,
    SPLINES,
    assert_close,
    gaussian_matrix,
    kernel_matrix,
    naive_mean_field,
    scene,
    softmax,
)


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


def test_a_denormal_weight_leaves_the_kernel_out(core, rng):
    """Whether or not the thread flushes denormals, which images of a batch side by side do."""
    logits, image = scene(rng, 2, 9, 16, 5)
    image[:, 3, 4] = np.nan  # an image that nobody looks at may hold anything
    kernels = [Kernel(1e-40, 30.3, (40, 40, 40))]
    for threads in (1, 2):
        marginals = core.mean_field(logits, image, kernels, iterations=1, run=Run(threads=threads))
        np.testing.assert_allclose(marginals, softmax(logits.astype(float)), atol=1e-6)


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
