"""Readers give the very bits that were written, and refuse every damaged file with a WeightsError."""

import functools
import math
import pickle
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_vision.errors import WeightsError
from keras_vision.weights import read, read_deep_compression

LAYERS = [("conv1", (4, 3, 3, 3)), ("conv2", (5, 4, 1, 1))]
read_net = functools.partial(read_deep_compression, layers=LAYERS)


def small_model():
    """Convolutions, batch norm, and a dropout, whose seed is no weight."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Conv2D(5, 1, name="conv2")(x))


def net_bytes(seed=0, count=(60, 21), gap_limit=2):
    """A Deep Compression file and, decoded entry by entry, its kernels (Caffe's order) and biases."""
    rng = np.random.default_rng(seed)
    header, body, decoded = b"", b"", {}
    for (name, shape), n in zip(LAYERS, count, strict=True):
        codebook = rng.normal(0, 1, 256).astype("<f4")
        bias = rng.normal(0, 1, shape[0]).astype("<f4")
        codes, gaps = rng.integers(0, 256, n, np.uint8), rng.integers(0, gap_limit, n, np.uint8)
        gaps[math.prod(shape) // gap_limit :] = 0
        kernel, position = np.full(math.prod(shape), codebook[0]), -1
        for code, gap in zip(codes, gaps, strict=True):
            position += int(gap) + 1
            if position < kernel.size:
                kernel[position] = codebook[code]
        padded = [*gaps, 0] if n % 2 else gaps
        nibbles = bytes(int(low) | int(high) << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))
        header += np.uint32(n).tobytes()
        body += codebook.tobytes() + bias.tobytes() + codes.tobytes() + nibbles
        decoded[name] = kernel.reshape(shape), bias
    return header + body, decoded


def write(kind, path, randomize):
    """A valid file of each kind."""
    if kind == ".net":
        path.write_bytes(net_bytes(count=(60, 9))[0])
    elif kind == ".npz":
        kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 3, 4))
        np.savez_compressed(path, **{"conv1/kernel": kernel, "conv1/bias": np.zeros(4, "float32")})
    elif kind == ".weights.h5":
        randomize(small_model()).save_weights(path)
    else:
        randomize(small_model()).save(path)
    return path


KINDS = [".h5", ".weights.h5", ".keras", ".npz", ".net"]


def reading(path):
    return read(path, {".net": read_net})


# -------------------------------------------------------------------------------------------- bit-exactness


def test_variables_of_keras_1_get_the_names_of_today(tmp_path):
    """The public files of VGG and Xception: "block1_conv1/block1_conv1_W_1:0"."""
    names = {
        "conv1": {"conv1_W_1:0": "kernel", "conv1_b_1:0": "bias"},
        "sep_2": {"sep_2_depthwise_kernel:0": "depthwise_kernel", "sep_2_pointwise_kernel:0": "pointwise_kernel"},
        "bn1": {"bn1_gamma:0": "gamma", "bn1_running_mean:0": "moving_mean", "bn1_running_std_1:0": "moving_variance"},
    }
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = np.array(list(names), "S")
        for layer, variables in names.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array(list(variables), "S")
            for position, variable in enumerate(variables):
                group[variable] = np.full(3, position, "float32")
    arrays = read(tmp_path / "old.h5", {})
    assert list(arrays) == [f"{layer}/{today}" for layer, variables in names.items() for today in variables.values()]
    np.testing.assert_array_equal(arrays["bn1/moving_variance"], np.full(3, 2))


@pytest.mark.parametrize("kind", [".h5", ".weights.h5", ".keras"])
def test_keras_files_are_read_bit_by_bit(kind, tmp_path, randomize):
    model = randomize(small_model())
    model.save_weights(tmp_path / f"m{kind}") if "weights" in kind else model.save(tmp_path / f"m{kind}")
    arrays = reading(tmp_path / f"m{kind}")
    named = kind == ".h5"
    expected = {f"{x.name}/{v.name if named else i}": v for x in model.layers for i, v in enumerate(x.weights)}
    assert {key for key in arrays if "seed" not in key} == set(expected)
    for key, variable in expected.items():
        np.testing.assert_array_equal(arrays[key], variable.numpy(), strict=True)


