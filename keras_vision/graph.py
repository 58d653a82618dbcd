"""Facts computed from a built functional model: strides, receptive fields, multiply-adds, smallest input, dilation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from keras_vision.errors import KerasVisionError
from keras_vision.layers import AdaptiveAveragePool2D, AtrousPooling2D, BilinearLike2D, OverhangPadding2D

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
_UPSAMPLINGS = (layers.Conv2DTranspose, layers.UpSampling2D, BilinearLike2D)


@dataclasses.dataclass(frozen=True)
class Window:
    """One layer's sliding window along one axis, in cells of its input."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    same: bool = False
    padding: tuple[int, int] = (0, 0)

    def pads(self, size: int | None) -> tuple[int, int]:
        """Cells added before and after an axis of `size` cells (None: a size that the stride divides)."""
        if not self.same:
            return self.padding
        reach = (self.kernel - 1) * self.dilation + 1
        steps = 0 if size is None else (math.ceil(size / self.stride) - 1) * self.stride - size
        total = max(reach + (steps if size is not None else -self.stride), 0)
        return total // 2, total - total // 2

    def output_size(self, size: int) -> int:
        """Cells that come out of `size` cells."""
        reach = (self.kernel - 1) * self.dilation + 1
        return (size + sum(self.pads(size)) - reach) // self.stride + 1


@dataclasses.dataclass(frozen=True)
class Axis:
    """Which input pixels cell 0 of a feature map sees along one axis: `first` to `last`; the next cell, `stride` on."""

    stride: int = 1
    first: int = 0
    last: int = 0

    @property
    def receptive_field(self) -> int:
        """Extent of the seen pixels."""
        return self.last - self.first + 1

    def through(self, window: Window, size: int | None) -> Axis:
        """The axis after a layer with this window."""
        before = window.pads(size)[0]
        first = self.first - before * self.stride
        reach = (window.kernel - 1) * window.dilation * self.stride
        last = self.last + reach - before * self.stride
        return Axis(self.stride * window.stride, first, last)


def call_of(operation: Any) -> tuple[list[Any], Any]:
    """The symbolic tensors that go into an operation and the one that comes out.

    Of a nested model, `operation.input` and `operation.output` are those of its inner graph.
    """
    node = operation._inbound_nodes[0]
    return node.input_tensors, node.output_tensors[0]


def ancestors(x: Any) -> Iterator[Any]:
    """The operations that a symbolic tensor was computed from, each once, nearest first."""
    seen, todo = set(), [x]
    while todo:
        operation = todo.pop(0)._keras_history.operation
        if id(operation) not in seen:
            seen.add(id(operation))
            yield operation
            if not isinstance(operation, layers.InputLayer):
                todo += call_of(operation)[0]


def sources(x: Any) -> Any:
    """The model inputs that a symbolic tensor was computed from; alone if there is one."""
    inputs = [operation.output for operation in ancestors(x) if isinstance(operation, layers.InputLayer)]
    return inputs[0] if len(inputs) == 1 else inputs


def windows(layer: Any) -> tuple[Window, Window]:
    """The windows of a layer along height and width; elementwise layers have the trivial one."""
    if isinstance(layer, AtrousPooling2D):
        same = layer.padding == "same"
        h, w = (Window(cells, 1, layer.dilation_rate, same) for cells in layer.pool_size)
    elif isinstance(layer, _CONVOLUTIONS):
        kernel, strides, rates = (_pair(v) for v in (layer.kernel_size, layer.strides, layer.dilation_rate))
        same = layer.padding == "same"
        h, w = (Window(k, s, d, same) for k, s, d in zip(kernel, strides, rates, strict=True))
    elif isinstance(layer, _POOLINGS):
        pool, strides = _pair(layer.pool_size), _pair(layer.strides)
        same = layer.padding == "same"
        h, w = (Window(k, s, 1, same) for k, s in zip(pool, strides, strict=True))
    elif isinstance(layer, layers.ZeroPadding2D):
        h, w = (Window(padding=tuple(p)) for p in layer.padding)
    elif isinstance(layer, layers.Cropping2D):
        h, w = (Window(padding=(-before, -after)) for before, after in layer.cropping)
    else:
        h = w = Window()
    return h, w


Geometry = tuple[Axis, Axis]  # along height and width


