"""The operations' GPU kernels: compiled and registered where nvcc is; their glue run on the emulated CUDA core."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from core_library import NORMALIZATIONS, Kernel
from core_oracle import assert_close, scene
from emulated_operations import emulated_library

from keras_vision.ops import cuda
from keras_vision.ops.build import build

HERE = Path(__file__).parent
CLOSE = 1e-4
LOAD = """
import sys
import numpy as np, tensorflow as tf
module = tf.load_op_library(sys.argv[1])
"""
CALL = """
given = np.load(sys.argv[2])
results = {}
for normalization in range(4):
    for keep in (False, True):
        shared = [given[name] for name in ("logits", "image", "weights", "position", "theta", "penalties")]
        options = dict(iterations=3, normalization=normalization)
        marginals, kept = module.keras_vision_dense_crf(*shared, keep=keep, **options)
        gradients = module.keras_vision_dense_crf_gradient(*shared, marginals, kept, given["above"], **options)
        names = ("marginals", "kept", "of_logits", "of_weights", "of_penalties")
        for name, array in zip(names, (marginals, kept, *gradients)):
            results[f"{name}_{normalization}_{keep}"] = array
unasked = module.keras_vision_dense_crf_gradient(
    *shared, marginals, kept, given["above"], learn_weights=False, learn_penalties=False, **options)
results["unasked"] = np.concatenate([np.ravel(array) for array in unasked[1:]])
for reverse in (False, True):
    results[f"filtered_{reverse}"] = module.keras_vision_permutohedral_filter(
        given["logits"][:, 0], given["image"][:, 0] / 40, reverse=reverse)
np.savez(sys.argv[3], **results)
"""
EXHAUST = """
import resource
def call(side, iterations):
    zeros = np.zeros((1, side, side, 3), np.float32)
    one, no = np.ones((1, 2), np.float32), np.zeros((0, 0), np.float32)
    shared = zeros, zeros, np.ones(1, np.float32), one, np.zeros((1, 3), np.float32), no
    marginals, kept = module.keras_vision_dense_crf(*shared, iterations=1)
    return module.keras_vision_dense_crf_gradient(*shared, marginals, kept, zeros, iterations=iterations)[0]
call(30, 5)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**29, taken + 2**29))
try:
    call(300, 10_000)  # 11 GB of marginals
except tf.errors.ResourceExhaustedError as error:
    print(error.message)
print(float(tf.reduce_sum(tf.abs(call(30, 5)))))
"""
REGISTERED = """
from tensorflow.python.framework import kernels
tf.load_library(sys.argv[2])
for name in ("DenseCrf", "DenseCrfGradient", "PermutohedralFilter"):
    found = kernels.get_registered_kernels_for_op(f"KerasVision{name}").kernel
    print(name, sorted((kernel.device_type, len(kernel.host_memory_arg)) for kernel in found))
"""


def run(code: str, *arguments: object) -> str:
    """What a process that loads the operations prints."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", LOAD + code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def emulated() -> Path:
    return build(emulated_library())


def test_the_glue_hands_everything_to_the_core(core, emulated, rng, tmp_path):
    """Every argument and result of the operations is where the C++ core has it."""
    logits, image = scene(rng, 2, 19, 23, 4)
    above, penalties = rng.normal(size=logits.shape), rng.normal(size=(4, 4))
    kernels = [Kernel(0.02, (3, 1.2)), Kernel(0.04, (30.3, 21.1), (40, 30, 50)), Kernel(0, 2), Kernel(-0.01, 0.8)]
    arrays = dict(
        logits=logits,
        image=image,
        above=above,
        penalties=penalties,
        weights=[kernel.weight for kernel in kernels],
        position=[np.broadcast_to(kernel.theta, 2) for kernel in kernels],
        theta=[kernel.theta_image or (0, 0, 0) for kernel in kernels],
    )
    np.savez(tmp_path / "given.npz", **{name: np.asarray(array, np.float32) for name, array in arrays.items()})
    run(CALL, emulated, tmp_path / "given.npz", tmp_path / "results.npz")
    results = np.load(tmp_path / "results.npz")
    for number, normalization in enumerate(NORMALIZATIONS):
        options = dict(kernels=kernels, penalties=penalties, iterations=3, normalization=normalization)
        expected = {"marginals": core.mean_field(logits, image, **options)}
        gradients = core.gradient(above, logits, image, **options)
        expected |= dict(zip(("of_logits", "of_weights", "of_penalties"), gradients, strict=True))
        options["iterations"] = 2
        last = core.mean_field(logits, image, **options)
        for keep in (False, True):
            for name, array in expected.items():
                assert_close(results[f"{name}_{number}_{keep}"], array, CLOSE)
        assert results[f"kept_{number}_False"].size == 0
        assert_close(results[f"kept_{number}_True"][:, 2], last, CLOSE)
    assert results["unasked"].shape == (4 + 16,)
    assert not results["unasked"].any()
    for reverse in (False, True):
        filtered = core.permutohedral_filter(logits[:, 0], image[:, 0] / 40, reverse=reverse)
        assert_close(results[f"filtered_{reverse}"], filtered, CLOSE)


def test_lack_of_memory_leaves_the_process_alive(emulated):
    """Of TensorFlow's allocator, which gives the CUDA core all its memory."""
    message, total = run(EXHAUST, emulated).splitlines()
    assert "the GPU has no 10.1 GiB of memory left" in message
    assert float(total) == 0  # of zeros


def test_the_operations_tests_hold_on_the_emulated_kernels(emulated, tmp_path):
    """Gradients by finite differences and against the reference, refusals, graphs: in a process of their own."""
    files = ["test_dense_crf_gradient.py", "test_dense_crf_bad_input.py", "test_permutohedral.py"]
    not_here = "more_iterations_than_memory and not several_devices"  # the memory of the CPU; a process of its own
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "emulated_operations",
        "-k",
        f"not {not_here}",
        "--no-header",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "EMULATED_OPERATIONS": str(emulated),
        "KERAS_VISION_CACHE": str(tmp_path),  # empty: of the CPU's operations
    }
    done = subprocess.run(
        [*command, *(str(HERE / name) for name in files)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"loaded: {emulated.name}\n" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_compiled_for_gpus_and_registered(monkeypatch):
    """By nvcc and the C++ compiler, linked and loaded; without a GPU that is as far as it goes."""
    toolkit = cuda.toolkit()
    if toolkit is None or not tf.test.is_built_with_cuda():
        return  # nothing to compile, or to register with
    from keras_vision.ops.crf.library import gpu_library, library

    monkeypatch.setenv("KERAS_VISION_CUDA_ARCHITECTURES", "90")
    printed = run(REGISTERED, build(library()), build(gpu_library(toolkit)))
    assert printed.splitlines() == [
        "DenseCrf [('CPU', 0), ('GPU', 4)]",
        "DenseCrfGradient [('CPU', 0), ('GPU', 6)]",
        "PermutohedralFilter [('CPU', 0), ('GPU', 0)]",
    ]
