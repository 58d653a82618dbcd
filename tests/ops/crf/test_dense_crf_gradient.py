"""The gradient of dense_crf: by finite differences of the operation itself, and against the reference's."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf

NORMALIZATIONS = ("symmetric", "before", "after", "none")
# A kernel of weight 0 takes no part in the marginals, and yet has a gradient; one may repel.
KERNELS = (
    Bilateral(1.2, 20.3, 40.0),
    Gaussian(0.8),
    Bilateral(-0.5, 9.3, 30.0),
    Gaussian(0.0, 2.0),
    Gaussian(0.4, 0.9),
)
OPTIONS = dict(iterations=3, impl="custom")


def scene(*shape, seed=0):
    """Logits (n, h, w, labels), an image (n, h, w, 3) of smooth colours and noise, weights of a loss."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]] / 9
    image = 128 + 90 * np.sin(rng.uniform(0, 6, (shape[0], 1, 1, 3)) + x[..., None] + 2 * y[..., None])
    image += rng.normal(0, 6, image.shape)
    return tuple(
        tf.constant(array, tf.float32) for array in (rng.normal(0, 1.5, shape), image, rng.normal(0, 1, shape))
    )


def gradients(function, arguments, above):
    """Of sum(function(*arguments) * above), with respect to each argument."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return tape.gradient(value, arguments, above)


def slope(function, argument, direction, above, step):
    """Central differences of two steps, extrapolated to none; the sum over the marginals is taken in float64."""

    def difference(length):
        ahead, behind = (function(argument + sign * length * direction).numpy().astype(float) for sign in (1, -1))
        return ((ahead - behind) * above.numpy()).sum() / (2 * length)

    return (4 * difference(step / 2) - difference(step)) / 3


def check_slopes(function, arguments, above, steps, bound=1e-2):
    """Along random directions, relative to the largest slope, for each argument in turn."""
    rng = np.random.default_rng(1)
    given = gradients(function, arguments, above)
    for i, (gradient, step) in enumerate(zip(given, steps, strict=True)):

        def alone(argument, i=i):
            return function(*arguments[:i], argument, *arguments[i + 1 :])

        directions = [tf.constant(rng.normal(size=gradient.shape), tf.float32) for _ in range(6)]
        expected = np.array([slope(alone, arguments[i], direction, above, step) for direction in directions])
        actual = np.array([(gradient.numpy().astype(float) * direction.numpy()).sum() for direction in directions])
        assert np.abs(actual - expected).max() <= bound * np.abs(expected).max(), f"argument {i}"


def test_tensorflows_own_checker_agrees():
    """`tf.test.compute_gradient` of unaries, penalties and kernel weights, relative to the largest derivative."""
    logits, image, above = scene(1, 5, 6, 3)

    def loss(logits, penalties, weights):
        settings = dict(kernels=(Bilateral(1.2, 20.3, 40.0), Gaussian(0.8)), kernel_weights=weights)
        return tf.reduce_sum(above * dense_crf(logits, image, compatibility=penalties, **settings, **OPTIONS))

    given = (logits, tf.constant(1.0 - np.eye(3), tf.float32), tf.constant([1.2, 0.8]))
    for actual, expected in zip(*tf.test.compute_gradient(loss, given, delta=1 / 64), strict=True):
        assert np.abs(expected).max() > 1e-3
        assert np.abs(actual - expected).max() <= 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("shape", [(2, 11, 13, 4), (1, 40, 110, 3)], ids=["batch", "bands"])
def test_penalties(normalization, shape):
    logits, image, above = scene(*shape)
    share = 60 if normalization == "none" else 1
    weights = tf.constant([kernel.weight / share for kernel in KERNELS])
    matrix = tf.constant(np.random.default_rng(2).normal(0.3, 1, (shape[-1],) * 2), tf.float32)

    def marginals(logits, weights, matrix):
        options = dict(kernel_weights=weights, compatibility=matrix, normalization=normalization)
        return dense_crf(logits, image, kernels=KERNELS, **options, **OPTIONS)

    check_slopes(marginals, [logits, weights, matrix], above, [0.05, 0.05 / share, 0.05])


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("shape", [(2, 11, 13, 4), (1, 40, 110, 21)], ids=["batch", "bands"])
def test_potts(normalization, shape):
    logits, image, _ = scene(*shape)
    share = 60 if normalization == "none" else 1
    weights = tf.constant([kernel.weight / share for kernel in KERNELS])

    def marginals(logits, weights, penalty):
        options = dict(kernel_weights=weights, compatibility=penalty, normalization=normalization)
        return dense_crf(logits, image, kernels=KERNELS, **options, **OPTIONS)

    # The probability of each pixel's best label: every weight raises it, so that slopes stand out of the rounding.
    above = tf.one_hot(tf.argmax(logits, -1), shape[-1])
    check_slopes(marginals, [logits, weights, tf.constant(0.8)], above, [0.05, 0.1 / share, 0.05])


@pytest.mark.parametrize("iterations", [0, 1, 7])
def test_any_number_of_iterations(iterations):
    logits, image, above = scene(1, 9, 10, 5)
    kernels = KERNELS[:2]

    def marginals(logits, weights):
        return dense_crf(logits, image, kernels=kernels, kernel_weights=weights, iterations=iterations, impl="custom")

    if iterations:
        check_slopes(marginals, [logits, tf.constant([0.9, 0.7])], above, [0.05, 0.05])
    else:
        arguments = [logits, tf.constant([0.9, 0.0])]
        of_logits, of_weights = gradients(marginals, arguments, above)
        expected = gradients(tf.nn.softmax, [logits], above)[0]
        np.testing.assert_allclose(of_logits, expected, atol=1e-6)
        np.testing.assert_array_equal(of_weights, [0, 0])


def test_probabilities_have_a_gradient():
    logits, image, above = scene(1, 9, 10, 5)
    options = dict(from_probabilities=True, kernels=KERNELS[:2], **OPTIONS)
    given = 0.5 * tf.nn.softmax(logits) + 0.1  # far from 0, where the logarithm bends
    check_slopes(lambda given: dense_crf(given, image, **options), [given], above, [0.01])


def test_impossible_labels():
    """-inf has the gradient 0, and what else there is does not notice."""
    logits, image, above = scene(1, 12, 14, 5)
    mask = np.random.default_rng(3).uniform(size=logits.shape) < 0.3
    mask[..., 0] = False
    masked = np.where(mask, -np.inf, logits)
    matrix = tf.constant(np.random.default_rng(2).normal(0, 1, (5, 5)), tf.float32)

    def marginals(logits, matrix):
        options = dict(kernels=KERNELS[:2], compatibility=matrix, **OPTIONS)
        return dense_crf(tf.where(mask, -np.inf, logits), image, **options)

    check_slopes(marginals, [logits, matrix], above, [0.05, 0.05])
    options = dict(kernels=KERNELS[:2], compatibility=matrix, **OPTIONS)
    direct = gradients(lambda logits: dense_crf(logits, image, **options), [tf.constant(masked, tf.float32)], above)[0]
    np.testing.assert_array_equal(direct.numpy()[mask], 0)
    np.testing.assert_array_equal(direct, gradients(marginals, [logits, matrix], above)[0])


def test_one_label_has_the_gradient_zero():
    logits, image, above = scene(1, 5, 6, 1)

    def marginals(logits, weights, matrix):
        return dense_crf(logits, image, kernels=KERNELS[:1], kernel_weights=weights, compatibility=matrix, **OPTIONS)

    for gradient in gradients(marginals, [logits, tf.ones(1), tf.ones((1, 1))], above):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("matrix", [False, True])
def test_is_the_references_where_both_are_exact(normalization, matrix):
    """Gaussians below 1.5 pixels, which neither thins or approximates."""
    logits, image, above = scene(2, 9, 8, 4)
    kernels = (Gaussian(0.9, 1.2), Gaussian(0.6, (0.7, 1.4)))
    start = np.random.default_rng(2).normal(0.3, 1, (4, 4)) if matrix else 0.9

    def marginals(impl):
        def call(logits, weights, compatibility):
            options = dict(kernels=kernels, kernel_weights=weights, compatibility=compatibility, iterations=3)
            return dense_crf(logits, image, normalization=normalization, impl=impl, **options)

        return call

    arguments = [logits, tf.constant([0.9, 0.6]), tf.constant(start, tf.float32)]
    ours, theirs = (gradients(marginals(impl), arguments, above) for impl in ("custom", "reference"))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())


def test_is_near_the_references_where_the_lattice_approximates():
    logits, image, above = scene(1, 12, 14, 4)
    kernels = (Bilateral(1.0, 20.3, 60.0), Gaussian(1.0, 2.0))

    def of(impl):
        def call(logits, weights):
            return dense_crf(logits, image, kernels=kernels, kernel_weights=weights, iterations=3, impl=impl)

        return gradients(call, [logits, tf.constant([1.0, 1.0])], above)

    for ours, theirs in zip(of("custom"), of("reference"), strict=True):
        ours, theirs = np.ravel(ours), np.ravel(theirs)
        assert ours @ theirs > 0.98 * np.linalg.norm(ours) * np.linalg.norm(theirs)
        assert 0.8 < np.linalg.norm(ours) / np.linalg.norm(theirs) < 1.25


def test_kept_is_computed_again():
    logits, image, above = scene(2, 11, 13, 4)
    matrix = tf.constant(np.random.default_rng(2).normal(0, 1, (4, 4)), tf.float32)

    def of(keep):
        def marginals(logits, weights, matrix):
            options = dict(kernel_weights=weights, compatibility=matrix, keep=keep)
            return dense_crf(logits, image, kernels=KERNELS[:2], **options, **OPTIONS)

        return marginals

    arguments = [logits, tf.ones(2), matrix]
    np.testing.assert_array_equal(of(True)(*arguments), of(False)(*arguments))
    kept, again, graph = (gradients(f, arguments, above) for f in (of(True), of(False), tf.function(of(True))))
    for one, other, third in zip(kept, again, graph, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)
    empty = gradients(lambda *x: of(True)(*x)[:0], arguments, above[:0])
    for gradient in empty:
        np.testing.assert_array_equal(gradient, 0)
    image = image[:0]
    empty = gradients(of(False), [logits[:0], *arguments[1:]], above[:0])
    assert [tuple(gradient.shape) for gradient in empty] == [(0, 11, 13, 4), (2,), (4, 4)]
    np.testing.assert_array_equal(empty[2], 0)


def test_only_what_is_a_tensor_has_a_gradient():
    logits, image, above = scene(1, 6, 7, 3)
    given = gradients(lambda logits, image: dense_crf(logits, image, impl="custom"), [logits, image], above)
    assert given[0] is not None
    assert given[1] is None
    counted = _gradient_operation(logits, image)
    assert (counted.get_attr("learn_weights"), counted.get_attr("learn_penalties")) == (False, False)
    counted = _gradient_operation(logits, image, kernel_weights=tf.ones(2), compatibility=np.ones((3, 3)))
    assert (counted.get_attr("learn_weights"), counted.get_attr("learn_penalties")) == (True, False)
    counted = _gradient_operation(logits, image, compatibility=tf.ones((3, 3)))
    assert (counted.get_attr("learn_weights"), counted.get_attr("learn_penalties")) == (False, True)
    half = tf.cast(logits, tf.float16)
    given = gradients(lambda logits: dense_crf(logits, image, impl="custom"), [half], tf.cast(above, tf.float16))
    assert given[0].dtype == tf.float16


def _gradient_operation(logits, image, **options):
    """That of the graph of a gradient with respect to the logits."""

    @tf.function
    def graph(logits):
        return tf.gradients(dense_crf(logits, image, impl="custom", **options), logits)

    found = graph.get_concrete_function(logits).graph.get_operations()
    return next(operation for operation in found if operation.type == "KerasVisionDenseCrfGradient")


@pytest.mark.parametrize("impl", ["custom", "reference"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (dict(kernel_weights=[1.0]), "kernel_weights must be 2 finite numbers"),
        (dict(kernel_weights=tf.ones((2, 1))), "kernel_weights must be 2 finite numbers"),
        (dict(kernel_weights=[1.0, np.nan]), "kernel_weights must be 2 finite numbers"),
        (dict(kernel_weights="both"), "kernel_weights must be 2 finite numbers"),
        (dict(compatibility=tf.ones((3, 2))), r"shape \(3, 3\), one row for each label"),
        (dict(compatibility=tf.ones(3)), r"shape \(3, 3\), one row for each label"),
        (dict(compatibility=np.inf), "finite matrix"),
        (dict(compatibility="potts"), "matrix of numbers, not 'potts'"),
    ],
)
def test_bad_parameters(given, says, impl):
    with pytest.raises(KerasVisionError, match=says):
        dense_crf(np.zeros((1, 4, 5, 3)), np.zeros((1, 4, 5, 3)), impl=impl, **given)


def test_bad_values_of_tensors_and_unknown_sizes():
    zeros = np.zeros((1, 4, 5, 3), np.float32)
    with pytest.raises(KerasVisionError, match="weight of kernel 1 is not finite"):
        dense_crf(zeros, zeros, kernel_weights=tf.constant([1.0, np.nan]), impl="custom")
    with pytest.raises(KerasVisionError, match="penalties hold NaN"):
        dense_crf(zeros, zeros, compatibility=tf.constant(np.full((3, 3), np.nan), tf.float32), impl="custom")

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 5, None))], autograph=False)
    def unknown(logits):
        return dense_crf(logits, zeros, compatibility=Potts(), impl="custom")

    with pytest.raises(KerasVisionError, match="static numbers of labels and channels"):
        unknown(zeros)


def test_more_iterations_than_memory_can_keep():
    zeros = np.zeros((1, 200, 300, 3), np.float32)
    with pytest.raises(MemoryError, match=r"marginals of all iterations take .* GiB .*Do not keep them"):
        dense_crf(zeros, zeros, iterations=10**9, keep=True, impl="custom")