def feature_maps(model: keras.Model, start: Geometry = (Axis(), Axis())) -> Iterator[tuple[Any, Geometry]]:
    """Layers whose output is `(n, h, w, c)`, in topological order, each with the geometry of its output.

    A nested model counts as one layer. What comes after an upsampling is left out: its cells are between others, and
    have no receptive field of their own. A product with such a map is where the other factor is, and sees what that
    sees: the mask only weighs it. `start` is the geometry of the model's own input, where it is nested itself.
    """
    axes: dict[int, Geometry] = {}
    upsampled: set[int] = set()
    for layer in model.operations:
        sources, output = call_of(layer)
        if not hasattr(output, "shape") or len(output.shape) != 4:
            continue
        inputs = [t for t in sources if id(t) in axes]
        between = any(id(t) in upsampled for t in sources) and not (inputs and isinstance(layer, layers.Multiply))
        if isinstance(layer, _UPSAMPLINGS) or between:
            upsampled.add(id(output))
            continue
        if isinstance(layer, layers.InputLayer):
            axes[id(output)] = start
        elif inputs and not isinstance(layer, AdaptiveAveragePool2D):  # whose cells have no one distance
            merged = [_merge([axes[id(t)][i] for t in inputs], layer.name) for i in (0, 1)]
            axes[id(output)] = _through(layer, (merged[0], merged[1]), inputs[0].shape[1:3])
        else:
            continue  # a gate made from a vector, such as squeeze-and-excitation's: no position in the image
        yield layer, axes[id(output)]


def multiply_adds(model: keras.Model, size: tuple[int | None, ...] = (None, None)) -> int | None:
    """Multiply-adds of all convolutions and dense layers for one image; None where the input size is open.

    `size` is the (height, width) of a nested model's input, whose own graph leaves it open.
    """
    counts = [{} if side is None else cells(model, axis, side) for axis, side in enumerate(size)]
    total = 0
    for layer in model.layers:
        kernels = [w for w in layer.weights if w.name.endswith("kernel")]
        if not kernels:
            continue
        sources, output = call_of(layer)
        source = sources[0] if isinstance(layer, keras.Model | layers.Conv2DTranspose) else output
        positions: list[Any] = [
            side or count.get(id(source)) for side, count in zip(source.shape[1:-1], counts, strict=False)
        ]
        if None in positions:
            return None
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer, tuple(positions)) or 0
        else:
            total += sum(math.prod(k.shape) for k in kernels) * math.prod(positions)
    return total


def minimum_size(model: keras.Model) -> tuple[int, int]:
    """Smallest input height and width, in pixels, for which every feature map has at least one cell."""
    return _smallest(model, 0), _smallest(model, 1)


def check_size(name: str, size: tuple[int | None, ...], least: tuple[int, int]) -> None:
    """Refuse images below the `minimum_size` of a network.

    Raises:
        KerasVisionError: a side that is known is too short.
    """
    if any(side is not None and side < low for side, low in zip(size, least, strict=True)):
        raise KerasVisionError(
            f"images of {size[0]} x {size[1]} pixels are too small for {name}: give at least {least[0]} x {least[1]}."
        )


def dilate(model: keras.Model, output_stride: int) -> keras.Model:
    """A model with new weights whose feature maps stop shrinking at `output_stride`; later layers get holes instead.

    Every `output_stride / stride`-th cell equals the original's cell where both see only real pixels.
    Layer names stay, so the original's weights load.

    Raises:
        KerasVisionError: the stride is not one that the network passes through, a layer in the way has both a stride
            and padding "same", which would move its cells, or a map is upsampled again.

    Source: DeepLab (Chen et al., 2015), section 3.1.
    """
    reached = sorted({axes[0].stride for _, axes in feature_maps(model)})
    if output_stride not in reached:
        raise KerasVisionError(f"output_stride={output_stride}; {model.name} passes through the strides {reached}.")
    return _dilated_model(model, output_stride, (Axis(), Axis()))


def _dilated_model(model: keras.Model, output_stride: int, start: Geometry) -> keras.Model:
    before = {id(call_of(layer)[1]): axes for layer, axes in feature_maps(model, start)}

    def clone(layer: Any) -> Any:
        sources, output = call_of(layer)
        if isinstance(layer, _UPSAMPLINGS):
            raise KerasVisionError(
                f"{layer.name}: a map that is upsampled again cannot be dilated; leave out output_stride."
            )
        axes = before.get(id(sources[0])) if sources else None
        if axes is None or len(getattr(output, "shape", ())) != 4:
            return layer.__class__.from_config(layer.get_config())
        if isinstance(layer, keras.Model):
            return _dilated_model(layer, output_stride, axes)
        return _dilated(layer, axes[0].stride, output_stride)

    return cloned(model, clone_function=clone)


