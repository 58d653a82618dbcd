"""FCN and DeepLab as Caffe computes them, on `(n, c, h, w)` in float64, and files in the releases' layout."""

import struct

import numpy as np


class Weights(dict):
    """Arrays by Caffe's layer and position, drawn when they are first asked for."""

    def __init__(self, seed=0, known=()):
        super().__init__(known)
        self.rng = np.random.default_rng(seed)

    def kernel(self, name, *shape):
        if (name, 0) not in self:
            self[name, 0] = self.rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype("float32")
        return self[name, 0].astype("float64")

    def bias(self, name, size):
        if (name, 1) not in self:
            self[name, 1] = self.rng.normal(0, 0.1, size).astype("float32")
        return self[name, 1].astype("float64")


def convolution(weights, x, name, filters, size, pad=0, dilation=1, stride=1, relu=True):
    kernel, bias = weights.kernel(name, filters, x.shape[1], size, size), weights.bias(name, filters)
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    rows, columns = ((n - dilation * (size - 1) - 1) // stride + 1 for n in x.shape[2:])
    y = np.zeros((filters, len(x), rows, columns))
    for i, j in np.ndindex(size, size):
        part = x[:, :, i * dilation :: stride, j * dilation :: stride][:, :, :rows, :columns]
        y += np.tensordot(kernel[:, :, i, j], part, (1, 1))
    y = y.transpose(1, 0, 2, 3) + bias[:, None, None]
    return np.maximum(y, 0) if relu else y


def deconvolution(weights, x, name, size, stride):
    """Each cell adds its kernel (input, output, row, column) to the output; there is no bias."""
    kernel = weights.kernel(name, x.shape[1], x.shape[1], size, size)
    y = np.zeros((len(x), x.shape[1], *((n - 1) * stride + size for n in x.shape[2:])))
    for i, j in np.ndindex(*x.shape[2:]):
        y[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += np.tensordot(
            x[:, :, i, j], kernel, 1
        )
    return y


def max_pool(x, size, stride, pad=0):
    """Caffe's: as many windows as begin in the image, the last of which may hang over its edge."""
    rows, columns = (-(-(n + 2 * pad - size) // stride) + 1 for n in x.shape[2:])
    low = np.full((*x.shape[:2], *((n - 1) * stride + size for n in (rows, columns))), -np.inf)
    low[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]] = x
    windows = np.lib.stride_tricks.sliding_window_view(low, (size, size), (2, 3))
    return windows[:, :, ::stride, ::stride].max(axis=(4, 5))


def average_pool(x):
    """3 x 3, stride 1: the zeros around the map count."""
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).mean(axis=(4, 5))


def vgg16(weights, x, pools, pad=1, holes=1):
    """The pooled map of each stage; `pools` are arguments of `max_pool`, `pad` conv1_1's, `holes` conv5's."""
    pooled = []
    for stage, (count, filters) in enumerate(zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512), strict=True), 1):
        dilation = holes if stage == 5 else 1
        for number in range(1, count + 1):
            own = pad if (stage, number) == (1, 1) else dilation
            x = convolution(weights, x, f"conv{stage}_{number}", filters, 3, own, dilation)
        x = max_pool(x, *pools[stage - 1])
        pooled.append(x)
    return pooled


def crop(x, like, offset):
    return x[:, :, offset : offset + like.shape[2], offset : offset + like.shape[3]]


def write_caffemodel(path, arrays):
    """NetParameter with a LayerParameter for each name, `arrays` by (name, position)."""
    net = b""
    for name in dict.fromkeys(name for name, _ in arrays):
        blobs = [arrays[name, i] for i in range(2) if (name, i) in arrays]
        net += field(100, field(1, name.encode()) + b"".join(field(7, blob(a)) for a in blobs))
    path.write_bytes(net)
    return path


def blob(array):
    data = array.astype("<f4").tobytes()
    return field(5, data) + field(7, field(1, b"".join(varint(n) for n in array.shape)))


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value):
    out = b""
    while value > 127:
        out, value = out + struct.pack("B", value & 127 | 128), value >> 7
    return out + struct.pack("B", value)
