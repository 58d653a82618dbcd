""".safetensors files against the safetensors package, and damaged ones."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from keras_vision.errors import WeightsError
from keras_vision.weights import read_safetensors

ARRAYS = {
    f"{kind}{i}": np.random.default_rng(i).integers(0, 2, shape).astype(kind)
    for kind in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")
    for i, shape in enumerate([(), (3,), (2, 0), (2, 3, 1, 4)])
}


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_what_the_package_writes(tmp_path):
    save_file(ARRAYS, tmp_path / "a.safetensors", metadata={"format": "np"})
    read = read_safetensors(tmp_path / "a.safetensors")
    assert set(read) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_bfloat16(tmp_path):
    halves = np.array([0x3FC0, 0xC000], "<u2")  # 1.5 and -2
    entry = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    read = read_safetensors(write(tmp_path / "a.safetensors", {"a": entry}, halves.tobytes()))
    np.testing.assert_array_equal(read["a"], np.array([1.5, -2], np.float32), strict=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": "F8_E4M3"}, "dtype F8_E4M3; accepted: BF16, F64"),
        ({"dtype": 3}, "dtype 3"),
        ({"shape": [3]}, "does not fit bytes 0 to 8 of 8"),
        ({"shape": [2**62, 4]}, "does not fit"),
        ({"shape": [-2]}, "does not fit"),
        ({"shape": [2, *[1] * 70]}, "does not fit"),
        ({"shape": [0, 2**40, 2**40], "data_offsets": [0, 0]}, "does not fit"),
        ({"shape": [2.0]}, "does not fit"),
        ({"data_offsets": [8, 16]}, "does not fit bytes 8 to 16 of 8; truncated"),
        ({"data_offsets": [8, 0]}, "does not fit"),
        ({"data_offsets": [0]}, "does not say"),
        ({"shape": None}, "does not say"),
    ],
)
def test_bad_entries(change, says, tmp_path):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | change
    with pytest.raises(WeightsError, match=says):
        read_safetensors(write(tmp_path / "a.safetensors", {"a": entry}, bytes(8)))


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{", b"{}", b'{"a": 1}', b"\xff", b"[" * 100_000, {"__metadata__": {}}]
)
def test_bad_headers(header, tmp_path):
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        read_safetensors(write(tmp_path / "a.safetensors", header))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_errors_of_ours(data, tmp_path):
    damaged = bytearray(save({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(3, np.float32)}))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        arrays = read_safetensors(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
