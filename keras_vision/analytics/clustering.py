"""Groups of images that nobody named: Ward's tree, k-means, DBSCAN, silhouettes, outliers."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import normalize

from keras_vision.analytics.similarity import checked, distances
from keras_vision.errors import KerasVisionError


def ward_tree(vectors: np.ndarray, metric: str = "cosine") -> np.ndarray:
    """Ward's hierarchical clustering, as SciPy's linkage matrix `(n - 1, 4)`; no rows for fewer than two images.

    Row i joins two clusters, numbered below n for images and n + j for row j, at a height, into one of a size.

    Args:
        vectors: `(n, d)`.
        metric: of `distances`. Ward's formula is applied to whatever distances they are, as Orange does.

    Source: Godec et al. (2019): "cosine distances ... hierarchical clustering with Ward linkage".
    """
    if len(checked(vectors)) < 2:
        return np.zeros((0, 4))
    return linkage(squareform(distances(vectors, metric), checks=False), "ward")


def cut_tree(tree: np.ndarray, clusters: int) -> np.ndarray:
    """Cluster of each image, int `(n,)` from 0 on, where a tree is cut into at most that many.

    Raises:
        KerasVisionError: fewer than one cluster.
    """
    if clusters < 1:
        raise KerasVisionError(f"clusters={clusters}; give at least 1.")
    return fcluster(tree, clusters, "maxclust") - 1 if len(tree) else np.zeros(1, int)


def k_means(vectors: np.ndarray, clusters: int, seed: int = 0) -> np.ndarray:
    """Cluster of each image, int `(n,)`, by k-means on vectors of length 1, so that angles count as in cosine distance.

    Images that are alike share a cluster: of fewer different images than `clusters`, each kind has its own.

    Raises:
        KerasVisionError: fewer than one cluster.
    """
    if clusters < 1:
        raise KerasVisionError(f"clusters={clusters}; give at least 1.")
    vectors = checked(vectors)
    if not len(vectors):
        return np.zeros(0, int)
    unit = normalize(vectors)
    different, kinds = np.unique(unit, axis=0, return_inverse=True)
    if len(different) <= clusters:
        return kinds.ravel()
    return KMeans(clusters, n_init=10, random_state=seed).fit_predict(unit)


def dbscan(vectors: np.ndarray, radius: float, least: int = 5, metric: str = "cosine") -> np.ndarray:
    """Cluster of each image, int `(n,)`, by DBSCAN; -1 for those in none.

    Args:
        vectors: `(n, d)`.
        radius: largest distance of neighbours.
        least: images within the radius, itself included, that make one the core of a cluster.
        metric: of `distances`.
    """
    if not len(checked(vectors)):
        return np.zeros(0, int)
    return DBSCAN(eps=radius, min_samples=least, metric="precomputed").fit_predict(distances(vectors, metric))


def silhouettes(vectors: np.ndarray, clusters: np.ndarray, metric: str = "cosine") -> np.ndarray:
    """How much nearer each image is to its own cluster than to the next, -1 to 1, `(n,)`.

    0 where it is not defined: in a cluster of one image, and where all are in one cluster.
    """
    _, kinds = np.unique(clusters, return_inverse=True)
    if not 2 <= len(set(kinds.tolist())) < len(checked(vectors)):
        return np.zeros(len(vectors))
    return silhouette_samples(distances(vectors, metric), kinds, metric="precomputed")


def outlier_scores(vectors: np.ndarray, neighbours: int = 20, metric: str = "cosine") -> np.ndarray:
    """Local outlier factor of each image, `(n,)`: about 1 within a group, larger the more an image lies apart.

    1 for fewer than three images. Copies beyond the number of neighbours would have density without end; scikit-learn
    bounds it.

    Args:
        vectors: `(n, d)`.
        neighbours: whose density is compared; at most n - 1 are taken.
        metric: of `distances`.
    """
    if len(checked(vectors)) < 3:
        return np.ones(len(vectors))
    apart = distances(vectors, metric)
    if not apart.any():
        return np.ones(len(vectors))
    factor = LocalOutlierFactor(min(neighbours, len(vectors) - 1), metric="precomputed").fit(apart)
    return -factor.negative_outlier_factor_
