"""Fixtures that several test files use."""

import contextlib
import gc
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before anything imports TensorFlow

import numpy as np
import pytest

# A shell in the background ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Orange and Beam hold NumPy and Pillow back: they are tested where they are installed, last of all in .ci/run.
APART = {"orange": "Orange", "analytics/test_beam.py": "apache_beam"}
collect_ignore = [path for path, package in APART.items() if importlib.util.find_spec(package) is None]
HUGE = ("ResNet1202", "ResidualAttention452")  # such nets take half a minute to build


def pytest_report_header() -> list[str]:
    """Says what is left out."""
    return [f"{APART[path]} is not installed: tests/{path} is left out" for path in collect_ignore]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever runs over all models leaves the huge ones to `-m slow`."""
    for item in items:
        if any(name in item.name for name in HUGE):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def free_large_models() -> Iterator[None]:
    """Collects what a test left, where that is much: models are cycles, and the largest take half a gigabyte each."""
    before = resident()
    yield
    if resident() > before + (1 << 28):
        gc.collect()


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.exists() else 0


@pytest.fixture(scope="session")
def undrawing() -> Callable:
    """Within ``with undrawing():`` random initial weights are zeros, as drawing takes most of the time of building."""

    @contextlib.contextmanager
    def zero() -> Iterator[None]:
        import keras

        def zeros(self, shape, dtype=None, **options):
            return keras.ops.zeros(shape, dtype or keras.config.floatx())

        with pytest.MonkeyPatch.context() as patch:
            for kind in ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"):
                patch.setattr(getattr(keras.initializers, kind), "__call__", zeros)
            yield

    return zero


@pytest.fixture
def undrawn(undrawing: Callable) -> Iterator[None]:
    """For tests of names, shapes and counts."""
    with undrawing():
        yield


@pytest.fixture(scope="session")
def on_jax() -> dict[str, str]:
    """Environment of a process on JAX, unoptimised: in tests, compiling takes longer than what is compiled."""
    return {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of public weights and photographs, for research only; never part of the package."""
    path = Path(os.environ.get("KERAS_VISION_TEST_DATA", Path(__file__).parents[2] / "shared"))
    if not path.is_dir():
        pytest.skip(f"no test data at {path}; set KERAS_VISION_TEST_DATA")
    return path


@pytest.fixture(scope="session")
def randomize() -> Callable:
    """Fills a model with seeded weights under which activations keep their scale, batch-norm statistics included."""

    def draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name in ("gamma", "moving_variance"):
            return rng.uniform(0.5, 1.5, shape)
        if name == "alpha":  # the slope of a PReLU
            return rng.uniform(0.1, 0.4, shape)
        if len(shape) == 1:
            return rng.normal(0, 0.1, shape)
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)

    def randomize(model, seed: int = 0):
        rng = np.random.default_rng(seed)
        for variable in model.weights:
            if "seed" not in variable.name:
                variable.assign(draw(rng, variable.name, tuple(variable.shape)).astype("float32"))
        return model

    return randomize
