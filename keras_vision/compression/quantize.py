"""Weight sharing: the weights of a kernel take few values, found by k-means.

Source: Han et al. (2016), Deep Compression, section 3.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping

import keras
import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from keras_vision.compression.kernel_variables import chosen, values_of
from keras_vision.errors import KerasVisionError

BITS = (4, 5, 6, 8)
CELLS = 1 << 14  # a kernel of more distinct values is clustered as a histogram this fine
STARTS = ("k-means++", "linear")
ROUNDS = 300  # of k-means at most
DRAWS = 5  # of weights to start from


@dataclasses.dataclass(frozen=True)
class SharedKernel:
    """A kernel whose weights are `centroids[codes]`.

    Attributes:
        centroids: `(k,)` float32; the first is 0 where the kernel is pruned, and stays so.
        codes: of the kernel's shape, uint8.
        pruned: whether the first centroid is the zero of pruned weights.
    """

    centroids: np.ndarray
    codes: np.ndarray
    pruned: bool

    @property
    def weights(self) -> np.ndarray:
        """The kernel, float32."""
        return self.centroids[self.codes]


def share_weights(
    model: keras.Model,
    bits: int | Mapping[str, int] = 6,
    layers: Iterable[str] | None = None,
    start: str = "k-means++",
) -> dict[str, SharedKernel]:
    """Replace, in place, the weights of each kernel by its nearest of at most `2 ** bits` values.

    Zeros of a pruned kernel stay zeros and are one of the values. The others are clustered by k-means. A kernel with no
    more distinct values than that keeps them exactly.

    Args:
        model: built.
        bits: 4, 5, 6 or 8 for every kernel; or bits by name of layer or kernel, the others staying as they are.
        layers: names of layers or kernels to share; None for all.
        start: where k-means starts. "k-means++": from weights drawn with a fixed seed, the best of several draws.
            "linear": from values spread evenly between the smallest and the largest weight, which Deep Compression
            found best before training on: large weights are few and matter most.

    Returns:
        The shared kernels by path, which `fine_tune_centroids` takes.

    Raises:
        KerasVisionError: other bits or start, an unknown name, NaN weights.
    """
    if isinstance(bits, Mapping):
        shared: dict[str, SharedKernel] = {}
        for name, own in bits.items():
            shared |= share_weights(model, own, [name], start)
        return shared
    check_bits(bits)
    shared = {}
    for path, variable in chosen(model, layers).items():
        kernel = share(values_of(variable), bits, start)
        variable.assign(kernel.weights)
        shared[path] = kernel
    return shared


def check_bits(bits: int) -> None:
    """Refuse other widths than those of `BITS`.

    Raises:
        KerasVisionError: another number.
    """
    if bits not in BITS:
        raise KerasVisionError(f"bits={bits!r}; weights are shared with {', '.join(map(str, BITS))} bits.")


def share(weights: np.ndarray, bits: int, start: str = "k-means++") -> SharedKernel:
    """One kernel, of any shape, shared with at most `2 ** bits` values, 0 among them if the kernel has zeros."""
    if start not in STARTS:
        raise KerasVisionError(f"start={start!r}; accepted: {', '.join(STARTS)}.")
    flat = weights.ravel().astype("float32")
    stored = flat != 0
    pruned = not stored.all()
    centroids = _centroids(flat[stored], 2**bits - pruned, start)
    codes = np.zeros(flat.size, np.uint8)
    codes[stored] = nearest(flat[stored], centroids) + pruned
    values = np.concatenate([np.zeros(int(pruned), np.float32), centroids])
    return SharedKernel(values, codes.reshape(weights.shape), pruned)


def _centroids(values: np.ndarray, count: int, start: str) -> np.ndarray:
    """At most `count` float32 in rising order, none of them 0."""
    points, counts = np.unique(values, return_counts=True)
    if points.size <= count:
        return points.astype("float32")
    if points.size > CELLS:
        points, counts = _histogram(values)
    spread = np.linspace(points[0], points[-1], count)[:, None]
    how = dict(init=spread, n_init=1) if start == "linear" else dict(init="k-means++", n_init=DRAWS, random_state=0)
    means = KMeans(count, max_iter=ROUNDS, tol=0, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters than asked for are fine
        means.fit(points[:, None].astype("float64"), sample_weight=counts)
    found = np.unique(means.cluster_centers_.ravel().astype("float32"))
    return found[found != 0]


def _histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and number of the values in each of `CELLS` equal parts of their range; empty parts are left out."""
    low, high = float(values.min()), float(values.max())
    cells = np.minimum((values.astype("float64") - low) / (high - low) * CELLS, CELLS - 1).astype(np.int64)
    counts = np.bincount(cells, minlength=CELLS)
    sums = np.bincount(cells, values, minlength=CELLS)
    there = counts > 0
    return sums[there] / counts[there], counts[there]


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Place of the nearest of the rising centroids, for each value, as uint8."""
    edges = (centroids[1:].astype("float64") + centroids[:-1]) / 2
    return np.searchsorted(edges, values).astype(np.uint8)
