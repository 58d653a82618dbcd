"""Arrays of PyTorch and Caffe, which store channels first, in Keras' names and order of axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

_VARIABLES = {"blobs.0": "kernel", "blobs.1": "bias", "weight": "kernel", "bias": "bias"}
_BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_COUNTER = "num_batches_tracked"  # of PyTorch's batch norm; takes no part in the result


def from_channels_first(
    arrays: Mapping[str, np.ndarray], names: Mapping[str, str], flattened: Mapping[str, int] | None = None
) -> Arrays:
    """Arrays by "layer/variable" with kernels in Keras' order, from any of the readers.

    Keys of PyTorch ("features.0.weight") and Caffe ("conv1_1.blobs.0") are converted: convolutions from (output, input,
    row, column), dense layers from (output, input). Keys of Keras ("block1_conv1/kernel") are only renamed.

    Args:
        arrays: as read.
        names: name of a layer or module in the file to this package's.
        flattened: dense layers that follow a flattened feature map, by this package's name, with its channels;
            their inputs are reordered from (channel, row, column) to (row, column, channel).
    """
    converted = {}
    for key, array in arrays.items():
        if "/" in key and ".blobs." not in key:  # Caffe has layers such as "fire2/squeeze1x1"
            layer, _, variable = key.rpartition("/")
            converted[f"{names.get(layer, layer)}/{variable}"] = array
            continue
        module, variable = _split(key)
        if variable == _COUNTER:
            continue
        layer = names.get(module, module)
        kinds = _BATCH_NORM if f"{key.removesuffix(variable)}running_mean" in arrays else _VARIABLES
        converted[f"{layer}/{kinds.get(variable, variable)}"] = _channels_last(array, (flattened or {}).get(layer))
    return converted


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