@pytest.mark.parametrize(("keys", "order"), [
    (("fire2/expand3x3/kernel", "fire2/expand3x3/bias"), "keras"),
    (("fire2__expand3x3__kernel:0", "fire2__expand3x3__bias:0"), "keras"),
    (("fire2_expand3x3/kernel:0", "fire2_expand3x3/bias:0"), "keras"),
    (("fire2/expand3x3/w", "fire2/expand3x3/b"), "caffe"),
])  # fmt: skip
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_dialects_are_read_bit_by_bit(keys, order, save, tmp_path):
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 1, (3, 2, 4, 5)).astype("float32"), rng.normal(0, 1, 5).astype("float32")
    stored = kernel if order == "keras" else np.moveaxis(kernel, (3, 2, 0, 1), (0, 1, 2, 3))
    save(tmp_path / "w.npz", **{keys[0]: stored, keys[1]: bias})
    arrays = reading(tmp_path / "w.npz")
    assert sorted(arrays) == ["fire2_expand3x3/bias", "fire2_expand3x3/kernel"]
    np.testing.assert_array_equal(arrays["fire2_expand3x3/kernel"], kernel, strict=True)
    np.testing.assert_array_equal(arrays["fire2_expand3x3/bias"], bias, strict=True)


@pytest.mark.parametrize("gap_limit", [1, 2])
def test_deep_compression_is_decoded_bit_by_bit(gap_limit, tmp_path):
    data, decoded = net_bytes(seed=3, count=(59, 12), gap_limit=gap_limit)
    (tmp_path / "w.net").write_bytes(data)
    arrays = reading(tmp_path / "w.net")
    for name, (kernel, bias) in decoded.items():
        np.testing.assert_array_equal(arrays[f"{name}/kernel"], kernel.transpose(2, 3, 1, 0), strict=True)
        np.testing.assert_array_equal(arrays[f"{name}/bias"], bias, strict=True)


# ---------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_anywhere_is_an_error(kind, tmp_path, randomize):
    path = write(kind, tmp_path / f"w{kind}", randomize)
    data = path.read_bytes()
    for size in {0, 1, 4, 100, *np.linspace(8, len(data) - 1, 40).astype(int).tolist()}:
        path.write_bytes(data[:size])
        with pytest.raises(WeightsError, match="w\\.") as caught:
            reading(path)
        assert caught.type is WeightsError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", [b"", b"not weights\n" * 50, b"<html>404</html>", b"version https://git-lfs.github.com"]
)
def test_other_content_is_an_error(kind, content, tmp_path):
    path = tmp_path / f"w{kind}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="w\\."):
        reading(path)


@pytest.mark.parametrize("kind", [".keras", ".npz"])
def test_archive_of_other_things_is_an_error(kind, tmp_path):
    with zipfile.ZipFile(tmp_path / f"w{kind}", "w") as archive:
        archive.writestr("readme.txt", "no weights here")
    with pytest.raises(WeightsError):
        reading(tmp_path / f"w{kind}")


