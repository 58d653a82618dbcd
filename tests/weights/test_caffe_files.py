"""Binary .caffemodel files, written by protobuf's own encoder, give the bits that were written; damaged ones errors."""

import tracemalloc

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_vision as kv
from keras_vision.errors import WeightsError
from keras_vision.weights import read, read_caffemodel

# Name: number, type, and whether repeated. A part of Caffe's caffe.proto, with some that the reader passes over.
SCHEMA = {
    "BlobShape": {"dim": (1, "int64", True)},
    "BlobProto": {
        "num": (1, "int64"), "channels": (2, "int64"), "height": (3, "int64"), "width": (4, "int64"),
        "data": (5, "float", True), "diff": (6, "float", True), "shape": (7, "BlobShape"),
        "double_data": (8, "double", True), "double_diff": (9, "double", True),
    },
    "LayerParameter": {
        "name": (1, "string"), "type": (2, "string"), "bottom": (3, "string", True), "loss_weight": (5, "float", True),
        "blobs": (7, "BlobProto", True), "phase": (10, "int32"),
    },
    "V0LayerParameter": {"name": (1, "string"), "blobs": (50, "BlobProto", True)},
    "V1LayerParameter": {
        "layer": (1, "V0LayerParameter"), "bottom": (2, "string", True), "name": (4, "string"), "type": (5, "int32"),
        "blobs": (6, "BlobProto", True), "blobs_lr": (7, "float", True),
    },
    "NetParameter": {
        "name": (1, "string"), "layers": (2, "V1LayerParameter", True), "input": (3, "string", True),
        "input_dim": (4, "int32", True), "force_backward": (5, "bool"), "layer": (100, "LayerParameter", True),
    },
}  # fmt: skip