def _dilated(layer: Any, stride: int, output_stride: int) -> Any:
    holes = max(stride // output_stride, 1)
    config = layer.get_config()
    if isinstance(layer, layers.ZeroPadding2D):
        config["padding"] = tuple(tuple(p * holes for p in side) for side in layer.padding)
        if isinstance(layer, OverhangPadding2D):
            config["pooling"], config["dilation"] = None, holes  # the pooling after it may lose its stride
    elif isinstance(layer, layers.Cropping2D):
        config["cropping"] = tuple(tuple(p * holes for p in side) for side in layer.cropping)
    elif isinstance(layer, _CONVOLUTIONS + _POOLINGS):
        own = _pair(layer.strides)[0]
        if own > 1 and layer.padding == "same" and stride * own > output_stride:
            raise KerasVisionError(f"{layer.name}: a strided layer with padding 'same' cannot be dilated in place.")
        kept = own if stride * own <= output_stride else max(output_stride // stride, 1)
        if own % kept:
            raise KerasVisionError(f"{layer.name}: a stride of {own} cannot be reduced to {kept}.")
        config["strides"] = (kept, kept)
        if isinstance(layer, _CONVOLUTIONS):
            config["dilation_rate"] = tuple(d * holes for d in _pair(layer.dilation_rate))
        elif holes > 1:
            mode = "max" if isinstance(layer, layers.MaxPooling2D) else "average"
            return AtrousPooling2D(
                layer.pool_size, holes, mode, layer.padding, name=layer.name, dtype=layer.dtype_policy
            )
    return layer.__class__.from_config(config)


def _smallest(model: keras.Model, axis: int) -> int:
    low, high = 1, 1
    while not _fits(model, axis, high):
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _fits(model, axis, middle) else (middle + 1, high)
    return low


def _fits(model: keras.Model, axis: int, size: int) -> bool:
    return min(cells(model, axis, size).values()) >= 1


def cells(model: keras.Model, axis: int, size: int) -> dict[int, int]:
    """Cells of each feature map along an axis, by the id of its tensor; below 1 where the image is too small."""
    found: dict[int, int] = {}
    for layer in model.operations:
        sources, output = call_of(layer)
        inputs = [found[id(t)] for t in sources if id(t) in found]
        if len(getattr(output, "shape", ())) != 4:
            continue
        if isinstance(layer, layers.InputLayer):
            found[id(output)] = size
        elif inputs and isinstance(layer, keras.Model):
            inner = cells(layer, axis, inputs[0])
            found[id(output)] = inner[id(layer.output)] if min(inner.values()) >= 1 else 0
        elif inputs:
            source = inputs[-1] if isinstance(layer, BilinearLike2D) else inputs[0]
            found[id(output)] = windows(layer)[axis].output_size(source)
    return found


def _through(layer: Any, geometry: Geometry, size: tuple[int | None, int | None]) -> Geometry:
    """The geometry of a layer's output; `geometry` and `size` are those of its input."""
    if isinstance(layer, keras.Model):
        return next(axes for inner, axes in feature_maps(layer, geometry) if call_of(inner)[1] is layer.output)
    height, width = (axis.through(w, s) for axis, w, s in zip(geometry, windows(layer), size, strict=True))
    return height, width


def _merge(axes: list[Axis], name: str) -> Axis:
    strides = {axis.stride for axis in axes}
    if len(strides) > 1:
        raise KerasVisionError(f"layer {name} joins feature maps of different strides {sorted(strides)}.")
    return Axis(strides.pop(), min(a.first for a in axes), max(a.last for a in axes))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def cloned(model: keras.Model, **how: Any) -> keras.Model:
    """`keras.models.clone_model`, but without loss, metrics and optimizer, whose own classes it could not rebuild."""
    if model.compiled and not isinstance(model, keras.Sequential):
        model = type(model)(model.input, model.output, name=model.name)
    return keras.models.clone_model(model, **how)
