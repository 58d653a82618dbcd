"""Reader of Caffe's binary .caffemodel files, without Caffe. Field numbers are those of its caffe.proto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vision.errors import WeightsError
from keras_vision.weights import protobuf


@dataclass(frozen=True)
class _Layer:
    """Field numbers of a layer message."""

    name: int
    type: int
    blobs: int


V1_LAYERS, LAYERS = 2, 100  # fields of NetParameter
LAYER_FIELDS = {V1_LAYERS: _Layer(name=4, type=5, blobs=6), LAYERS: _Layer(name=1, type=2, blobs=7)}
V0_LAYER = 1  # field of V1LayerParameter
DATA, SHAPE, DOUBLE_DATA, LEGACY_SIZES = 5, 7, 8, (1, 2, 3, 4)  # fields of BlobProto; diff (6, 9) is left out
SHAPE_DIM = 1  # field of BlobShape
# Axes of the weights of a layer, by its type or, in V1, the number of its type. Other arrays have one axis or more.
WEIGHT_AXES: dict[str | int | None, int] = {
    "Convolution": 4, "Deconvolution": 4, "InnerProduct": 2, 4: 4, 39: 4, 14: 2,
}  # fmt: skip


def read_caffemodel(path: Path) -> dict[str, np.ndarray]:
    """float32 arrays of a .caffemodel file by "layer.blobs.position", in the order and layout of the file.

    "conv1.blobs.0" are the weights of the layer conv1 and "conv1.blobs.1" its biases. Convolutions are (output,
    input / groups, row, column), dense kernels (output, input). Layers without arrays are left out.

    Files from before Caffe had shapes give every array four sizes, a bias being (1, 1, 1, n). Leading ones are dropped
    from those, down to one axis, and down to four for the weights of a convolution and two for those of a dense layer.
    What states its shape keeps it.

    Raises:
        WeightsError: the file is truncated, is no .caffemodel file, holds no arrays or two layers of one name, an array
            does not have as many numbers as its shape, or the file is of Caffe's version 0.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        net = protobuf.map_file(path)
        for kind in LAYER_FIELDS:
            for layer in protobuf.messages(net, kind):
                for name, array in _arrays(layer, kind, path):
                    if name in arrays:
                        raise WeightsError(
                            f"{path}: two layers with arrays are named {name.rpartition('.blobs.')[0]!r}."
                        )
                    protobuf.add(arrays, name, array)
    except protobuf.WireError as error:
        raise WeightsError(f"{path}: damaged, or no .caffemodel file ({error}).") from error
    if not arrays:
        raise WeightsError(f"{path}: holds no arrays.")
    return arrays


def _arrays(layer: memoryview, kind: int, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    numbers = LAYER_FIELDS[kind]
    if kind == V1_LAYERS and any(True for _ in protobuf.messages(layer, V0_LAYER)):
        raise WeightsError(
            f"{path}: written by a Caffe of before 2014 (version 0). Convert it with Caffe's upgrade_net_proto_binary."
        )
    name = protobuf.text(layer, numbers.name)
    layer_type = protobuf.last_integer(layer, numbers.type) if kind == V1_LAYERS else protobuf.text(layer, numbers.type)
    for position, blob in enumerate(protobuf.messages(layer, numbers.blobs)):
        where = f"{name}.blobs.{position}"
        if not name:
            raise WeightsError(f"{path}: a layer with arrays has no name.")
        axes = 1 if position else WEIGHT_AXES.get(layer_type, 1)
        try:
            yield where, protobuf.shaped(_numbers(blob), _shape(blob, axes))
        except protobuf.WireError as error:
            raise WeightsError(f"{path}: {where}: {error}.") from error


def _numbers(blob: memoryview) -> np.ndarray:
    doubles = protobuf.fixed_width(blob, DOUBLE_DATA, "<f8")
    if not doubles.size:
        return protobuf.fixed_width(blob, DATA, "<f4").astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite, in Caffe too
        return doubles.astype(np.float32)


def _shape(blob: memoryview, axes: int) -> tuple[int, ...]:
    """The shape as stated; from legacy sizes without leading ones, with at least so many axes."""
    stated = protobuf.messages(blob, SHAPE)
    shape = protobuf.shape_of(size for message in stated for size in protobuf.integers(message, SHAPE_DIM))
    legacy = {n: size for n, size in protobuf.fields(blob) if n in LEGACY_SIZES and isinstance(size, int)}
    if shape or not legacy:
        return shape
    sizes = [legacy.get(number, 0) for number in LEGACY_SIZES]
    while len(sizes) > axes and sizes[0] == 1:
        del sizes[0]
    return protobuf.shape_of(sizes)
