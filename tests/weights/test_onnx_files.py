"""Initialisers of .onnx files against the onnx package, and damaged files."""

import tracemalloc

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_vision.errors import WeightsError
from keras_vision.weights import read, read_onnx

KINDS = ["f4", "f2", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ml_dtypes.bfloat16]
SHAPES = [(), (3,), (2, 0), (2, 3, 1, 4)]


def numbers(kind, shape):
    """Of the whole range of their type."""
    dtype = np.dtype(kind)
    bits = np.random.default_rng(0).integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    array = (bits & 1 if kind == "?" else bits).view(dtype).reshape(shape)
    return np.where(np.isnan(array.astype(float)), dtype.type(1.5), array) if dtype.kind in "fV" else array


def typed(name, array):
    """The array as numbers in the field of its type, not as raw bytes."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=kind)
    bits = {"float16": np.uint16, "bfloat16": np.uint16, "bool": np.uint8}  # written as integers
    values = array.view(bits.get(array.dtype.name, array.dtype))
    getattr(tensor, onnx.helper.tensor_dtype_to_field(kind)).extend(values.ravel().tolist())
    return tensor


def raw(name, array):
    return onnx.numpy_helper.from_array(array, name)


def model(*tensors, **graph):
    return onnx.ModelProto(
        ir_version=9, producer_name="test", graph=onnx.GraphProto(name="g", initializer=tensors, **graph)
    )


def write(path, *tensors, **graph):
    path.write_bytes(model(*tensors, **graph).SerializeToString())
    return path


def as_read(array):
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array


NETS = ["densenet121", "inception_v1", "inception_v2", "resnet50", "squeezenet", "vgg19"]


@pytest.mark.parametrize("name", NETS)
def test_published_files(name, shared):
    path = shared / f"weights/onnx_light/light_{name}.onnx"
    arrays = read_onnx(path)
    tensors = onnx.load(path).graph.initializer
    assert list(arrays) == [tensor.name for tensor in tensors]
    for tensor in tensors:
        np.testing.assert_array_equal(arrays[tensor.name], onnx.numpy_helper.to_array(tensor), strict=True)


@pytest.mark.parametrize("store", [raw, typed])
@pytest.mark.parametrize("kind", KINDS)
def test_types(kind, store, tmp_path):
    expected = {f"layer.{i}/w": numbers(kind, shape) for i, shape in enumerate(SHAPES)}
    tensors = [store(name, array) for name, array in expected.items()]
    path = write(tmp_path / "a.onnx", *tensors, doc_string="x", node=[onnx.NodeProto(op_type="Relu", name="n")])
    for arrays in (read_onnx(path), read(path, {})):
        assert list(arrays) == list(expected)
        for (name, array), tensor in zip(expected.items(), tensors, strict=True):
            np.testing.assert_array_equal(arrays[name], as_read(onnx.numpy_helper.to_array(tensor)), strict=True)
            np.testing.assert_array_equal(arrays[name], as_read(array), strict=True)
            assert arrays[name].flags.aligned


def test_unpacked_numbers(tmp_path):
    """As an encoder may write them: each number a field of its own; here three dims, four floats and two integers."""
    floats = b"".join(b"\x25" + np.float32(x).tobytes() for x in (1, -0.0, 3, 1e-45))
    tensor = b"\x08\x01\x08\x04\x10\x01\x42\x01a" + floats
    other = b"\x0a\x02\x02\x01\x10\x03\x42\x01b\x28\x05\x28" + b"\xff" * 9 + b"\x01"
    graph = b"".join(b"\x2a" + bytes([len(part)]) + part for part in (tensor, other))
    (tmp_path / "a.onnx").write_bytes(b"\x3a" + bytes([len(graph)]) + graph)
    tensors = onnx.load(tmp_path / "a.onnx").graph.initializer
    arrays = read_onnx(tmp_path / "a.onnx")
    np.testing.assert_array_equal(arrays["b"], np.int8([[5], [-1]]), strict=True)
    for tensor in tensors:
        np.testing.assert_array_equal(arrays[tensor.name], onnx.numpy_helper.to_array(tensor), strict=True)


def changed(**fields):
    tensor = raw("a", np.arange(6, dtype=np.float32).reshape(2, 3))
    for name, value in fields.items():
        tensor.ClearField(name)
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


EXTERNAL = [onnx.StringStringEntryProto(key="location", value="weights.bin")]
BAD = {
    "holds no initialisers": [],
    "a: is kept in another file. Save": [changed(data_location=onnx.TensorProto.EXTERNAL)],
    "a: is kept in another file. Save the model": [changed(external_data=EXTERNAL)],
    "initialiser 1: two initialisers are named 'a'": [changed(), changed()],
    "initialiser 1: has no name": [changed(), changed(name="")],
    "a: data type 8; accepted: 1 (float32), 2 (uint8)": [changed(data_type=onnx.TensorProto.STRING)],
    "a: data type 17": [changed(data_type=onnx.TensorProto.FLOAT8E4M3FN)],
    "a: data type 0": [changed(data_type=0)],
    "a: 6 numbers for the shape (2, 4), which has 8": [changed(dims=[2, 4])],
    "a: 5 numbers for the shape (2, 3)": [changed(raw_data=bytes(20))],
    "a: 0 numbers for the shape (2, 3)": [changed(raw_data=b"")],
    "a: field 9 has 21 bytes, no multiple of 4": [changed(raw_data=bytes(21))],
    "a: the shape": [changed(dims=[-2, -3])],
    "a: a shape has more than 32 axes": [changed(dims=[1] * 100)],
    "negative size, or is of no array": [changed(dims=[0, 2**62], raw_data=b"")],
}


@pytest.mark.parametrize("says", BAD)
def test_what_is_refused(says, tmp_path):
    with pytest.raises(WeightsError) as caught:
        read_onnx(write(tmp_path / "a.onnx", *BAD[says]))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.onnx"))


def test_sparse_initialisers_are_refused(tmp_path):
    sparse = onnx.SparseTensorProto(values=changed(), dims=[9])
    with pytest.raises(WeightsError, match="sparse initialisers are refused"):
        read_onnx(write(tmp_path / "a.onnx", changed(), sparse_initializer=[sparse]))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"hello", b"\x3a\x05ab", b"\x38\x01", b"\x3a\x03\x2a\x01\x0a", b"\x3a" * 10**5]
)
def test_no_model(data, tmp_path):
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match=r"a\.onnx: "):
        read_onnx(tmp_path / "a.onnx")


def test_memory(tmp_path):
    """The array and nothing else, although it lies in two messages that lie in the file."""
    array = np.arange(15 * 2**20, dtype=np.float32).reshape(-1, 256, 3, 5)
    path = write(tmp_path / "a.onnx", raw("a", array))
    tracemalloc.start()
    try:
        arrays = read_onnx(path)
        assert tracemalloc.get_traced_memory()[1] <= 1.3 * path.stat().st_size
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(arrays["a"], array, strict=True)


FILES = [
    model(*(store(kind, numbers(kind, (2, 1, 3))) for kind in kinds)).SerializeToString()
    for store in (raw, typed)
    for kinds in (["f4", "u1", "?"], ["i1", "f8", "i8"])
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_errors_of_ours(data, tmp_path):
    damaged = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        arrays = read_onnx(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert sum(array.nbytes for array in arrays.values()) <= 8 * len(damaged)  # an int64 may be one byte in the file
