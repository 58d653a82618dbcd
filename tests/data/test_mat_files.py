"""MATLAB files that lie about what they hold, or hold too much."""

import contextlib

import numpy as np
import pytest
from scipy.io import savemat

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


@pytest.mark.parametrize("seed", [0, 1, 4, 5])
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


def test_other_files_are_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match="no such file"):
        mat_variable(tmp_path / "none.mat", "X")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    with pytest.raises(KerasVisionError, match=r"a MATLAB 7\.3 file"):
        mat_variable(tmp_path / "new.mat", "X")
    (tmp_path / "text.mat").write_text("hello " * 100)
    with pytest.raises(KerasVisionError, match="no MATLAB 5 file"):
        mat_variable(tmp_path / "text.mat", "X")
