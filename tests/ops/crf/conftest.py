"""The C++ core and the emulated CUDA core, compiled once for all tests."""

from pathlib import Path

import numpy as np
import pytest
from core_library import Core, compile_core
from cuda_library import CudaCore, compile_emulation


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    return compile_core(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="session")
def core(library) -> Core:
    return Core(library)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def emulation(tmp_path_factory) -> CudaCore:
    return CudaCore(compile_emulation(tmp_path_factory.mktemp("emulation")))