def test_hdf5_without_weights_is_an_error(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(WeightsError, match="holds no weights"):
        reading(tmp_path / "w.h5")


def test_bare_npy_under_the_name_of_an_archive_is_an_error(tmp_path):
    with (tmp_path / "w.npz").open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(WeightsError, match="not a NumPy archive"):
        reading(tmp_path / "w.npz")


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("pack", ["archive", "bare"])
def test_pickles_are_refused_and_never_executed(pack, tmp_path):
    bomb = np.array([Bomb(tmp_path / "exploded")], object)
    if pack == "archive":
        np.savez(tmp_path / "w.npz", **{"conv1/kernel": bomb}, allow_pickle=True)
    else:
        (tmp_path / "w.npz").write_bytes(pickle.dumps(bomb))
    with pytest.raises(WeightsError):
        reading(tmp_path / "w.npz")
    assert not (tmp_path / "exploded").exists()


def test_entry_beyond_the_kernel_is_an_error(tmp_path):
    (tmp_path / "w.net").write_bytes(net_bytes(count=(60, 21), gap_limit=1)[0])
    with pytest.raises(WeightsError, match="conv2: entry 20 in a kernel of 20 weights"):
        reading(tmp_path / "w.net")


@pytest.mark.parametrize("change", [-1, 1, 1000])
def test_other_size_of_a_deep_compression_file_is_an_error(change, tmp_path):
    data, _ = net_bytes(count=(60, 9))
    (tmp_path / "w.net").write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(WeightsError, match=rf"{len(data) + change} bytes where .* 2 layers has {len(data)}"):
        reading(tmp_path / "w.net")


def test_unknown_suffix_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match=r"no reader for '.bin' files.*accepted: .h5, .keras, .npz, .*, .net"):
        reading(tmp_path / "w.bin")


def test_archive_without_arrays_is_an_error(tmp_path):
    np.savez(tmp_path / "w.npz")
    with pytest.raises(WeightsError):
        reading(tmp_path / "w.npz")


@pytest.mark.parametrize(("field", "value"), [("flag_bits", 1), ("compress_type", 99), ("compress_type", 8)])
@pytest.mark.parametrize("kind", [".keras", ".npz"])
def test_archive_that_python_cannot_unpack_is_an_error(kind, field, value, tmp_path, randomize):
    write(kind, tmp_path / f"w{kind}", randomize)
    if kind == ".npz":
        np.savez(tmp_path / "w.npz", **{"conv1/kernel": np.ones(9, "float32")})
    data = bytearray((tmp_path / f"w{kind}").read_bytes())
    local, central = {"flag_bits": (6, 8), "compress_type": (8, 10)}[field]
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + offset] = value
    (tmp_path / f"w{kind}").write_bytes(data)
    with pytest.raises(WeightsError):
        reading(tmp_path / f"w{kind}")


FUZZ = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(
    data=st.binary(max_size=400),
    magic=st.sampled_from([b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY\x01\x00"]),
)
def test_random_bytes_give_arrays_or_a_weights_error(kind, tmp_path, data, magic):
    path = tmp_path / f"w{kind}"
    path.write_bytes(magic + data)
    assert_arrays_or_error(path)


@pytest.mark.parametrize("kind", [".keras", ".npz", ".net"])  # the HDF5 library itself crashes on some changed files
@FUZZ
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_give_arrays_or_a_weights_error(kind, valid_files, tmp_path, changes):
    data = bytearray(valid_files[kind])
    for where, value in changes:
        data[int(where * len(data))] = value
    path = tmp_path / f"w{kind}"
    path.write_bytes(data)
    assert_arrays_or_error(path)


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory, randomize):
    folder = tmp_path_factory.mktemp("valid")
    return {kind: write(kind, folder / f"w{kind}", randomize).read_bytes() for kind in KINDS}


def assert_arrays_or_error(path):
    try:
        arrays = reading(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


def bomb_npz(path):
    np.savez_compressed(path, w=np.zeros(1 << 25, "float32"))


def bomb_keras(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 27))


def bomb_h5(path):
    """Arrays of a terabyte that were never written: they read as zeros."""
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 38,), "f4")


@pytest.mark.parametrize(("name", "write"), [("a.npz", bomb_npz), ("a.keras", bomb_keras), ("a.h5", bomb_h5)])
def test_what_expands_beyond_reason_is_refused_before_memory_is_taken(name, write, tmp_path):
    write(tmp_path / name)
    tracemalloc.start()
    with pytest.raises(WeightsError, match="no weights compress so well"):
        reading(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
