"""PyTorch checkpoints give the bits that were written, and whatever is no tensor or plain container is refused."""

import collections
import importlib.util
import io
import os
import pickle
import sys
import tracemalloc
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_vision.errors import WeightsError
from keras_vision.weights import read_torch

TYPES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "LongStorage": "i8", "IntStorage": "i4",
    "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


class Storage:
    def __init__(self, kind, numbers):
        self.kind, self.numbers = kind, numbers


class Call:
    """Pickled as the call of a function of PyTorch's, of which only the name is written."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def torch(monkeypatch):
    """Names of PyTorch's that a checkpoint mentions; without PyTorch."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for module, names in (
        ("torch", [*TYPES, "BFloat16Storage", "Size", "QInt8Storage"]),
        ("torch._utils", ["_rebuild_tensor_v2"]),
    ):
        for name in names:
            stub = type(name, (), {"__module__": module, "__qualname__": name})
            setattr(modules[module], name, stub)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules


def tensor(torch, storage, offset, shape, strides):
    arguments = storage, offset, shape, strides, False, collections.OrderedDict()
    return Call(torch["torch._utils"]._rebuild_tensor_v2, *arguments)


def whole(torch, array, kind):
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return tensor(torch, Storage(kind, array.ravel()), 0, array.shape, strides)


def write_zip(path, content, torch, protocol=2, compression=zipfile.ZIP_STORED):
    """As torch.save writes it."""
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if value not in storages:
                storages.append(value)
            return "storage", getattr(torch["torch"], value.kind), str(storages.index(value)), "cpu", value.numbers.size

    Pickler(stream := io.BytesIO(), protocol).dump(content)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", stream.getvalue())
        archive.writestr("net/byteorder", "little")
        for key, storage in enumerate(storages):
            archive.writestr(f"net/data/{key}", storage.numbers.tobytes())
        archive.writestr("net/version", "3\n")
    return path


@pytest.mark.parametrize("name", ["resnet20-12fca82f", "resnet56-4bfd9763"])
def test_published_checkpoints(name, shared):
    """The format before zip archives; the same arrays were published decoded."""
    arrays = read_torch(shared / f"weights/{name}.th")
    with np.load(shared / f"weights/{name.partition('-')[0]}_cifar10.npz") as decoded:
        assert list(arrays) == decoded.files or set(arrays) == set(decoded.files)
        for key in decoded.files:
            np.testing.assert_array_equal(arrays[key], decoded[key])
            assert arrays[key].dtype == decoded[key].dtype


GOLDEN = Path(__file__).parents[1] / "golden"
_spec = importlib.util.spec_from_file_location("make_torch_checkpoints", GOLDEN / "make_torch_checkpoints.py")
make_torch_checkpoints = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_torch_checkpoints)


@pytest.mark.parametrize("file", ["checkpoint.pth", "checkpoint_legacy.pth"])
def test_what_pytorch_itself_wrote(file):
    arrays, expected = read_torch(GOLDEN / file), make_torch_checkpoints.arrays()
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", TYPES)
def test_types(kind, protocol, torch, tmp_path):
    array = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype(TYPES[kind])
    path = write_zip(tmp_path / "net.pth", collections.OrderedDict(a=whole(torch, array, kind)), torch, protocol)
    read = read_torch(path)["a"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_bfloat16(torch, tmp_path):
    numbers = np.array([1.5, -2.0, np.inf, 3.0e38], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    read = read_torch(write_zip(tmp_path / "a.pth", {"a": whole(torch, halves, "BFloat16Storage")}, torch))["a"]
    np.testing.assert_array_equal(read, (halves.astype(np.uint32) << 16).view(np.float32))


def test_views_of_one_storage(torch, tmp_path):
    numbers = np.arange(24, dtype=np.float32)
    storage = Storage("FloatStorage", numbers)
    content = {
        "transposed": tensor(torch, storage, 0, (6, 4), (1, 6)),
        "part": tensor(torch, storage, 5, (2, 3), (6, 2)),
        "scalar": tensor(torch, storage, 23, (), ()),
        "empty": tensor(torch, storage, 24, (0, 3), (3, 1)),
    }
    arrays = read_torch(write_zip(tmp_path / "a.pth", content, torch))
    np.testing.assert_array_equal(arrays["transposed"], numbers.reshape(4, 6).T)
    np.testing.assert_array_equal(arrays["part"], [[5, 7, 9], [11, 13, 15]])
    np.testing.assert_array_equal(arrays["scalar"], np.float32(23), strict=True)
    assert arrays["empty"].shape == (0, 3)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_training_checkpoints(key, torch, tmp_path):
    one = whole(torch, np.ones(3, np.float32), "FloatStorage")
    content = {
        "epoch": 7,
        "best": 0.5,
        "note": "x",
        "done": None,
        "lrs": [0.1, (1, 2)],
        key: {"module.a": one, "module.b": one},
    }
    arrays = read_torch(write_zip(tmp_path / "a.pth", content, torch))
    assert list(arrays) == ["a", "b"]


def test_code_is_named_and_not_run(torch, tmp_path):
    marker = tmp_path / "ran"
    content = {"a": whole(torch, np.ones(3, np.float32), "FloatStorage"), "b": Call(os.system, f"touch {marker}")}
    path = write_zip(tmp_path / "a.pth", content, torch)
    with pytest.raises(
        WeightsError, match=r"asks for (posix|nt)\.system.*was not called.*torch\.save\(model\.state_dict"
    ):
        read_torch(path)
    assert not marker.exists()
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Call(os.system, f"touch {marker}")))
    with pytest.raises(WeightsError, match="system"):
        read_torch(tmp_path / "b.pth")
    assert not marker.exists()


