"""What dense_crf refuses, and how it says so."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.ops import Bilateral, Gaussian, dense_crf
from keras_vision.ops.crf.permutohedral import readable_errors

GOOD = {"logits": np.zeros((1, 4, 5, 3), np.float32), "image": np.zeros((1, 4, 5, 3), np.float32)}


def bad(**pixels):
    array = np.zeros((1, 4, 5, 3), np.float32)
    array[0, 2, 3] = pixels["value"]
    return array


@pytest.mark.parametrize("impl", ["custom", "reference"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"logits": np.zeros((4, 5, 3))}, r"dense_crf takes logits .*logits\[None\]"),
        ({"image": np.zeros((1, 4, 6, 3))}, r"differ in n, h or w: \(1, 4, 5, 3\) and \(1, 4, 6, 3\)"),
        ({"image": np.zeros((2, 4, 5, 3))}, "differ in n, h or w"),
        ({"logits": np.zeros((1, 4, 5, 0))}, "no pixel or no label"),
        ({"logits": np.zeros((1, 0, 5, 3)), "image": np.zeros((1, 0, 5, 3))}, "no pixel or no label"),
        ({"iterations": -1}, "iterations must be a whole number from 0 on, not -1"),
        ({"iterations": 2.5}, "not 2.5"),
        ({"normalization": "both"}, "normalization must be one of symmetric, before, after, none, not 'both'"),
        ({"kernels": ("bilateral",)}, "kernels must be Bilateral"),
        ({"compatibility": np.zeros((2, 2))}, r"shape \(3, 3\), one row for each label"),
        ({"compatibility": np.full((3, 3), np.nan)}, "finite matrix"),
        ({"kernels": (Bilateral(theta_beta=(1.0, 2.0)),)}, "theta_beta must be one number, or 3 numbers"),
        ({"level": "sse9"}, "level must be one of best, plain, avx2, avx512"),
        ({"impl": "cuda"}, "impl must be one of auto, custom, reference"),
    ],
)
def test_bad_arguments(given, says, impl):
    with pytest.raises(KerasVisionError, match=says):
        dense_crf(**({"impl": impl} | GOOD | given))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"logits": bad(value=np.nan)}, "logits hold NaN"),
        ({"logits": bad(value=np.inf)}, "logits hold NaN, .inf"),
        ({"logits": bad(value=-np.inf)}, "-inf for all labels"),
        ({"image": bad(value=np.nan)}, "image holds NaN"),
        ({"image": bad(value=255), "kernels": (Bilateral(theta_beta=1e-4),)}, "theta is too small"),
        ({"image": bad(value=255), "kernels": (Bilateral(theta_alpha=1e-30),)}, "theta is too small"),
        # which float32 makes 0, and 0 means to the operation that the image is not looked at
        ({"image": bad(value=255), "kernels": (Bilateral(theta_beta=1e-50),)}, "theta is too small"),
        ({"image": bad(value=255), "kernels": (Bilateral(theta_alpha=1e-50),)}, "theta of kernel 0 must be positive"),
    ],
)
def test_bad_values(given, says):
    with pytest.raises(KerasVisionError, match=says):
        dense_crf(**(GOOD | given), impl="custom")


@pytest.mark.parametrize("theta", [0, -1, np.nan, np.inf, "3", (3.0, 0.0), (1.0, 2.0, 3.0)])
def test_bad_thetas(theta):
    with pytest.raises(KerasVisionError, match="theta_gamma must be"):
        Gaussian(1, theta).thetas(3)
    with pytest.raises(KerasVisionError, match="theta_alpha must be"):
        Bilateral(1, theta_alpha=theta).thetas(3)


def test_lack_of_memory_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"^the call needs more$"), readable_errors():
        raise tf.errors.ResourceExhaustedError(None, None, "{{function_node x}} the call needs more [Op:Y] name: ")


MIXED = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_vision.ops import dense_crf
rng = np.random.default_rng(0)
arrays = rng.normal(size=(1, 6, 7, 3)), rng.uniform(0, 255, (1, 6, 7, 3)), [3.0, 2.0], 1 - np.eye(3)
def gradients(devices):
    given = []
    for array, device in zip(arrays, devices, strict=True):
        with tf.device(f"CPU:{device}"):
            given.append(tf.Variable(array, dtype=tf.float32))
    with tf.GradientTape() as tape:
        marginals = dense_crf(*given[:2], kernel_weights=given[2], compatibility=given[3], impl="custom")
        loss = tf.reduce_sum(marginals**2)
    return [marginals, *tape.gradient(loss, [given[0], *given[2:]])]
expected = gradients((0, 0, 0, 0))
for devices in ((0, 1, 0, 1), (1, 0, 1, 1), (1, 1, 0, 0)):
    for one, other in zip(gradients(devices), expected, strict=True):
        np.testing.assert_array_equal(one, other)
print("the same")
"""


def test_arrays_on_several_devices():
    done = subprocess.run([sys.executable, "-c", MIXED], capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr[-3000:]
