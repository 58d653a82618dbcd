"""The public dense_crf: the compiled operation against exact mean-field and pydensecrf, alone and in graphs."""

import subprocess
import sys
import threading
import time
import warnings

import crf_oracle
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pydensecrf.densecrf import DenseCRF2D
from scipy.ndimage import gaussian_filter, zoom
from tensorflow.python.eager.cancellation import CancellationManager

from keras_vision.errors import KerasVisionWarning
from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf import dense_crf as module

CASES = ((80, 13, 10, 3), (20, 13, 10, 3), (80, 13, 4, 3), (40, 20, 6, 1), (10, 30, 3, 3))  # sxy, srgb, compat twice
VOC = ("2011_000003", "2011_000006", "2011_000025")


@pytest.fixture
def photographs(shared):
    def open_all(height, width):
        files = [shared / f"data/voc_samples/JPEGImages/{name}.jpg" for name in VOC]
        return [np.array(Image.open(file).convert("RGB").resize((width, height))) for file in files]

    return open_all


def noisy_logits(seed, height=48, width=64, labels=5):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(height, width, labels)), (3, 3, 0)) * 12
    return (smooth + rng.normal(size=(height, width, labels)) / 2).astype(np.float32)


def network_logits(seed, height, width, labels):
    """As a network of stride 8 gives them."""
    coarse = np.random.default_rng(seed).normal(size=(height // 8 + 1, width // 8 + 1, labels))
    coarse = gaussian_filter(coarse, (2, 2, 0)) * 25
    scores = zoom(coarse, (height / coarse.shape[0], width / coarse.shape[1], 1), order=1)
    return np.ascontiguousarray(scores[:height, :width], np.float32)


def pydensecrf(logits, image, case=CASES[0], iterations=10):
    height, width, labels = logits.shape
    unary = -tf.nn.log_softmax(logits).numpy().reshape(-1, labels).T
    crf = DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(unary))
    crf.addPairwiseGaussian(sxy=3, compat=case[3])
    if case[2]:
        crf.addPairwiseBilateral(sxy=case[0], srgb=case[1], rgbim=np.ascontiguousarray(image), compat=case[2])
    return np.array(crf.inference(iterations)).reshape(labels, height, width).transpose(1, 2, 0)


def kernels(case):
    return Gaussian(case[3], 3), Bilateral(case[2], case[0], case[1])


def test_as_exact_as_pydensecrf(photographs):
    images = photographs(48, 64)
    errors = np.zeros((len(CASES), 2))
    for index, case in enumerate(CASES):
        for seed in range(6):
            logits, image = noisy_logits(seed), images[seed % 3]
            exact = crf_oracle.mean_field(logits, image, kernels(case), Potts(), 10, "symmetric")
            ours = dense_crf(logits[None], image[None], kernels=kernels(case), impl="custom")[0]
            errors[index] += np.abs(ours - exact).mean(), np.abs(pydensecrf(logits, image, case) - exact).mean()
    ratios = errors[:, 0] / errors[:, 1]
    assert ratios.max() <= 1.05
    assert ratios.mean() <= 1.02


@pytest.mark.parametrize("theta", [2, 3, 5, 8])
def test_spatial_kernel_is_four_times_closer_than_pydensecrf(theta):
    rng = np.random.default_rng(theta)
    logits = rng.normal(size=(60, 80, 5)).astype(np.float32)
    image = np.zeros((60, 80, 3), np.uint8)

    def messages(marginals):  # of the one iteration, up to a number for each pixel that softmax takes away
        message = np.log(np.asarray(marginals, np.float64)) - logits
        return message - message.mean(-1, keepdims=True)

    exact = crf_oracle.mean_field(logits, image, (Gaussian(3, theta),), Potts(), 1, "symmetric")
    ours = dense_crf(logits[None], image[None], kernels=(Gaussian(3, theta),), iterations=1, impl="custom")[0]
    crf = DenseCRF2D(80, 60, 5)
    crf.setUnaryEnergy(np.ascontiguousarray(-tf.nn.log_softmax(logits).numpy().reshape(-1, 5).T))
    crf.addPairwiseGaussian(sxy=theta, compat=3)
    theirs = np.array(crf.inference(1)).reshape(5, 60, 80).transpose(1, 2, 0)
    ours, theirs = (np.abs(messages(result) - messages(exact)).mean() for result in (ours, theirs))
    assert ours <= theirs / 4


@pytest.mark.parametrize("number", range(3))
def test_agrees_with_pydensecrf_on_photographs(number, photographs):
    image, logits = photographs(375, 500)[number], network_logits(number, 375, 500, 21)
    ours, theirs = dense_crf(logits[None], image[None], impl="custom").numpy()[0], pydensecrf(logits, image)
    assert np.abs(ours - theirs).mean() <= 2e-4
    assert (ours.argmax(-1) == theirs.argmax(-1)).mean() >= 0.995


@pytest.mark.parametrize("name", ["1", "1-b", "2", "3"])
def test_agrees_with_pydensecrf_on_scribbles(name, shared):
    """The published examples: a photograph and a coarse annotation, which holds with probability 0.7."""
    folder = shared / "data/crf_examples"
    image = np.array(Image.open(folder / f"im{name[0]}.png").convert("RGB"))
    colours = np.array(Image.open(folder / f"anno{name}.png").convert("RGB")).reshape(-1, 3)
    palette, index = np.unique(colours, axis=0, return_inverse=True)
    known = palette.any(-1)  # black is unlabelled
    labels = int(known.sum())
    probabilities = np.full((len(palette), labels), 1 / labels)
    probabilities[known] = 0.3 / max(labels - 1, 1)
    probabilities[np.flatnonzero(known), np.arange(labels)] = 0.7
    logits = np.log(probabilities[index.ravel()]).reshape(*image.shape[:2], labels).astype(np.float32)
    ours, theirs = dense_crf(logits[None], image[None], impl="custom").numpy()[0], pydensecrf(logits, image)
    assert np.abs(ours - theirs).mean() <= 2e-4
    assert (ours.argmax(-1) == theirs.argmax(-1)).mean() >= 0.995


@pytest.mark.parametrize("impl", ["custom", "reference"])
@pytest.mark.parametrize("normalization", ["symmetric", "before", "after", "none"])
def test_spatial_kernel_with_a_matrix_is_exact(impl, normalization):
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(2, 9, 14, 4)).astype(np.float32)
    image = rng.uniform(0, 255, (2, 9, 14, 3)).astype(np.float32)
    matrix = rng.uniform(-1, 1, (4, 4)).astype(np.float32)
    options = {"compatibility": matrix, "iterations": 2, "normalization": normalization}
    used = (Gaussian(0.5, (1.2, 0.8)),)  # small enough that the operation, too, samples the Gaussian itself
    ours = dense_crf(logits, image, kernels=used, impl=impl, **options)
    for n in range(2):
        exact = crf_oracle.mean_field(logits[n], image[n], used, matrix, 2, normalization)
        np.testing.assert_allclose(ours[n], exact, atol=1e-4)


