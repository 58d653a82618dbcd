"""MATLAB files that lie about what they hold, or hold too much."""

import contextlib

import numpy as np
import pytest
import scipy.sparse
from scipy.io import loadmat, savemat

from keras_vision.data.mat_files import mat_variable
from keras_vision.errors import KerasVisionError


@pytest.mark.parametrize("compressed", [True, False])
def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path, compressed):
    file = tmp_path / "zeros.mat"
    savemat(file, {"X": np.zeros((1 << 11, 1 << 11), np.uint8)}, do_compression=compressed)
    assert (file.stat().st_size < 1 << 13) == compressed
    assert mat_variable(file, "X").shape == (1 << 11, 1 << 11)
    with pytest.raises(KerasVisionError, match="unpacks to more than 1048576 bytes"):
        mat_variable(file, "X", limit=1 << 20)


def test_a_claimed_size_is_checked_before_it_is_taken(tmp_path):
    file = tmp_path / "claims.mat"
    savemat(file, {"X": np.zeros((3, 7), np.uint8)})
    content = file.read_bytes()
    dimensions = np.array([3, 7], "<i4").tobytes()
    assert content.count(dimensions) == 1
    file.write_bytes(content.replace(dimensions, np.array([1 << 15, 1 << 15], "<i4").tobytes()))
    with pytest.raises(KerasVisionError, match=r"claims X of \(32768, 32768\)"):
        mat_variable(file, "X")


@pytest.mark.parametrize("seed", range(60))
def test_no_damage_is_another_kind_of_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    file = tmp_path / "damaged.mat"
    cells = np.empty((1, 2), object)
    cells[0, :] = [{"Segmentation": np.ones((5, 4))}, "text"]
    savemat(file, {"X": cells}, do_compression=bool(seed % 2))
    content = bytearray(file.read_bytes())
    if seed % 4 < 2:
        content = content[: rng.integers(len(content))]
    for position in rng.integers(100, max(len(content), 101), 3):
        if position < len(content):
            content[position] = rng.integers(256)
    file.write_bytes(content)
    with contextlib.suppress(KerasVisionError):
        mat_variable(file, "X")


def test_a_claim_inside_a_cell_is_checked_too(tmp_path):
    file = tmp_path / "claims.mat"
    cells = np.empty((1, 2), object)
    cells[0, :] = [np.array([(5,)], [("Segmentation", object)]).reshape(1, 1), "text"]
    savemat(file, {"X": cells})
    content = file.read_bytes()
    dimensions = np.array([1, 1], "<i4").tobytes()
    start = content.index(dimensions)
    file.write_bytes(content[:start] + np.array([1 << 28, 1], "<i4").tobytes() + content[start + 8 :])
    with pytest.raises(KerasVisionError, match=r"claims an array of \(268435456, 1\)"):
        mat_variable(file, "X")


def test_a_nest_without_end_is_refused(tmp_path):
    value = "text"
    for _ in range(40):
        cell = np.empty((1, 1), object)
        cell[0, 0] = value
        value = cell
    savemat(tmp_path / "deep.mat", {"X": value})
    with pytest.raises(KerasVisionError, match="at depth 33"):
        mat_variable(tmp_path / "deep.mat", "X")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("value", [
    np.arange(6.0).reshape(2, 3), np.array([1, 2], np.uint8), "some text", {"a": 1, "long name": "x"},
    scipy.sparse.eye(3).tocsc(), np.zeros((0, 3)), np.array([True]),
])  # fmt: skip
def test_what_matlab_writes_passes(tmp_path, value, compressed):
    cell = np.empty((1, 2), object)
    cell[0, :] = [value, {"inner": value}]
    savemat(tmp_path / "good.mat", {"X": cell, "Y": value}, do_compression=compressed)
    for name in ("X", "Y"):
        assert str(mat_variable(tmp_path / "good.mat", name)) == str(loadmat(tmp_path / "good.mat")[name])


def test_other_files_are_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match="no such file"):
        mat_variable(tmp_path / "none.mat", "X")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    with pytest.raises(KerasVisionError, match=r"a MATLAB 7\.3 file"):
        mat_variable(tmp_path / "new.mat", "X")
    (tmp_path / "text.mat").write_text("hello " * 100)
    with pytest.raises(KerasVisionError, match="no MATLAB 5 file"):
        mat_variable(tmp_path / "text.mat", "X")
