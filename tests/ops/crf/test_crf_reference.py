"""The CRF in keras.ops against a float64 oracle, on TensorFlow, JAX and LiteRT; its gradient; its thinned kernels."""

import subprocess
import sys
import textwrap

import crf_oracle as oracle
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf import reference
from keras_vision.ops.crf.energy import Bilateral, Gaussian, Potts
from keras_vision.ops.crf.reference import mean_field

NORMALIZATIONS = ("symmetric", "before", "after", "none")
KERNELS = (Gaussian(2.0, 1.5), Bilateral(3.0, 6.0, 40.0))
PAPER = ((Gaussian(), Bilateral()), Potts(), 10, "symmetric")
MATRIX = np.array([[0, 1, 0.2], [0.5, 0, 2], [-0.3, 1.5, 0]])  # neither symmetric nor positive


def example(h=7, w=9, labels=3, channels=3, n=2, seed=0):
    """Seeded logits (n, h, w, labels) and images of patches with noise, in 0–255."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(40, 215, (n, 3, 3, channels)).repeat(-(-h // 3), axis=1).repeat(-(-w // 3), axis=2)
    image = patches[:, :h, :w] + rng.normal(0, 12, (n, h, w, channels))
    return rng.normal(0, 1.5, (n, h, w, labels)).astype("float32"), image.astype("float32")


def expected(logits, image, *settings):
    return np.stack([oracle.mean_field(*pair, *settings) for pair in zip(logits, image, strict=True)])


def largest_difference(logits, image, *settings):
    marginals = np.asarray(mean_field(logits, image, *settings))
    assert marginals.dtype == np.float32
    return np.abs(marginals - expected(logits, image, *settings)).max()


@pytest.mark.parametrize("compatibility", [Potts(), MATRIX], ids=["Potts", "matrix"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_agrees_with_the_oracle(normalization, compatibility):
    kernels = KERNELS if normalization != "none" else (Gaussian(0.2, 1.5), Bilateral(0.2, 6.0, 40.0))
    logits, image = example()
    without, by = (mean_field(logits, image, k, compatibility, 5, normalization) for k in ((), kernels))
    assert np.abs(by - without).max() > 0.3
    assert largest_difference(logits, image, kernels, compatibility, 5, normalization) <= 1e-5


@pytest.mark.parametrize(("channels", "kernels"), [
    (3, (Gaussian(),)),
    (3, (Bilateral(),)),
    (1, (Bilateral(4.0, (2.0, 9.0), 30.0),)),
    (3, (Gaussian(3.0, (1.0, 4.0)),)),
    (3, (Bilateral(5.0, (8.0, 0.7), (10.0, 90.0, 40.0)), Gaussian(1.0, (3.0, 0.5)))),
    (4, (Bilateral(2.0, 3.0, 50.0), Bilateral(4.0, 60.0, (9.0, 20.0, 30.0, 15.0)), Gaussian(-0.5, 2.0))),
])  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kernel_agrees_with_the_oracle(channels, kernels, seed):
    logits, image = example(h=8, w=6, labels=4, channels=channels, seed=seed)
    assert largest_difference(logits, image, kernels, Potts(), 4, "symmetric") <= 2e-5


@pytest.mark.parametrize("iterations", [1, 10])
def test_iterations(iterations):
    logits, image = example()
    assert largest_difference(logits, image, KERNELS, Potts(), np.int64(iterations), "symmetric") <= 1e-4


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1.*size 1")
@pytest.mark.parametrize(("h", "w", "labels"), [(1, 1, 3), (1, 12, 3), (12, 1, 3), (5, 6, 1), (2, 2, 7)])
def test_small_images(h, w, labels):
    logits, image = example(h, w, labels)
    assert largest_difference(logits, image, KERNELS, Potts(), 3, "symmetric") <= 1e-5
    assert largest_difference(logits, image, KERNELS, Potts(), 3, "none") <= 1e-5


def test_no_kernels_and_no_iterations_leave_the_softmax():
    logits, image = example()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for kernels, iterations in (((), 5), (KERNELS, 0)):
        marginals = mean_field(logits, image, kernels, MATRIX, iterations, "symmetric")
        np.testing.assert_allclose(marginals, softmax, atol=1e-6)


def test_a_constant_image():
    logits, image = example()
    assert largest_difference(logits, np.full_like(image, 77), KERNELS, MATRIX, 3, "symmetric") <= 1e-5


def test_large_differences_of_position_and_colour():
    logits, image = example(h=2, w=200, seed=3)
    kernels = (Bilateral(4.0, 0.6, 2.5),)
    assert largest_difference(logits, image, kernels, Potts(), 3, "symmetric") <= 1e-5


def test_extreme_logits():
    logits, image = example()
    logits[0, :, :4, 0], logits[1] = -np.inf, 1e4 * logits[1]
    assert largest_difference(logits, image, KERNELS, Potts(), 3, "symmetric") <= 1e-5


@pytest.mark.parametrize("pairs", [1, 1200, 2**20], ids=["a row", "two of seven rows", "all rows"])
def test_rows_at_a_time(pairs, monkeypatch):
    monkeypatch.setattr(reference, "PAIRS", pairs)
    assert largest_difference(*example(), KERNELS, Potts(), 3, "symmetric") <= 1e-5


FULL = oracle.kernel_matrix


def thinned(kernel, image):
    """The kernel of an image of 10 x 11 pixels: 3 x 3 sources that speak for their cells, and one's own voice."""
    rows, columns = {0: 3, 4: 4, 8: 3}, {1: 4, 5: 4, 9: 3}  # position -> pixels that are nearest
    assert image.shape[:2] == (10, 11)
    cells = np.zeros((10, 11))
    for y, height in rows.items():
        for x, width in columns.items():
            cells[y, x] = height * width
    assert cells.sum() == 110
    return FULL(kernel, image) * cells.ravel() + np.eye(110)


