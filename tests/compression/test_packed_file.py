"""The packed file: what it gives back, its layout, and what a damaged or hostile file does."""

import hashlib
import json
import struct
import tracemalloc
import zlib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_classifier import blobs, classifier

from keras_vision import KerasVisionError, compression
from keras_vision.compression import packed_file
from keras_vision.errors import WeightsError


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A compressed network, the bytes of its file, and the file."""
    model = classifier()
    path = tmp_path_factory.mktemp("packed") / "small.kvpack"
    compression.compress(model, path, bits=4, sparsity=0.6)
    return model, path.read_bytes(), path


def test_the_file_gives_back_network_and_weights(packed, tmp_path):
    model, _, path = packed
    again = compression.load_packed(path)
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    images = blobs()[0]
    assert np.array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))
    arrays = compression.read_packed(path)
    assert list(arrays) == [variable.path for variable in model.weights]
    other = classifier(seed=9)
    compression.load_packed_weights(other, path)
    assert np.array_equal(other.predict(images, verbose=0), model.predict(images, verbose=0))
    ledger = compression.pack(model, tmp_path / "again.kvpack")
    assert (tmp_path / "again.kvpack").read_bytes() == path.read_bytes()
    assert ledger.size == path.stat().st_size == ledger.total("packed") + ledger.overhead
    assert ledger.total("weights") == model.count_params()
    assert ledger.sparsity == pytest.approx(0.6, abs=0.01)


def test_nested_models_and_names_that_occur_twice(tmp_path):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")], name="inner")
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(2, name="d")(inner(image)))
    compression.pack(model, tmp_path / "n.kvpack")
    x = np.ones((2, 4), np.float32)
    assert np.array_equal(compression.load_packed(tmp_path / "n.kvpack")(x), model(x))


def test_the_layout_is_as_documented(tmp_path):
    """A reader of a few lines, from the format's description alone."""
    vector = keras.Input((100,))
    model = keras.Model(vector, keras.layers.Dense(100, name="wide")(vector))
    path = tmp_path / "wide.kvpack"
    compression.compress(model, path, bits=4, sparsity=0.9)
    content = path.read_bytes()
    magic, version, _, stored, _, _ = struct.unpack_from("<8sHHIIQ", content)
    assert (magic, version) == (b"\x89KVPACK\n", 1)
    kernel, bias = json.loads(zlib.decompress(content[28 : 28 + stored]))["arrays"]
    name, shape, _, coding, values, _, _, codes, gaps = kernel
    assert (name, coding, values, bias[3]) == ("wide/kernel", "sparse", 16, "plain")
    book = np.frombuffer(content, "<f4", values, 28 + stored)
    first = 28 + stored + 4 * values
    picked = zlib.decompress(content[first : first + codes], -15)
    steps = zlib.decompress(content[first + codes : first + codes + gaps], -15)
    flat, place = np.zeros(10_000, np.float32), -1
    for code, gap in zip(picked, steps, strict=True):
        place += gap + 1
        flat[place] = book[code]
    assert np.array_equal(flat.reshape(shape), np.asarray(model.get_layer("wide").kernel))
    end = first + codes + gaps + 400
    assert content[end:] == hashlib.sha256(content[:end]).digest()


def test_every_truncation_and_every_changed_byte_is_found(packed):
    _, content, _ = packed
    rng = np.random.default_rng(0)
    for end in {0, 7, 8, 27, 28, 60, len(content) - 1, *rng.integers(0, len(content), 60).tolist()}:
        with pytest.raises(WeightsError):
            packed_file.parse(content[:end], "x")
    for place in {*range(28), *rng.integers(0, len(content), 100).tolist()}:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(WeightsError):
            packed_file.parse(bytes(changed), "x")
    with pytest.raises(WeightsError):
        packed_file.parse(content + b"x", "x")


def forged(content, change_header=None, change_body=None):
    """The file with another header or body, sizes and hash made right again: as an attacker would."""
    _, _, _, stored, _, _ = struct.unpack_from("<8sHHIIQ", content)
    header = json.loads(zlib.decompress(content[28 : 28 + stored]))
    body = bytearray(content[28 + stored : -32])
    if change_header is not None:
        header = change_header(header)
    if change_body is not None:
        body = change_body(body)
    raw = json.dumps(header).encode()
    packed = zlib.compress(raw)
    start = struct.pack("<8sHHIIQ", b"\x89KVPACK\n", 1, 0, len(packed), len(raw), len(body))
    whole = start + packed + bytes(body)
    return whole + hashlib.sha256(whole).digest()


