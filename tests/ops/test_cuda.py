"""Where kernels for GPUs are compiled, for which GPUs, and what is said where they cannot be."""

import warnings
from pathlib import Path

import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.ops import cuda
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf import library


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("KERAS_VISION_CUDA", "KERAS_VISION_CUDA_ARCHITECTURES", "CUDACXX", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A toolkit without contents."""
    for name in ("bin/nvcc", "include/cuda_runtime_api.h", "lib64/libcudart_static.a"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch(mode=0o755)
    return tmp_path


@pytest.mark.parametrize("where", ["CUDACXX", "PATH", "CUDA_HOME"])
def test_the_toolkit_is_where_nvcc_is(folder, monkeypatch, where):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv(where, str(folder / dict(CUDACXX="bin/nvcc", PATH="bin", CUDA_HOME="")[where]))
    expected = cuda.Toolkit(str(folder / "bin/nvcc"), str(folder / "include"), str(folder / "lib64"))
    assert cuda.toolkit() == expected


@pytest.mark.parametrize("missing", ["bin/nvcc", "include/cuda_runtime_api.h", "lib64/libcudart_static.a"])
def test_half_a_toolkit_is_none(folder, monkeypatch, missing):
    (folder / missing).unlink()
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(folder))
    assert cuda.toolkit() is None


def test_another_nvcc_is_not_taken_in_place_of_the_one_named(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.setenv("CUDACXX", "no-such-nvcc")
    assert cuda.toolkit() is None


def test_several_architectures_and_ptx_of_the_last(monkeypatch):
    assert [target.split(",code=")[1] for target in cuda.targets()] == ["sm_75", "sm_80", "sm_90", "compute_90"]
    monkeypatch.setenv("KERAS_VISION_CUDA_ARCHITECTURES", "90, 86")
    assert cuda.targets() == (
        "-gencode=arch=compute_86,code=sm_86",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    )


@pytest.mark.parametrize("given", ["hopper", "9.0", "80;90", "-gencode=x", "80,"])
def test_what_is_no_architecture(given, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_CUDA_ARCHITECTURES", given)
    with pytest.raises(KerasVisionError, match="KERAS_VISION_CUDA_ARCHITECTURES must be"):
        cuda.architectures()


@pytest.mark.parametrize(
    ("choice", "knows", "gpus", "wanted"),
    [
        ("", True, ["GPU:0"], True),
        ("auto", True, [], False),
        ("auto", False, ["GPU:0"], False),
        ("0", True, ["GPU:0"], False),
        ("1", True, [], True),
    ],
)
def test_where_they_are_wanted(folder, monkeypatch, choice, knows, gpus, wanted):
    monkeypatch.setenv("CUDACXX", str(folder / "bin/nvcc"))
    monkeypatch.setenv("KERAS_VISION_CUDA", choice)
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: knows)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert (cuda.wanted() is not None) == wanted


def test_who_insists_is_told_what_is_missing(folder, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_CUDA", "1")
    monkeypatch.setenv("CUDACXX", "no-such-nvcc")
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    with pytest.raises(BuildError, match=r"no whole CUDA toolkit.*set CUDACXX"):
        cuda.wanted()
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: False)
    with pytest.raises(BuildError, match="TensorFlow is built without CUDA"):
        cuda.wanted()
    monkeypatch.setenv("KERAS_VISION_CUDA", "yes")
    with pytest.raises(KerasVisionError, match="must be auto, 0 or 1, not 'yes'"):
        cuda.wanted()


def test_a_compiler_that_fails_leaves_the_cpu(folder, monkeypatch, tmp_path):
    """With a warning, unless the user insists."""
    nvcc = folder / "bin/nvcc"
    nvcc.write_text("#!/bin/sh\necho unsupported GNU version; exit 1\n")
    monkeypatch.setenv("CUDACXX", str(nvcc))
    monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    load = library._load_for_gpus.__wrapped__  # not what this process has done so far
    with pytest.warns(KerasVisionWarning, match=r"runs on the CPU.*KERAS_VISION_CUDA=0(.|\n)*unsupported GNU version"):
        load()
    monkeypatch.setenv("KERAS_VISION_CUDA", "1")
    with pytest.raises(BuildError, match="unsupported GNU version"):
        load()
    monkeypatch.setenv("KERAS_VISION_CUDA", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load()
