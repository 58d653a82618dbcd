"""Images as points in the plane: multidimensional scaling, t-SNE, UMAP; and on a grid, so that none hides another."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA, KernelPCA
from sklearn.manifold import TSNE, smacof
from sklearn.preprocessing import normalize

from keras_vision.analytics.similarity import checked, distances
from keras_vision.errors import KerasVisionError

_COMPONENTS = 50  # of PCA before t-SNE, as its authors advise
_EXACT = 1024  # points that are assigned at once: the time grows with their third power


def mds(vectors: np.ndarray, metric: str = "cosine", seed: int = 0) -> np.ndarray:
    """Metric multidimensional scaling, `(n, d) -> (n, 2)`: SMACOF from the classical solution.

    Identical images, and one alone, lie at the origin.

    Args:
        vectors: of `ImageEmbedder`; n of a few thousand at most, as all distances are held.
        metric: of `distances`.
        seed: of points that the classical solution leaves open.
    """
    apart = distances(vectors, metric)
    if not apart.any():
        return np.zeros((len(apart), 2))
    components = min(2, len(apart) - 1)
    start = KernelPCA(components, kernel="precomputed").fit_transform(-0.5 * apart**2)  # it centres the kernel itself
    start = np.pad(start, ((0, 0), (0, 2 - start.shape[1])))
    return smacof(apart, n_components=2, init=start, n_init=1, random_state=seed, normalized_stress=False)[0]


def t_sne(vectors: np.ndarray, perplexity: float = 30, seed: int = 0) -> np.ndarray:
    """t-SNE of vectors of length 1, `(n, d) -> (n, 2)`, begun from their principal components.

    Up to four images are scaled by `mds`, which says more of so few.

    Args:
        vectors: of `ImageEmbedder`.
        perplexity: about the number of neighbours that an image keeps; at most (n - 1) / 3 is taken.
        seed: of the principal components.
    """
    unit = normalize(checked(vectors)) if len(vectors) else np.zeros((0, 2))
    if len(unit) <= 4:
        return mds(vectors, seed=seed)
    if not np.ptp(unit, axis=0).any():
        return np.zeros((len(unit), 2))
    size = min(_COMPONENTS, len(unit) - 1, unit.shape[1])
    reduced = PCA(size, random_state=seed).fit_transform(unit) if size >= 2 else np.pad(unit, ((0, 0), (0, 1)))
    method = TSNE(perplexity=min(perplexity, (len(unit) - 1) / 3), init="pca", random_state=seed)
    return method.fit_transform(reduced.astype(np.float32)).astype(np.float64)


def umap(vectors: np.ndarray, neighbours: int = 15, min_dist: float = 0.1, seed: int = 0) -> np.ndarray:
    """UMAP of vectors of length 1, `(n, d) -> (n, 2)`, begun from their principal components.

    Up to four images are scaled by `mds`, as for `t_sne`.

    Args:
        vectors: of `ImageEmbedder`.
        neighbours: that make up an image's surroundings; at most n - 1 are taken.
        min_dist: least distance of points in the plane, 0 to 1; smaller ones make denser clumps.
        seed: the result is the same on the same machine.

    Raises:
        KerasVisionError: umap-learn is missing; numbers that it cannot take.

    Source: McInnes, Healy and Melville, "UMAP: uniform manifold approximation and projection" (2018).
    """
    unit = normalize(checked(vectors)) if len(vectors) else np.zeros((0, 2))
    if neighbours < 2 or not 0 <= min_dist <= 1:
        raise KerasVisionError(f"neighbours={neighbours}, min_dist={min_dist}; give at least 2, and 0 to 1.")
    if len(unit) <= 4:
        return mds(vectors, seed=seed)
    if not np.ptp(unit, axis=0).any():
        return np.zeros((len(unit), 2))
    try:
        from umap import UMAP
    except ImportError as error:
        raise KerasVisionError('UMAP needs umap-learn: pip install "keras-vision[umap]".') from error
    near = min(neighbours, len(unit) - 1)
    method = UMAP(n_neighbors=near, min_dist=min_dist, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(method.fit_transform(unit.astype(np.float32)), np.float64)


def image_grid(points: np.ndarray) -> np.ndarray:
    """Cells of a square grid for points of the plane, `(n, 2) -> (n, 2)` int: column and row, each cell used once.

    The sum of squared distances that points move is the least there is for up to 1,024 points; more are first divided
    along the longer side of the grid until so few are left.

    Args:
        points: of `t_sne` or `mds`; identical ones are spread in their order.
    """
    if not len(checked(points)):
        return np.zeros((0, 2), int)
    side = math.ceil(math.sqrt(len(points)))
    rows = math.ceil(len(points) / side)
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(rows)), -1).reshape(-1, 2)[: len(points)]
    spread = np.ptp(points, axis=0)
    scaled = (points - points.min(0)) / np.where(spread > 0, spread, 1) * cells.max(0)
    grid = np.zeros((len(points), 2), int)
    _assign(scaled, cells, np.arange(len(points)), grid)
    return grid


def _assign(points: np.ndarray, cells: np.ndarray, which: np.ndarray, grid: np.ndarray) -> None:
    """Give each of the points `which` one of as many cells."""
    if len(which) <= _EXACT:
        _, chosen = linear_sum_assignment(cdist(points[which], cells, "sqeuclidean"))
        grid[which] = cells[chosen]
        return
    axis = int(np.ptp(cells, axis=0).argmax())
    half = len(which) // 2
    cells = cells[np.argsort(cells[:, axis], kind="stable")]
    which = which[np.argsort(points[which, axis], kind="stable")]
    _assign(points, cells[:half], which[:half], grid)
    _assign(points, cells[half:], which[half:], grid)
