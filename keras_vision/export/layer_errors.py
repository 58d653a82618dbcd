"""Where a quantised file goes wrong: its tensors against those of the float file."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_vision.export.operations import contents
from keras_vision.runtime.quantized import to_tensor, to_values


def layer_errors(floating: Path, quantised: Path, inputs: Sequence[np.ndarray]) -> dict[str, float]:
    """Error of each tensor that both files name alike, worst first: root mean square over that of the values.

    It contains what came from the layers before. A layer is to blame where the error rises, not only where it is high.

    Args:
        floating, quantised: two files of one network.
        inputs: real values, as the files take them, `(1, h, w, c)` each.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")  # of the memory
        runs = [Interpreter(str(file), experimental_preserve_all_tensors=True) for file in (floating, quantised)]
    outputs = [{operation.output for operation in contents(file).operations} for file in (floating, quantised)]
    squares: dict[str, list[float]] = {}
    for image in inputs:
        for run in runs:
            detail = run.get_input_details()[0]
            if tuple(detail["shape"]) != image.shape:
                run.resize_tensor_input(detail["index"], image.shape)
            run.allocate_tensors()
            run.set_tensor(detail["index"], to_tensor(image, detail))
            run.invoke()
        expected, got = (_activations(run, names) for run, names in zip(runs, outputs, strict=True))
        for name in expected.keys() & got.keys():
            if expected[name].shape == got[name].shape:
                gap, scale = expected[name] - got[name], expected[name]
                sums = squares.setdefault(name, [0.0, 0.0])
                sums[0] += float(np.square(gap, dtype=np.float64).sum())
                sums[1] += float(np.square(scale, dtype=np.float64).sum())
    found = {name: float(np.sqrt(gap / scale)) for name, (gap, scale) in squares.items() if scale > 0}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _activations(run: Interpreter, outputs: Collection[str]) -> dict[str, np.ndarray]:
    """Values between the layers, by the layers' names; the last operation of a layer counts."""
    found = {}
    for detail in run.get_tensor_details():
        if detail["name"] not in outputs or len(detail["shape"]) < 2:
            continue
        try:
            tensor = run.get_tensor(detail["index"])
        except ValueError:  # memory that was never allocated
            continue
        if np.issubdtype(tensor.dtype, np.floating) or detail["quantization"][0]:
            found[_layer(detail["name"])] = to_values(tensor, detail).astype(np.float32)
    return found


def _layer(name: str) -> str:
    """A layer's name out of a tensor's, such as "hed_1/conv1_1/Relu;hed_1/conv1_1/BiasAdd": Keras adds the "_1"."""
    first = name.split(";")[0].removesuffix("_int8")  # the converter's, of what is float32 outside
    return first.rpartition("/")[0].rpartition("/")[2].removesuffix("_1") or first