@pytest.mark.parametrize("pairs", [300, 2**20], ids=["three of ten rows", "all rows"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_thinned_sources(normalization, pairs, monkeypatch):
    monkeypatch.setattr(reference, "PAIRS", pairs)
    logits, image = example(10, 11)
    kernel = Bilateral(3.0 if normalization != "none" else 0.05, 4.0, 60.0)
    marginals = np.asarray(mean_field(logits, image, (kernel,), Potts(), 3, normalization, max_sources=12))
    monkeypatch.setattr(oracle, "kernel_matrix", thinned)
    truth = expected(logits, image, (kernel,), Potts(), 3, normalization)
    np.testing.assert_allclose(marginals, truth, atol=1e-5)


def test_one_source_is_enough_to_run():
    logits, image = example()
    marginals = np.asarray(mean_field(logits, image, KERNELS, Potts(), 3, "symmetric", max_sources=1))
    np.testing.assert_allclose(marginals.sum(axis=-1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def photograph(shared):
    """A part of a photograph with logits from its labels and noise, and its exact marginals."""
    window = (slice(60, 120), slice(100, 180))
    folder = shared / "data/crf_examples"
    image = np.asarray(Image.open(folder / "im1.png").convert("RGB"), np.float32)[window]
    labels = np.asarray(Image.open(folder / "anno1-b.png"))[window]
    logits = (labels[..., None] == [0, 1]) + np.random.default_rng(0).normal(0, 1, (*labels.shape, 2))
    exact = np.asarray(mean_field(logits[None], image[None], *PAPER, max_sources=labels.size))
    assert 0.1 < (exact.argmax(axis=-1) != logits.argmax(axis=-1)).mean() < 0.5
    return logits[None], image[None], exact


@pytest.mark.parametrize(("max_sources", "mean", "changed"), [(1200, 0.003, 0.003), (540, 0.01, 0.01)])
def test_thinned_sources_are_close_on_a_photograph(max_sources, mean, changed, photograph):
    logits, image, exact = photograph
    marginals = np.asarray(mean_field(logits, image, *PAPER, max_sources=max_sources))
    assert 0 < np.abs(marginals - exact).mean() <= mean
    assert (marginals.argmax(axis=-1) != exact.argmax(axis=-1)).mean() <= changed


@pytest.mark.parametrize("max_sources", [63, 20])
@pytest.mark.parametrize("batch", [2, None])
def test_the_same_numbers_in_a_tf_function(max_sources, batch):
    logits, image = example()
    signature = [tf.TensorSpec([batch, *array.shape[1:]]) for array in (logits, image)]
    function = tf.function(lambda *arrays: mean_field(*arrays, KERNELS, MATRIX, 5, "symmetric", max_sources))
    marginals = function.get_concrete_function(*signature)(tf.constant(logits), tf.constant(image))
    eager = mean_field(logits, image, KERNELS, MATRIX, 5, "symmetric", max_sources)
    np.testing.assert_allclose(marginals, eager, atol=1e-6)


@pytest.mark.parametrize(("given", "returned"), [
    ("float16", "float16"), ("bfloat16", "bfloat16"), ("float64", "float32"), ("int32", "float32"),
])  # fmt: skip
def test_types(given, returned):
    logits, image = example()
    logits = tf.cast(tf.round(logits), given)
    marginals = mean_field(logits, image.astype("uint8"), KERNELS, Potts(), 3, "symmetric")
    assert marginals.dtype.name == returned
    truth = expected(np.round(example()[0]), image.astype("uint8"), KERNELS, Potts(), 3, "symmetric")
    np.testing.assert_allclose(tf.cast(marginals, tf.float64), truth, atol=1e-5 if returned == "float32" else 4e-3)


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(max_sources=0), "max_sources must be at least 1; given: 0"),
    (dict(compatibility=np.eye(3)), r"shape \(2, 2\)"),
    (dict(kernels=[Bilateral(theta_beta=(1.0, 2.0))]), "or 3 numbers"),
])  # fmt: skip
def test_errors(arguments, message):
    settings = dict(kernels=KERNELS, compatibility=Potts(), iterations=1, normalization="symmetric") | arguments
    with pytest.raises(KerasVisionError, match=message):
        mean_field(np.ones((1, 4, 5, 2)), np.ones((1, 4, 5, 3)), **settings)


def test_an_unknown_size_is_an_error_that_says_so():
    def run(logits, image):
        return mean_field(logits, image, KERNELS, Potts(), 1, "none")

    function = tf.function(run, autograph=False)  # autograph turns errors into its own
    with pytest.raises(KerasVisionError, match=r"of which only n may be unknown; given: \(1, None, 9, 3\)"):
        function.get_concrete_function(tf.TensorSpec([1, None, 9, 3]), tf.TensorSpec([1, None, 9, 3]))


def gradient(function, array, step=1e-5):
    """Central differences of a scalar function of a float64 array."""
    slopes = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        change = np.zeros(array.shape)
        change[index] = step
        slopes[index] = (function(array + change) - function(array - change)) / (2 * step)
    return slopes


GRADIENT = (KERNELS, MATRIX, 3, "symmetric")


@pytest.fixture(scope="module")
def slopes():
    """A small example, a direction, and the gradients of the marginals along it, by the oracle's differences."""
    (logits, image), direction = example(3, 4, n=1, seed=5), np.random.default_rng(6).normal(size=(3, 4, 3))
    along = [
        gradient(lambda x: (oracle.mean_field(x, image[0], *GRADIENT) * direction).sum(), logits[0]),
        gradient(lambda x: (oracle.mean_field(logits[0], x, *GRADIENT) * direction).sum(), image[0], 1e-3),
    ]
    return logits, image, direction, along


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "tf.function"])
@pytest.mark.parametrize("pairs", [50, 2**20])
def test_gradient_is_that_of_the_oracle(pairs, compiled, slopes, monkeypatch):
    monkeypatch.setattr(reference, "PAIRS", pairs)
    logits, image, direction, along = slopes

    def gradients(logits, image):
        with tf.GradientTape() as tape:
            tape.watch([logits, image])
            loss = tf.reduce_sum(mean_field(logits, image, *GRADIENT) * direction.astype("float32"))
        return tape.gradient(loss, [logits, image])

    found = (tf.function(gradients) if compiled else gradients)(tf.constant(logits), tf.constant(image))
    for got, truth in zip(found, along, strict=True):
        np.testing.assert_allclose(got[0], truth, atol=2e-5 * np.abs(truth).max())