def survives(content):
    """Decoded or refused with the one error, and in little memory."""
    tracemalloc.start()
    try:
        packed_file.parse(content, "x")
    except WeightsError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5_000_000


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1 << 70) | st.floats() | st.text(max_size=5) | st.just("sparse"),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_forged_header_is_refused_or_harmless(packed, data):
    _, content, _ = packed

    def change(header):
        array = data.draw(st.integers(0, len(header["arrays"]) - 1))
        field = data.draw(st.integers(0, 8))
        header["arrays"][array][field] = data.draw(JUNK)
        return header

    survives(forged(content, change))


@settings(max_examples=60, deadline=None)
@given(JUNK)
def test_any_json_for_a_header(packed, header):
    survives(forged(packed[1], lambda _: header))
    survives(forged(packed[1], lambda _: {"arrays": header, "model": header}))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_forged_body_is_refused_or_harmless(packed, data):
    def change(body):
        for _ in range(data.draw(st.integers(1, 8))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        return body

    survives(forged(packed[1], change_body=change))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(content):
    survives(content)
    survives(packed_file.MAGIC + content)


@pytest.mark.parametrize(
    "fields",
    [
        ["x", [1 << 20, 1 << 20], "float32", "sparse", 1, 8, 6, 1, 1],  # a terabyte of zeros
        ["x", [1 << 30], "float32", "dense", 1, 1 << 30, 0, 12, 0],
        ["x", [1 << 39], "float32", "plain", 0, 0, 0, 12, 0],
        ["x", [0, 1 << 39, 1 << 39], "float32", "plain", 0, 0, 0, 0, 0],
        ["x", [100], "float32", "sparse", 1, 4, 1 << 39, 1, 1],
        ["x", [1 << 22], "float32", "dense", 1, 1 << 22, 0, 5000, 0],  # a bomb of DEFLATE
    ],
)
def test_no_bomb_goes_off(packed, fields):
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = struct.pack("<f", 1.0) + bomb.compress(bytes(1 << 22)) + bomb.flush()
    content = forged(packed[1], lambda _: {"arrays": [fields], "model": None}, lambda _: body)
    survives(content)
    with pytest.raises(WeightsError):
        packed_file.parse(content, "x")


def test_a_header_that_inflates_without_end(packed):
    raw = b" " * (1 << 27)
    squeezed = zlib.compress(raw, 9)
    for claimed in (100, 1 << 27):
        start = struct.pack("<8sHHIIQ", b"\x89KVPACK\n", 1, 0, len(squeezed), claimed, 0)
        whole = start + squeezed
        survives(whole + hashlib.sha256(whole).digest())


def test_nan_in_a_file_and_a_foreign_configuration(packed, tmp_path):
    def nan(body):
        body[:4] = struct.pack("<f", np.nan)
        return body

    with pytest.raises(WeightsError, match="NaN"):
        packed_file.parse(forged(packed[1], change_body=nan), "x")
    evil = {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None}
    path = tmp_path / "evil.kvpack"
    path.write_bytes(forged(packed[1], lambda header: {**header, "model": evil}))
    with pytest.raises(WeightsError, match="cannot be built"):
        compression.load_packed(path)
    path.write_bytes(forged(packed[1], lambda header: {**header, "model": None}))
    with pytest.raises(WeightsError, match="without their network"):
        compression.load_packed(path)


def test_bad_use_is_one_clear_error(packed, tmp_path):
    model, content, path = packed
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("no packed file")
    newer = bytearray(content)
    newer[8] = 2
    (tmp_path / "newer").write_bytes(newer)
    for wrong, message in [
        (lambda: compression.pack(model, path), "exists already"),
        (lambda: compression.compress(model, path, bits=4), "exists already"),
        (lambda: compression.compress(model, tmp_path / "x", bits=3), "4, 5, 6, 8"),
        (lambda: compression.compress(model, tmp_path / "x", steps=5), "give photographs"),
        (lambda: compression.load_packed(tmp_path / "none"), "none: no such file"),
        (lambda: compression.read_packed(tmp_path / "none"), "none: cannot be read"),
        (lambda: compression.read_packed(tmp_path / "empty"), "not a packed file"),
        (lambda: compression.read_packed(tmp_path / "text"), "not a packed file"),
        (lambda: compression.read_packed(tmp_path / "newer"), "version 2"),
        (lambda: compression.load_packed_weights(keras.Sequential([keras.layers.Dense(2)]), path), "does not fit"),
    ]:
        with pytest.raises(KerasVisionError, match=message):
            wrong()
    assert path.read_bytes() == content
    assert not list(tmp_path.glob(".*"))


def test_nan_weights_are_not_packed(tmp_path):
    model = classifier()
    model.get_layer("norm").moving_mean.assign(np.full(12, np.inf))
    with pytest.raises(KerasVisionError, match="norm/moving_mean holds NaN or infinite"):
        compression.compress(model, tmp_path / "x.kvpack")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(packed, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(KerasVisionError, match="No space left on device"):
        compression.pack(packed[0], tmp_path / "x.kvpack")
    assert not list(tmp_path.iterdir())
