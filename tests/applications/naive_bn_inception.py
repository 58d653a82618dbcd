"""BN-Inception in NumPy on `(n, c, h, w)`, float64, after the public networks; subclasses say what a file holds."""

import numpy as np
from naive_caffe import Net, average_pool, correlate, max_pool

FIGURE_5 = {  # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool + proj
    "3a": (64, 64, 64, 64, 96, "avg", 32), "3b": (64, 64, 96, 64, 96, "avg", 64), "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128), "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128), "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0), "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}  # fmt: skip


class BatchNormNet(Net):
    """Layers under the names of the public PyTorch file; convolutions with batch norm and ReLU."""

    def batch_norm(self, x, name):
        raise NotImplementedError

    def seeded_norm(self, channels):
        """gamma, beta, mean and variance."""
        ranges = ((0.5, 1.5), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5))
        return [self.rng.uniform(*bounds, channels).astype("float32") for bounds in ranges]

    def recalibrated(self, x, number):
        """What stands between one module and the next."""
        return x

    def conv(self, x, name, filters, size, stride=1):
        kernel, bias = self.weights(name, (filters, x.shape[1], size, size))
        pad = [(0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)]
        y = correlate(np.pad(x, pad), kernel, stride) + bias[:, None, None]
        return np.maximum(self.batch_norm(y, f"{name}_bn"), 0)


def normalise(x, gamma, beta, mean, variance):
    gamma, beta, mean, variance = (a.astype("float64")[:, None, None] for a in (gamma, beta, mean, variance))
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def inception(net, x, number):
    n1x1, reduce, n3x3, double_reduce, double, pool, proj = FIGURE_5[number]
    name, stride = f"inception_{number}", 1 if proj else 2
    parts = [net.conv(x, f"{name}_1x1", n1x1, 1)] if n1x1 else []
    parts.append(net.conv(net.conv(x, f"{name}_3x3_reduce", reduce, 1), f"{name}_3x3", n3x3, 3, stride))
    y = net.conv(net.conv(x, f"{name}_double_3x3_reduce", double_reduce, 1), f"{name}_double_3x3_1", double, 3)
    parts.append(net.conv(y, f"{name}_double_3x3_2", double, 3, stride))
    if pool == "avg":
        x = average_pool(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]), 3, 1)
    else:
        x = max_pool(x, 3, stride, pad=1 if proj else 0)
    parts.append(net.conv(x, f"{name}_pool_proj", proj, 1) if proj else x)
    return np.concatenate(parts, axis=1)


def forward(net, x, classes):
    x = max_pool(net.conv(x, "conv1_7x7_s2", 64, 7, stride=2), 3, 2)
    x = max_pool(net.conv(net.conv(x, "conv2_3x3_reduce", 64, 1), "conv2_3x3", 192, 3), 3, 2)
    for number in FIGURE_5:
        x = net.recalibrated(inception(net, x, number), number)
    return net.dense(x.mean(axis=(2, 3)), "last_linear", classes)
