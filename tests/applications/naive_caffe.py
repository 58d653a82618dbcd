"""Caffe's layers in NumPy on `(n, c, h, w)`, float64, for forwards that check whole networks."""

import math

import numpy as np


class Net:
    """Layers that draw their weights when they are first used and keep them in `arrays`, by Caffe's names."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.arrays = {}

    def weights(self, name, shape):
        kernel = self.rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        blobs = [kernel.astype("float32"), self.rng.normal(0, 0.1, shape[0]).astype("float32")]
        self.arrays |= {f"{name}.blobs.{i}": blob for i, blob in enumerate(blobs)}
        return [blob.astype("float64") for blob in blobs]

    def conv(self, x, name, filters, size, stride=1, pad=0, groups=1):
        """Convolution and ReLU."""
        kernel, bias = self.weights(name, (filters, x.shape[1] // groups, size, size))
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        parts = zip(np.split(x, groups, 1), np.split(kernel, groups), strict=True)
        y = np.concatenate([correlate(part, own, stride) for part, own in parts], axis=1)
        return np.maximum(y + bias[:, None, None], 0)

    def dense(self, x, name, outputs):
        kernel, bias = self.weights(name, (outputs, math.prod(x.shape[1:])))
        return x.reshape(len(x), -1) @ kernel.T + bias


def correlate(x, kernel, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True)


def max_pool(x, size, stride, pad=0):
    """Rounds the number of windows up, and leaves out a last one that begins beyond the image."""
    rows, columns = (math.ceil((n + 2 * pad - size) / stride) + 1 for n in x.shape[2:])
    if pad and (rows - 1) * stride >= x.shape[2] + pad:
        rows, columns = rows - 1, columns - 1
    y = np.empty((*x.shape[:2], rows, columns))
    for i, j in np.ndindex(rows, columns):
        top, left = i * stride - pad, j * stride - pad
        y[..., i, j] = x[..., max(top, 0) : top + size, max(left, 0) : left + size].max(axis=(2, 3))
    return y


def average_pool(x, size, stride):
    rows, columns = ((n - size) // stride + 1 for n in x.shape[2:])
    y = np.empty((*x.shape[:2], rows, columns))
    for i, j in np.ndindex(rows, columns):
        y[..., i, j] = x[..., i * stride : i * stride + size, j * stride : j * stride + size].mean(axis=(2, 3))
    return y


def lrn(x, k=1.0, alpha=1e-4 / 5):
    """Over five channels; by default with Caffe's constants, which divide alpha by five."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        energy = (x[:, max(c - 2, 0) : c + 3] ** 2).sum(axis=1)
        y[:, c] = x[:, c] / (k + alpha * energy) ** 0.75
    return y
