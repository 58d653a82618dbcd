"""What the core computes, in float64 NumPy written from the papers: kernels as matrices (points, points)."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from core_library import Kernel

GAUSSIAN = Kernel(3, 3)
NARROW = Kernel(2, 1.2)  # a Gaussian below 1.5 pixels, which is computed exactly
# Where y is a multiple of theta a point lies between two simplices, and rounding decides which vertices there are.
BILATERAL = Kernel(4, 30.3, (40, 40, 40))
EXACT = 1e-5  # largest error of marginals, beside what the lattice and the splines themselves do
SPLINES = 5e-3  # with Gaussian kernels of 1.5 pixels and more


def gaussian_matrix(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32).astype(float)
    return np.exp(-0.5 * np.square(features[:, None] - features).sum(-1))


def simplex(feature: np.ndarray) -> Iterator[tuple[tuple[int, ...], float]]:
    """The d + 1 vertices around a point, each with its barycentric weight (Adams et al., 2010, section 3.1)."""
    d = len(feature)
    i = np.arange(d)
    scaled = feature * np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2))
    elevated = np.append(np.cumsum(scaled[::-1])[::-1], 0) - np.append(0, np.arange(1, d + 1) * scaled)
    nearest = np.rint(elevated / (d + 1)).astype(int)  # of remainder 0, in steps of d + 1
    rank = np.empty(d + 1, int)
    rank[np.argsort(nearest * (d + 1) - elevated, kind="stable")] = i = np.arange(d + 1)
    rank += nearest.sum()
    moved = (rank < 0).astype(int) - (rank > d)  # brings the sum back to 0
    nearest += moved
    rank += moved * (d + 1)
    left = (elevated / (d + 1) - nearest)[np.argsort(rank)]  # falling
    for k in i:
        weight = left[d - k] - left[d + 1 - k] if k else 1 + left[d] - left[0]
        yield tuple(nearest * (d + 1) + k - (d + 1) * (rank > d - k)), weight


def lattice_matrix(features: np.ndarray) -> np.ndarray:
    """The permutohedral filter: splat, blur by [1/2, 1, 1/2] along axes 0..d over the vertices there are, slice."""
    features = np.asarray(features, np.float32).astype(float)
    points, d = features.shape
    rows: dict[tuple[int, ...], int] = {}
    touched = [(rows.setdefault(vertex, len(rows)), p, w) for p in range(points) for vertex, w in simplex(features[p])]
    splat = np.zeros((len(rows), points))
    for row, p, weight in touched:
        splat[row, p] += weight
    values = splat
    for axis in range(d + 1):
        step = 1 - (d + 1) * (np.arange(d + 1) == axis)
        blurred = values.copy()
        for vertex, sign in itertools.product(rows, (-1, 1)):
            if (neighbour := rows.get(tuple(vertex + sign * step))) is not None:
                blurred[rows[vertex]] += values[neighbour] / 2
        values = blurred
    return splat.T @ values / (1 + 2.0**-d)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kernel_matrix(kernel: Kernel, image: np.ndarray, bilateral: Callable, normalization: str) -> np.ndarray:
    height, width = image.shape[:2]
    y, x = np.divmod(np.arange(height * width), width)
    features = np.stack([x, y], 1) / np.broadcast_to(kernel.theta, 2).astype(np.float32)
    if kernel.theta_image is None:
        matrix = gaussian_matrix(features)
    else:
        colours = image.reshape(height * width, -1).astype(np.float32) / np.array(kernel.theta_image, np.float32)
        matrix = bilateral(np.concatenate([features, colours], 1))
    mass = matrix.sum(1)
    left, right = dict(symmetric=(0.5, 0.5), before=(0, 1), after=(1, 0), none=(0, 0))[normalization]
    return kernel.weight * matrix * mass[:, None] ** -left * mass**-right


def naive_mean_field(
    logits: np.ndarray,
    image: np.ndarray,
    kernels: list[Kernel],
    penalties: np.ndarray | None = None,
    iterations: int = 5,
    normalization: str = "symmetric",
    bilateral: Callable = lattice_matrix,
) -> np.ndarray:
    """As Core.mean_field on one image: Gaussian kernels exactly, Bilateral ones by the matrix of their features."""
    unary = np.asarray(logits, np.float32).reshape(-1, logits.shape[-1]).astype(float)
    matrix = sum((kernel_matrix(kernel, image, bilateral, normalization) for kernel in kernels), np.zeros((1, 1)))
    marginals = softmax(unary)
    for _ in range(iterations):
        message = matrix @ marginals if kernels else 0 * marginals
        marginals = softmax(unary + message if penalties is None else unary - message @ np.transpose(penalties))
    return marginals.reshape(logits.shape)


def scene(rng: np.random.Generator, *shape: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits (..., h, w, labels) and an image of a few smooth colours and noise."""
    *batch, height, width, _ = shape
    y, x = np.mgrid[:height, :width] / 9
    phase = rng.uniform(0, 6, (*batch, 1, 1, channels))
    image = 128 + 90 * np.sin(phase + x[..., None] + 2 * y[..., None])
    image += rng.normal(0, 6, image.shape)
    return rng.normal(0, 1.5, shape).astype(np.float32), image.astype(np.float32)


def assert_close(actual: np.ndarray, expected: np.ndarray, bound: float) -> None:
    """Largest difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= bound * np.abs(expected).max()


def assert_same_bits(arrays: Iterator[np.ndarray]) -> None:
    first, *others = arrays
    for other in others:
        np.testing.assert_array_equal(first, other)
