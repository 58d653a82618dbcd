"""Residual and dense networks of Caffe in NumPy on `(n, c, h, w)`, float64, after the authors' prototxts."""

import numpy as np
from naive_bn_inception import normalise
from naive_caffe import Net, average_pool, correlate, max_pool


class ScaledNet(Net):
    """Convolutions without biases; a batch norm is two layers, whose names `norm` makes of the convolution's."""

    def __init__(self, norm, seed=0):
        super().__init__(seed)
        self.norm = norm

    def bare(self, x, name, filters, size, stride=1, pad=0, groups=1, bias=False):
        kernel, shift = self.weights(name, (filters, x.shape[1] // groups, size, size))
        if not bias:
            del self.arrays[f"{name}.blobs.1"]
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        parts = zip(np.split(x, groups, 1), np.split(kernel, groups), strict=True)
        y = np.concatenate([correlate(part, own, stride) for part, own in parts], axis=1)
        return y + shift[:, None, None] if bias else y

    def normed(self, x, name, gain=1.0):
        ranges, weight = ((0.5 * gain, 1.5 * gain), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5)), np.float32(2.5)
        gamma, beta, mean, variance = (self.rng.uniform(*b, x.shape[1]).astype("float32") for b in ranges)
        statistics, scale = self.norm(name)
        blobs = (mean * weight, variance * weight, np.array([weight]))
        self.arrays |= {f"{statistics}.blobs.{i}": blob for i, blob in enumerate(blobs)}
        self.arrays |= {f"{scale}.blobs.0": gamma, f"{scale}.blobs.1": beta}
        return normalise(x, gamma, beta, mean, variance)

    def conv(self, x, name, *spec, relu=True, gain=1.0, **settings):
        y = self.normed(self.bare(x, name, *spec, **settings), name, gain)
        return np.maximum(y, 0) if relu else y

    def gate(self, x, name):
        """What squeezing and exciting multiplies with: two 1x1 convolutions with biases on the means."""
        z = x.mean(axis=(2, 3), keepdims=True)
        z = np.maximum(self.bare(z, f"{name}_1x1_down", x.shape[1] // 16, 1, bias=True), 0)
        return 1 / (1 + np.exp(-self.bare(z, f"{name}_1x1_up", x.shape[1], 1, bias=True)))


def resnet(net, x, blocks, letters, classes, bias):
    """He's networks: the stride is on the first 1x1; `letters(stage, position)` names a block."""
    x = max_pool(net.conv(x, "conv1", 64, 7, 2, 3, bias=bias), 3, 2)
    for stage, count in enumerate(blocks, 2):
        for position in range(count):
            block, width, stride = letters(stage, position), 32 << (stage - 1), 2 if stage > 2 and not position else 1
            name = f"res{stage}{block}_branch"
            y = net.conv(x, f"{name}2a", width, 1, stride)
            y = net.conv(y, f"{name}2b", width, 3, 1, 1)
            y = net.conv(y, f"{name}2c", 4 * width, 1, relu=False, gain=0.2)  # or the sum would grow in each block
            x = np.maximum(y + (x if position else net.conv(x, f"{name}1", 4 * width, 1, stride, relu=False)), 0)
    return net.dense(x.mean(axis=(2, 3)), "fc1000", classes)


def senet(net, x, row, classes):
    """Hu's networks; the rows differ in stem, widths, groups, and in what has the stride of a stage."""
    for name, (filters, size, stride) in row["stem"].items():
        x = net.conv(x, name, filters, size, stride, size // 2)
    x = max_pool(x, 3, 2)
    for stage, count in enumerate(row["blocks"], 2):
        narrow, middle, wide = (width << (stage - 2) for width in row["widths"])
        for position in range(1, count + 1):
            name, stride = f"conv{stage}_{position}", 2 if stage > 2 and position == 1 else 1
            first, second = (1, stride) if row["groups"] > 1 else (stride, 1)
            y = net.conv(x, f"{name}_1x1_reduce", narrow, 1, first)
            y = net.conv(y, f"{name}_3x3", middle, 3, second, 1, row["groups"])
            y = net.conv(y, f"{name}_1x1_increase", wide, 1, relu=False)
            if position == 1:
                size = row["projection"] if stride == 2 else 1
                x = net.conv(x, f"{name}_1x1_proj", wide, size, stride, size // 2, relu=False)
            x = np.maximum(y * net.gate(y, name) + x, 0)
    return net.dense(x.mean(axis=(2, 3)), "classifier", classes)


def densenet(net, x, blocks, growth, classes):
    """Huang's networks: norms, with ReLU, come before their convolutions, and the classifier is a 1x1 convolution."""

    def conv(x, name, filters, size):
        return net.bare(np.maximum(net.normed(x, name), 0), name, filters, size, pad=size // 2)

    x = net.conv(x, "conv1", 2 * growth, 7, 2, 3)
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    x = max_pool(x[:, :, : x.shape[2] // 2 * 2 - 1, : x.shape[3] // 2 * 2 - 1], 3, 2)  # rounds down: "ceil_mode: false"
    for block, count in enumerate(blocks, 2):
        for number in range(1, count + 1):
            y = conv(conv(x, f"conv{block}_{number}/x1", 4 * growth, 1), f"conv{block}_{number}/x2", growth, 3)
            x = np.concatenate([x, y], axis=1)
        if block <= len(blocks):
            x = average_pool(conv(x, f"conv{block}_blk", x.shape[1] // 2, 1), 2, 2)
    x = np.maximum(net.normed(x, f"conv{len(blocks) + 1}_blk"), 0)
    return net.bare(x.mean(axis=(2, 3), keepdims=True), "fc6", classes, 1, bias=True)[..., 0, 0]
