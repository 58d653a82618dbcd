"""Reader of the initialisers of .onnx files, without the onnx package. Field numbers are those of its onnx.proto."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights import protobuf
from keras_vision.weights.safetensors_files import bfloat16_to_float32

GRAPH = 7  # field of ModelProto
INITIALIZER, SPARSE_INITIALIZER = 5, 15  # fields of GraphProto
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14  # fields of TensorProto
FLOATS, INT32S, INT64S, DOUBLES, UINT64S = 4, 5, 7, 10, 11  # likewise: numbers that are not in RAW_DATA
BFLOAT16 = 16
DATA_TYPES = {  # by their number: name, what is stored, the field that holds numbers of it
    1: ("float32", "<f4", FLOATS), 2: ("uint8", "u1", INT32S), 3: ("int8", "i1", INT32S),
    4: ("uint16", "<u2", INT32S), 5: ("int16", "<i2", INT32S), 6: ("int32", "<i4", INT32S),
    7: ("int64", "<i8", INT64S), 9: ("bool", "u1", INT32S), 10: ("float16", "<f2", INT32S),
    11: ("float64", "<f8", DOUBLES), 12: ("uint32", "<u4", UINT64S), 13: ("uint64", "<u8", UINT64S),
    BFLOAT16: ("bfloat16", "<u2", INT32S),
}  # fmt: skip


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .onnx file's initialisers by the names in it, in the order and layout of the file.

    bfloat16 becomes float32. Convolutions are (output, input / groups, row, column). Only the initialisers of the
    model's graph are read: constants that are nodes, and graphs inside of nodes, are left out.

    Raises:
        WeightsError: the file is truncated, is no .onnx file, holds no initialisers, or one that is sparse, kept in
            another file, unnamed, twice there, of another data type, or whose numbers do not fit its shape.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        for graph in protobuf.messages(protobuf.map_file(path), GRAPH):
            if any(True for _ in protobuf.messages(graph, SPARSE_INITIALIZER)):
                raise WeightsError(f"{path}: sparse initialisers are refused; save the model with dense ones.")
            for tensor in protobuf.messages(graph, INITIALIZER):
                name = protobuf.text(tensor, NAME)
                if not name or name in arrays:
                    says = f"two initialisers are named {name!r}" if name else "has no name"
                    raise WeightsError(f"{path}: initialiser {len(arrays)}: {says}.")
                protobuf.add(arrays, name, _array(tensor, f"{path}: {name}"))
    except protobuf.WireError as error:
        raise WeightsError(f"{path}: damaged, or no .onnx file ({error}).") from error
    if not arrays:
        raise WeightsError(f"{path}: holds no initialisers.")
    return arrays


def _array(tensor: memoryview, where: str) -> np.ndarray:
    if protobuf.last_integer(tensor, DATA_LOCATION) or any(True for _ in protobuf.messages(tensor, EXTERNAL_DATA)):
        raise WeightsError(
            f"{where}: is kept in another file. Save the model as one file: "
            "onnx.save(onnx.load(path), new_path, save_as_external_data=False)."
        )
    kind = protobuf.last_integer(tensor, DATA_TYPE) or 0
    if kind not in DATA_TYPES:
        accepted = ", ".join(f"{number} ({name})" for number, (name, _, _) in DATA_TYPES.items())
        raise WeightsError(f"{where}: data type {kind}; accepted: {accepted}.")
    try:
        array = protobuf.shaped(_numbers(tensor, kind), protobuf.shape_of(protobuf.integers(tensor, DIMS)))
    except protobuf.WireError as error:
        raise WeightsError(f"{where}: {error}.") from error
    if DATA_TYPES[kind][0] == "bool":
        return array.astype(bool)
    return bfloat16_to_float32(array) if kind == BFLOAT16 else array


def _numbers(tensor: memoryview, kind: int) -> np.ndarray:
    """The raw data if there are any, else the numbers in the field of the data type: `(n,)`."""
    _, stored, field = DATA_TYPES[kind]
    raw = protobuf.fixed_width(tensor, RAW_DATA, stored)
    if raw.size:
        return raw
    if field in (FLOATS, DOUBLES):
        return protobuf.fixed_width(tensor, field, stored)
    # Negative numbers are 64 bits wide in the file: the lowest bits are the number in its own width.
    bits = np.dtype(f"<u{np.dtype(stored).itemsize}")
    mask = 2 ** (8 * bits.itemsize) - 1
    return np.fromiter((number & mask for number in protobuf.integers(tensor, field)), bits).view(stored)