def schema(packed: bool = True, bytes_for_floats: bool = False) -> dict:
    """Message classes by name. Packed floats and a field of bytes look the same in a file."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in SCHEMA.items():
        added = file.message_type.add(name=message)
        for name, (number, kind, *repeated) in fields.items():
            if bytes_for_floats and (kind, repeated) == ("float", [True]):
                kind, repeated = "bytes", []
            field = added.field.add(name=name, number=number, label=3 if repeated else 1)
            if kind in SCHEMA:
                field.type, field.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
                if repeated and kind != "string":
                    field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in SCHEMA}


PACKED, UNPACKED = schema(), schema(packed=False)
CONVOLUTION, INNER_PRODUCT = 4, 14  # of V1LayerParameter.LayerType


def numbers(*shape):
    """With all that a float32 can be: signed zeros, infinities, denormals, not a number."""
    array = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    special = np.array([-0.0, np.inf, -np.inf, 1e-45, np.nan, 3.4e38], np.float32)[: array.size]
    array.ravel()[: special.size] = special
    return array


def blob(array, legacy=None, doubles=False, diff=False):
    """Fields of a BlobProto."""
    sizes = dict(zip(("num", "channels", "height", "width"), legacy, strict=True)) if legacy else {}
    shape = {} if legacy else {"shape": {"dim": array.shape}}
    data = {"double_data" if doubles else "data": array.ravel().tolist()}
    return sizes | shape | data | ({"diff": [7.0] * 5, "double_diff": [8.0] * 5} if diff else {})


def write(path, net=PACKED, **fields):
    path.write_bytes(net["NetParameter"](name="net", input=["data"], input_dim=[1, 3], **fields).SerializeToString())
    return path


def assert_same_bits(arrays, expected):
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        assert (arrays[name].dtype, arrays[name].shape) == (np.float32, array.shape)
        assert arrays[name].tobytes() == array.tobytes(), name
        assert arrays[name].flags.aligned


ARRAYS = {
    "conv1.blobs.0": numbers(4, 3, 5, 2), "conv1.blobs.1": numbers(4), "inception_3a/1x1.blobs.0": numbers(1, 4, 1, 1),
    "fc.blobs.0": numbers(6, 7), "fc.blobs.1": numbers(1, 6), "scale.blobs.0": np.float32([0.5]).reshape(()),
}  # fmt: skip


@pytest.mark.parametrize("net", [PACKED, UNPACKED], ids=["packed", "unpacked"])
def test_layers(net, tmp_path):
    conv = {"name": "conv1", "type": "Convolution", "bottom": ["data"], "loss_weight": [1.0, 2.0], "phase": 1}
    layers = [
        {"name": "data", "type": "Input"},
        {**conv, "blobs": [blob(ARRAYS["conv1.blobs.0"], diff=True), blob(ARRAYS["conv1.blobs.1"])]},
        {"name": "inception_3a/1x1", "type": "Convolution", "blobs": [blob(ARRAYS["inception_3a/1x1.blobs.0"])]},
        {"name": "conv1_relu", "type": "ReLU"},
        {
            "name": "fc",
            "blobs": [blob(ARRAYS["fc.blobs.0"], doubles=True, diff=True), blob(ARRAYS["fc.blobs.1"], doubles=True)],
        },
        {"name": "scale", "type": "Scale", "blobs": [blob(ARRAYS["scale.blobs.0"])]},
    ]
    path = write(tmp_path / "a.caffemodel", net, layer=layers, force_backward=True)
    assert_same_bits(read_caffemodel(path), ARRAYS)
    assert_same_bits(read(path, {}), ARRAYS)


@pytest.mark.parametrize("net", [PACKED, UNPACKED], ids=["packed", "unpacked"])
def test_v1_layers(net, tmp_path):
    layers = [
        {"name": "conv1", "type": CONVOLUTION, "blobs": [blob(ARRAYS["conv1.blobs.0"], legacy=(4, 3, 5, 2))]},
        {"name": "pool", "type": 17},
        {
            "name": "fc",
            "type": INNER_PRODUCT,
            "blobs_lr": [1, 2],
            "blobs": [blob(ARRAYS["fc.blobs.0"], legacy=(1, 1, 6, 7))],
        },
    ]
    path = write(tmp_path / "a.caffemodel", net, layers=layers)
    assert_same_bits(read_caffemodel(path), {name: ARRAYS[name] for name in ("conv1.blobs.0", "fc.blobs.0")})


@pytest.mark.parametrize(
    ("types", "weights", "weights_are", "biases", "biases_are"),
    [
        (("Convolution", 4), (5, 2, 3, 3), (5, 2, 3, 3), (1, 1, 1, 5), (5,)),
        (("Convolution", 4), (1, 2, 3, 3), (1, 2, 3, 3), (1, 1, 1, 1), (1,)),
        (("Convolution", 4), (1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (1,)),
        (("Deconvolution", 39), (1, 1, 4, 4), (1, 1, 4, 4), (1, 1, 1, 1), (1,)),
        (("InnerProduct", 14), (1, 1, 6, 7), (6, 7), (1, 1, 1, 6), (6,)),
        (("InnerProduct", 14), (1, 1, 1, 7), (1, 7), (1, 1, 1, 1), (1,)),
        (("Other", 99), (1, 1, 1, 7), (7,), (1, 7, 1, 1), (7, 1, 1)),
    ],
)
def test_legacy_sizes(types, weights, weights_are, biases, biases_are, tmp_path):
    """Leading ones are dropped, but not those of weights; in both kinds of layers."""
    expected = {"a.blobs.0": numbers(*weights_are), "a.blobs.1": numbers(*biases_are)}
    blobs = [blob(expected["a.blobs.0"], legacy=weights), blob(expected["a.blobs.1"], legacy=biases)]
    for field, layer_type in zip(("layer", "layers"), types, strict=True):
        layer = {"name": "a", "type": layer_type, "blobs": blobs}
        assert_same_bits(read_caffemodel(write(tmp_path / "a.caffemodel", **{field: [layer]})), expected)


def test_a_stated_shape_keeps_its_ones(tmp_path):
    fields = blob(numbers(1, 1, 3)) | {"num": 1, "channels": 1, "height": 1, "width": 3}
    path = write(tmp_path / "a.caffemodel", layer=[{"name": "a", "blobs": [fields]}])
    assert_same_bits(read_caffemodel(path), {"a.blobs.0": numbers(1, 1, 3)})


def test_doubles_beyond_float32(tmp_path):
    fields = {"double_data": [1e300, 1 / 3]}
    path = write(tmp_path / "a.caffemodel", layer=[{"name": "a", "blobs": [fields | {"shape": {"dim": [2]}}]}])
    assert_same_bits(read_caffemodel(path), {"a.blobs.0": np.float32([np.inf, 1 / 3])})


SIX = blob(numbers(6))
BAD = {
    "holds no arrays": {"layer": [{"name": "a"}]},
    "6 numbers for the shape (2, 4), which": {"layer": [{"name": "a", "blobs": [SIX | {"shape": {"dim": [2, 4]}}]}]},
    "a.blobs.1: 6 numbers for the shape ()": {"layer": [{"name": "a", "blobs": [SIX, {"data": SIX["data"]}]}]},
    "0 numbers for the shape (2,)": {"layer": [{"name": "a", "blobs": [{"shape": {"dim": [2]}}]}]},
    "6 numbers for the shape (0, 0, 0, 6)": {"layers": [{"name": "a", "blobs": [{"width": 6, "data": SIX["data"]}]}]},
    "negative size": {"layer": [{"name": "a", "blobs": [SIX | {"shape": {"dim": [-2, -3]}}]}]},
    "or is of no array": {"layer": [{"name": "a", "blobs": [{"shape": {"dim": [0, 2**62, 2**62]}}]}]},
    "no array that fits": {"layer": [{"name": "a", "blobs": [SIX | {"shape": {"dim": [2**63 - 1, 6]}}]}]},
    "more than 32 axes": {"layer": [{"name": "a", "blobs": [SIX | {"shape": {"dim": [1] * 10**6}}]}]},
    "two layers with arrays are named 'a'": {"layer": [{"name": "a", "blobs": [SIX]}] * 2},
    "are named 'b'": {"layer": [{"name": "b", "blobs": [SIX]}], "layers": [{"name": "b", "blobs": [SIX]}]},
    "has no name": {"layer": [{"blobs": [SIX]}]},
    "a name of 2000 bytes": {"layer": [{"name": "a" * 2000, "blobs": [SIX]}]},
    "upgrade_net_proto_binary": {"layers": [{"layer": {"name": "a", "blobs": [SIX]}}]},
}  # fmt: skip


@pytest.mark.parametrize("says", BAD)
def test_what_is_refused(says, tmp_path):
    with pytest.raises(WeightsError) as caught:
        read_caffemodel(write(tmp_path / "a.caffemodel", **BAD[says]))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.caffemodel"))
    assert len(str(caught.value)) < 1000


LAYER = b"\xa2\x06"  # the field NetParameter.layer


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no arrays"),
        (b'name: "net"\nlayer {', "groups are refused"),
        (b"\x00\x01", "a field has the number 0"),
        (b"\xff" * 9 + b"\x01\x00", "a field has the number 2"),
        (b"\x0b\x0c", "wire type 3; groups are refused"),
        (b"\x80" * 10 + b"\x00", "a number has no end"),
        (b"\x20" + b"\x80" * 10 + b"\x00", "a number has no end"),
        (b"\x80", "a number has no end"),
        (b"\x0a", "a number has no end"),
        (b"\x0a\x05abcd", "field 1 has 5 bytes where 4 are left; truncated"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "has 18446744073709551615 bytes where 0 are left"),
        (b"\x0d\x00", "field 1 has 4 bytes where 1 are left"),
        (b"\xa0\x06\x01", "field 100 is a number, not bytes"),
        (LAYER + b"\x03\x0a\x01\xff", "field 1 is no text"),
        (LAYER + b"\x09\x0a\x01a\x3a\x04\x2a\x02\x00\x00", "a.blobs.0: field 5 has 2 bytes, no multiple of 4"),
        (LAYER * 10**5, r"truncated"),
    ],
)
def test_bad_bytes(data, says, tmp_path):
    (tmp_path / "a.caffemodel").write_bytes(data)
    with pytest.raises(WeightsError, match=f"a.caffemodel: .*{says}"):
        read_caffemodel(tmp_path / "a.caffemodel")


def test_more_arrays_than_any_network_has(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_vision.weights.protobuf.MAX_ARRAYS", 2)
    path = write(tmp_path / "a.caffemodel", layer=[{"name": "a", "blobs": [SIX] * 2}])
    assert len(read_caffemodel(path)) == 2
    with pytest.raises(WeightsError, match="more than 2 arrays"):
        read_caffemodel(write(path, layer=[{"name": "a", "blobs": [SIX] * 3}]))


def test_memory(tmp_path):
    """The array and nothing else, although it lies in two messages that lie in the file."""
    array = np.arange(15 * 2**20, dtype=np.float32).reshape(-1, 256, 3, 5)
    blobs = [{"shape": {"dim": array.shape}, "data": array.tobytes()}]
    path = write(tmp_path / "a.caffemodel", schema(bytes_for_floats=True), layer=[{"name": "a", "blobs": blobs}])
    tracemalloc.start()
    try:
        arrays = read_caffemodel(path)
        assert tracemalloc.get_traced_memory()[1] <= 1.3 * path.stat().st_size
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(arrays["a.blobs.0"], array, strict=True)


@pytest.fixture
def files(tmp_path):
    """A file of each kind."""
    new = [
        {"name": name, "type": "Convolution", "blobs": [blob(numbers(2, 1, 2, 1)), blob(numbers(2), doubles=True)]}
        for name in "ab"
    ]
    old = [{"name": name, "type": 14, "blobs": [blob(numbers(2, 3), legacy=(1, 1, 2, 3))]} for name in "ab"]
    return [
        write(tmp_path / "a.caffemodel", net, **layers).read_bytes()
        for net in (PACKED, UNPACKED)
        for layers in ({"layer": new}, {"layers": old})
    ]


def assert_error_of_ours_or_arrays(path, data):
    path.write_bytes(data)
    try:
        arrays = read_caffemodel(path)
    except WeightsError:
        return
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_errors_of_ours(data, files, tmp_path):
    damaged = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert_error_of_ours_or_arrays(tmp_path / "damaged", damaged[: data.draw(st.integers(0, len(damaged)))])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60), starts=st.sampled_from([b"", LAYER, LAYER + b"\x14\x0a\x01a\x3a"]))
def test_nonsense_is_an_error_of_ours(data, starts, tmp_path):
    assert_error_of_ours_or_arrays(tmp_path / "nonsense", starts + data)


def test_a_networks_names_and_layout_are_understood(tmp_path, randomize):
    """SqueezeNet as its authors' Caffe has it: "fire2/squeeze1x1", kernels (output, input, row, column)."""
    model = randomize(kv.create_model("SqueezeNet", weights=None, classes=4, input_shape=(67, 67, 3)))
    layers = []
    for layer in (layer for layer in model.layers if layer.weights):
        kernel, bias = layer.kernel.numpy().transpose(3, 2, 0, 1), layer.bias.numpy()
        name = layer.name.replace("_", "/")
        layers.append({"name": name, "type": "Convolution", "blobs": [blob(kernel), blob(bias)]})
    path = write(tmp_path / "squeezenet_v1.0.caffemodel", PACKED, layer=layers)
    again = kv.create_model("SqueezeNet", weights=path, input_shape=(67, 67, 3))
    for expected, actual in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected, strict=True)
