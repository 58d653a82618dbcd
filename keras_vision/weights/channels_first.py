"""Arrays of PyTorch and Caffe, which store channels first, in Keras' names and order of axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

_VARIABLES = {"blobs.0": "kernel", "blobs.1": "bias", "weight": "kernel", "bias": "bias"}
_CAFFE_STATISTICS = {"blobs.0": "moving_mean", "blobs.1": "moving_variance"}
_CAFFE_SCALE = {"blobs.0": "gamma", "blobs.1": "beta"}
_BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_COUNTER = "num_batches_tracked"  # of PyTorch's batch norm; takes no part in the result


def from_channels_first(
    arrays: Mapping[str, np.ndarray], names: Mapping[str, str], flattened: Mapping[str, int] | None = None
) -> Arrays:
    """Arrays by "layer/variable" with kernels in Keras' order, from any of the readers.

    Keys of PyTorch ("features.0.weight") and Caffe ("conv1_1.blobs.0") are converted: convolutions from (output, input,
    row, column), dense layers from (output, input). Caffe's batch norm is two layers, which `names` may give one name;
    its mean and variance are divided by the weight that it keeps with them. Keys of Keras ("block1_conv1/kernel") are
    only renamed.

    Args:
        arrays: as read.
        names: name of a layer or module in the file to this package's.
        flattened: dense layers that follow a flattened feature map, by this package's name, with its channels;
            their inputs are reordered from (channel, row, column) to (row, column, channel).
    """
    converted = {}
    for key, array in _divided_statistics(arrays).items():
        if "/" in key and ".blobs." not in key:  # Caffe has layers such as "fire2/squeeze1x1"
            layer, _, variable = key.rpartition("/")
            converted[f"{names.get(layer, layer)}/{variable}"] = array
            continue
        module, variable = _split(key)
        if variable == _COUNTER:
            continue
        layer = names.get(module, module)
        kinds = _kinds(key.removesuffix(variable), arrays)
        converted[f"{layer}/{kinds.get(variable, variable)}"] = _channels_last(array, (flattened or {}).get(layer))
    return converted


def _kinds(module: str, arrays: Mapping[str, np.ndarray]) -> Mapping[str, str]:
    """Keras' names of a module's variables; the module's name ends in what stands before theirs."""
    if f"{module}running_mean" in arrays:
        return _BATCH_NORM
    if _is_weight(f"{module}blobs.2", arrays):
        return _CAFFE_STATISTICS
    first = arrays.get(f"{module}blobs.0")
    scale = first is not None and first.ndim == 1 and f"{module}blobs.1" in arrays
    return _CAFFE_SCALE if scale else _VARIABLES


def _divided_statistics(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Caffe's BatchNorm holds sums and, third and last, their weight, which is 0 if it was never trained."""
    divided = dict(arrays)
    for key in [key for key in arrays if key.endswith(".blobs.2") and _is_weight(key, arrays)]:
        weight = float(divided.pop(key).reshape(-1)[0])
        for position in (0, 1):
            part = key.removesuffix("2") + str(position)
            if part in divided:
                divided[part] = divided[part] * np.float32(1 / weight if weight else 0)
    return divided


def _is_weight(key: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether it is what a BatchNorm divides by: recurrent layers and SegNet's BN have a third array, too."""
    return key in arrays and arrays[key].size == 1 and f"{key.removesuffix('2')}3" not in arrays


def _split(key: str) -> tuple[str, str]:
    """Module and variable of a key; Caffe's variables are numbered "blobs"."""
    module, _, variable = key.rpartition(".")
    return (module.removesuffix(".blobs"), f"blobs.{variable}") if module.endswith(".blobs") else (module, variable)


def _channels_last(array: np.ndarray, channels: int | None) -> np.ndarray:
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if array.ndim != 2:
        return array
    outputs, inputs = array.shape
    side = round((inputs / channels) ** 0.5) if channels else 0
    if channels is None or side * side * channels != inputs:
        return array.T
    return array.reshape(outputs, channels, side, side).transpose(2, 3, 1, 0).reshape(inputs, outputs)
