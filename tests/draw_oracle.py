"""DRAW's attention as loops over images, filters and pixels, in float64: the equations as they are written."""

import numpy as np


def naive_window(parameters, size, patch):
    height, width = size
    x, y, variance, stride, intensity = parameters
    step = (max(height, width) - 1) / (patch - 1) * np.exp(stride)
    return (height + 1) / 2 * (y + 1), (width + 1) / 2 * (x + 1), step, np.exp(variance), np.exp(intensity)


def naive_bank(centre, stride, variance, patch, size):
    bank = np.zeros((patch, size))
    for i in range(1, patch + 1):
        place = centre + (i - patch / 2 - 0.5) * stride
        for a in range(1, size + 1):
            bank[i - 1, a - 1] = np.exp(-((a - place) ** 2) / (2 * variance))
        bank[i - 1] /= bank[i - 1].sum()
    return bank


def naive_read(image, along_y, along_x, intensity):
    patch, channels = len(along_y), image.shape[2]
    seen = np.zeros((patch, patch, channels))
    for i in range(patch):
        for j in range(patch):
            for c in range(channels):
                seen[i, j, c] = intensity * (np.outer(along_y[i], along_x[j]) * image[..., c]).sum()
    return seen


def naive_write(patch, along_y, along_x, intensity):
    drawn = np.zeros((along_y.shape[1], along_x.shape[1], patch.shape[2]))
    for i in range(len(along_y)):
        for j in range(len(along_x)):
            for c in range(patch.shape[2]):
                drawn[..., c] += patch[i, j, c] * np.outer(along_y[i], along_x[j]) / intensity
    return drawn


def naive_read_at(image, parameters, patch):
    y, x, stride, variance, intensity = naive_window(parameters, image.shape[:2], patch)
    banks = (naive_bank(c, stride, variance, patch, n) for c, n in zip((y, x), image.shape[:2], strict=True))
    return naive_read(image, *banks, intensity)


def naive_write_at(patch, parameters, size):
    y, x, stride, variance, intensity = naive_window(parameters, size, len(patch))
    banks = (naive_bank(c, stride, variance, len(patch), n) for c, n in zip((y, x), size, strict=True))
    return naive_write(patch, *banks, intensity)