@pytest.mark.parametrize("max_sources", [4096, 30])
def test_converts_to_builtin_ops_of_litert(max_sources):
    logits, image = example(8, 9, n=1)

    @tf.function(
        input_signature=[tf.TensorSpec(a.shape, name=name) for a, name in ((logits, "logits"), (image, "image"))]
    )
    def serve(logits, image):
        return {"marginals": mean_field(logits, image, KERNELS, MATRIX, 5, "symmetric", max_sources)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    run = Interpreter(model_content=converter.convert()).get_signature_runner()
    marginals = run(logits=logits, image=image)["marginals"]
    np.testing.assert_allclose(marginals, serve(logits, image)["marginals"], atol=1e-5)


JAX = """
    import sys, numpy as np, keras, jax
    from keras_vision.ops.crf.energy import Bilateral, Gaussian, Potts
    from keras_vision.ops.crf.reference import mean_field
    assert keras.backend.backend() == "jax"
    given = np.load(sys.argv[1])
    kernels = Gaussian(2.0, 1.5), Bilateral(3.0, 6.0, 40.0)
    settings = kernels, given["matrix"], 3, "symmetric"
    run = lambda logits, image, sources=4096: mean_field(logits, image, *settings, sources)
    loss = lambda logits, image: (run(logits, image) * given["direction"]).sum()
    eager = run(given["logits"], given["image"])
    thinned = jax.jit(lambda *arrays: run(*arrays, 20))(given["logits"], given["image"])
    slopes = jax.grad(loss, (0, 1))(given["one_logits"], given["one_image"])
    np.savez(sys.argv[2], eager=eager, thinned=thinned, logits=slopes[0][0], image=slopes[1][0])
"""


def test_jax_gives_the_same_numbers(slopes, tmp_path, on_jax):
    logits, image = example()
    one_logits, one_image, direction, along = slopes
    arrays = dict(logits=logits, image=image, matrix=MATRIX, direction=direction)
    np.savez(tmp_path / "given.npz", **arrays, one_logits=one_logits, one_image=one_image)
    command = [sys.executable, "-c", textwrap.dedent(JAX), tmp_path / "given.npz", tmp_path / "jax.npz"]
    subprocess.run(command, check=True, env=on_jax)
    jax = np.load(tmp_path / "jax.npz")
    settings = (KERNELS, MATRIX, 3, "symmetric")
    np.testing.assert_allclose(jax["eager"], expected(logits, image, *settings), atol=1e-5)
    np.testing.assert_allclose(jax["thinned"], mean_field(logits, image, *settings, max_sources=20), atol=1e-5)
    for name, truth in zip(("logits", "image"), along, strict=True):
        np.testing.assert_allclose(jax[name], truth, atol=2e-5 * np.abs(truth).max())