@pytest.mark.parametrize("impl", ["custom", "reference"])
def test_shapes_and_types(impl):
    image = np.zeros((2, 5, 6, 3), np.uint8)
    for dtype, result in ((np.float16, "float16"), (np.float64, "float32"), (np.int32, "float32")):
        assert dense_crf(np.zeros((2, 5, 6, 3), dtype), image, impl=impl).dtype == result
    for dtype in ("float16", "bfloat16"):
        half = keras.ops.cast(np.full((2, 5, 6, 3), 1 / 3), dtype)
        assert dense_crf(half, image, impl=impl, from_probabilities=True).dtype == dtype
    strided = np.arange(2 * 6 * 5 * 3, dtype=np.float32).reshape(2, 6, 5, 3).transpose(0, 2, 1, 3) % 7
    np.testing.assert_array_equal(
        dense_crf(strided, image, impl=impl), dense_crf(np.ascontiguousarray(strided), image, impl=impl)
    )
    for shape in ((1, 1, 1, 2), (1, 1, 9, 2), (1, 9, 1, 2), (1, 4, 4, 1)):
        marginals = np.asarray(dense_crf(np.ones(shape), np.full((*shape[:3], 3), 7), impl=impl))
        np.testing.assert_allclose(marginals, 1 / shape[-1], rtol=1e-5)
    many = np.asarray(dense_crf(np.random.default_rng(0).normal(size=(1, 3, 4, 1000)), image[:1, :3, :4], impl=impl))
    np.testing.assert_allclose(many.sum(-1), 1, atol=1e-4)