BAD = {
    "reaches beyond": lambda torch, s: {"a": tensor(torch, s, 0, (5, 5), (5, 1))},
    "beyond its storage": lambda torch, s: {"a": tensor(torch, s, 0, (10**9, 10**9), (0, 0))},
    "beyond  ": lambda torch, s: {"a": tensor(torch, s, -1, (2,), (1,))},
    "beyond ": lambda torch, s: {"a": tensor(torch, s, 3, (2,), (-1,))},
    "whole numbers": lambda torch, s: {"a": tensor(torch, s, 0, (2.0,), (1,))},
    "not made of a storage": lambda torch, s: {"a": tensor(torch, "s", 0, (2,), (1,))},
    "torch.QInt8Storage is refused": lambda torch, s: {"a": whole(torch, s.numbers, "QInt8Storage")},
    "not a dictionary": lambda torch, s: [tensor(torch, s, 0, (2,), (1,))],
    "no tensors": lambda torch, s: {"a": 1},
    "asks for \\S*builtin\\S*set": lambda torch, s: {"a": {1, 2}},
}  # fmt: skip


@pytest.mark.parametrize("says", BAD)
def test_what_is_refused(says, torch, tmp_path):
    content = BAD[says](torch, Storage("FloatStorage", np.arange(9, dtype=np.float32)))
    path = write_zip(tmp_path / "a.pth", content, torch)
    with pytest.raises(WeightsError, match=says.strip()):
        read_torch(path)


def test_many_copies_of_one_storage(torch, tmp_path):
    """Views cost nothing; transposed views are copied, and a file of 4 MB could ask for any number of them."""
    storage = Storage("FloatStorage", np.arange(2**20, dtype=np.float32))

    def write(strides):
        content = {str(i): tensor(torch, storage, 0, (2**10, 2**10), strides) for i in range(40)}
        return write_zip(tmp_path / "a.pth", content, torch)

    assert len(read_torch(write((2**10, 1)))) == 40
    path = write((1, 2**10))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="copies of the same"):
            read_torch(path)
        assert tracemalloc.get_traced_memory()[1] < 80e6  # of 160 MB
    finally:
        tracemalloc.stop()


def test_entries_that_overlap(torch, tmp_path):
    """An entry inside of another's numbers: many of these are many times as large as the file."""
    with zipfile.ZipFile(inner := io.BytesIO(), "w") as archive:
        archive.writestr("net/data/1", bytes(4096))
        entry, end = archive.infolist()[0], archive.start_dir
    path = write_zip(tmp_path / "a.pth", {"a": 1}, torch)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/0", inner.getvalue()[:end])
        entry.header_offset = archive.start_dir - end
        archive.filelist.append(entry)
    with pytest.raises(WeightsError, match="some overlap"):
        read_torch(path)


@pytest.mark.parametrize("shape", [(1,) * 65, (2**64,), (-(2**64),), (2**62,) * 20_000])
def test_shapes_beyond_any_array(shape, torch, tmp_path):
    content = {"a": tensor(torch, Storage("FloatStorage", np.zeros(1, np.float32)), 0, shape, (0,) * len(shape))}
    with pytest.raises(WeightsError, match="more axes, or larger ones"):
        read_torch(write_zip(tmp_path / "a.pth", content, torch))


@pytest.mark.parametrize("end", [b"K\x01s.", b"Q.", b")R."])
def test_what_would_take_for_ever_to_hash_or_print(end, tmp_path):
    """A tuple of two tuples of two tuples ...: as a key, as the name of a storage, and called."""
    doubling = b"\x80\x02})" + 200 * b"q\x00h\x00\x86"
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", doubling + end)
    with pytest.raises(WeightsError, match=r"a\.pth"):
        read_torch(tmp_path / "a.pth")


def test_a_compressed_archive_is_refused(torch, tmp_path):
    content = {"a": whole(torch, np.zeros(10**6, np.float32), "FloatStorage")}
    path = write_zip(tmp_path / "a.pth", content, torch, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="is compressed"):
        read_torch(path)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"hello", b"PK\x03\x04", b"\x80\x02.", b"\x80\x02]q\x00.", pickle.dumps(1)]
)
def test_no_checkpoint(data, tmp_path):
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=r"a\.pth"):
        read_torch(tmp_path / "a.pth")


@pytest.fixture
def files(torch, shared, tmp_path):
    """A checkpoint of each format."""
    content = {
        "state_dict": {f"module.{i}": whole(torch, np.arange(9.0).reshape(3, 3), "DoubleStorage") for i in range(3)}
    }
    written = write_zip(tmp_path / "a.pth", content, torch).read_bytes()
    return written, (shared / "weights/resnet20-12fca82f.th").read_bytes()[:20_000]


def test_a_claimed_length_is_not_reserved(tmp_path):
    """A string of 4 GB in a file of twelve bytes."""
    path = tmp_path / "claims.pth"
    path.write_bytes(b"\x80\x02X\xff\xff\xff\xff" + b"short")
    tracemalloc.start()
    with pytest.raises(WeightsError, match="damaged"):
        read_torch(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_errors_of_ours(data, files, tmp_path):
    damaged = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged), 3000) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path / "damaged.pth"
    path.write_bytes(damaged)
    try:
        arrays = read_torch(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