def test_eager_is_graph_and_sizes_may_be_unknown(photographs):
    logits, image = network_logits(0, 40, 50, 5)[None], photographs(40, 50)[0][None].astype(np.float32)
    expected = dense_crf(logits, image, impl="custom")

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 5)), tf.TensorSpec((None, None, None, 3))])
    def graph(logits, image):
        marginals = dense_crf(logits, image, impl="custom")
        assert marginals.shape.as_list() == [None, None, None, 5]
        return marginals

    np.testing.assert_array_equal(graph(logits, image), expected)
    dataset = tf.data.Dataset.from_tensors((logits, image)).repeat(3).map(graph, num_parallel_calls=3)
    for marginals in dataset:
        np.testing.assert_array_equal(marginals, expected)
    np.testing.assert_array_equal(graph(logits[:0], image[:0]).shape, (0, 40, 50, 5))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the same n, h and w"):
        graph(logits, image[:, :-1])


def test_batch_equals_single_images_and_threads_do_not_matter(photographs):
    images = np.stack(photographs(150, 200)).astype(np.float32)
    logits = np.stack([network_logits(n, 150, 200, 7) for n in range(3)])
    together = dense_crf(logits, images, impl="custom")
    results = [None] * 3

    def one(n):
        results[n] = dense_crf(logits[n : n + 1], images[n : n + 1], impl="custom").numpy()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(together, np.concatenate(results))
    code = (
        "import sys, numpy as np, tensorflow as tf, keras_vision as kv;"
        "tf.config.threading.set_intra_op_parallelism_threads(1);"
        "data = np.load(sys.argv[1]);"
        "np.save(sys.argv[2], kv.ops.dense_crf(data['logits'], data['images'], impl='custom'))"
    )
    with __import__("tempfile").TemporaryDirectory() as folder:
        np.savez(f"{folder}/in.npz", logits=logits, images=images)
        subprocess.run([sys.executable, "-c", code, f"{folder}/in.npz", f"{folder}/out.npy"], check=True)
        np.testing.assert_array_equal(np.load(f"{folder}/out.npy"), together)


def test_probabilities():
    rng = np.random.default_rng(0)
    logits, image = rng.normal(size=(1, 8, 8, 3)), rng.uniform(0, 255, (1, 8, 8, 3))
    given = dense_crf(tf.nn.softmax(logits), image, from_probabilities=True)
    np.testing.assert_allclose(given, dense_crf(logits, image), atol=1e-5)
    certain = dense_crf(np.eye(3)[rng.integers(0, 3, (1, 8, 8))], image, from_probabilities=True)
    assert np.isfinite(certain).all()


GOOD = {"logits": np.zeros((1, 4, 5, 3), np.float32), "image": np.zeros((1, 4, 5, 3), np.float32)}


def test_without_a_compiler_the_reference_warns(monkeypatch):
    def fails():
        raise BuildError("There is no C++ compiler.")

    monkeypatch.setattr(module, "operations", fails)
    with pytest.warns(KerasVisionWarning, match="slow reference.*no C.. compiler.*impl='reference'"):
        marginals = dense_crf(**GOOD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(marginals, dense_crf(**GOOD, impl="reference"))
    with pytest.raises(BuildError, match=r"no C\+\+ compiler"):
        dense_crf(**GOOD, impl="custom")


def test_nothing_is_compiled_or_loaded_by_the_import(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path / "cache"))
    code = "import keras_vision as kv; kv.ops.dense_crf; print('dense_crf-' in open('/proc/self/maps').read())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
    assert not (tmp_path / "cache").exists()


def test_a_call_can_be_cancelled():
    """Through TensorFlow: the call ends long before its iterations do, and the next one works."""
    logits, image = np.zeros((1, 200, 300, 21), np.float32), np.zeros((1, 200, 300, 3), np.float32)

    @tf.function
    def endless(logits, image):
        return dense_crf(logits, image, iterations=1_000_000, impl="custom")

    manager = CancellationManager()
    cancellable = manager.get_cancelable_function(
        endless.get_concrete_function(tf.constant(logits), tf.constant(image))
    )
    timer = threading.Timer(0.5, manager.start_cancel)
    timer.start()
    start = time.monotonic()
    with pytest.raises(tf.errors.CancelledError):
        cancellable(tf.constant(logits), tf.constant(image))
    assert time.monotonic() - start < 30  # all iterations would take hours
    assert np.isfinite(dense_crf(**GOOD, impl="custom")).all()
