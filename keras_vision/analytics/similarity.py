"""Distances between images, and which of them are the same or nearly so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import radius_neighbors_graph

from keras_vision.errors import KerasVisionError

METRICS = ("cosine", "euclidean", "manhattan", "chebyshev", "correlation", "braycurtis")


def distances(vectors: np.ndarray, metric: str = "cosine") -> np.ndarray:
    """Distance of every pair of images: `(n, d) -> (n, n)` float64, symmetric, zeros on the diagonal.

    A vector of zeros has cosine and correlation distance 1 from every other.

    Args:
        vectors: of `ImageEmbedder`.
        metric: one of `METRICS`; the paper's is the cosine distance.

    Raises:
        KerasVisionError: another metric, or values that are not finite.
    """
    vectors = checked(vectors)
    if metric not in METRICS:
        raise KerasVisionError(f"metric={metric!r}; accepted: {', '.join(map(repr, METRICS))}.")
    if len(vectors) < 2:
        return np.zeros((len(vectors), len(vectors)))
    found = np.nan_to_num(pairwise_distances(vectors.astype(np.float64), metric=metric), nan=1.0)
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return found.clip(0)


def duplicates(content: Sequence[bytes]) -> list[list[int]]:
    """Groups of positions of the same file, by the hashes of `Embeddings.content`; each in order, the first first."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for position, key in enumerate(content):
        places[key].append(position)
    return [group for group in places.values() if len(group) > 1]


def near_duplicates(vectors: np.ndarray, largest: float = 0.02) -> list[list[int]]:
    """Groups of images that a chain of cosine distances of at most `largest` joins; largest groups first.

    Only pairs that are near are held, not the whole matrix.

    Args:
        vectors: of `ImageEmbedder`, `(n, d)`.
        largest: by default what joins resized or recompressed copies in SqueezeNet's space.
    """
    vectors = checked(vectors)
    if len(vectors) < 2:
        return []
    pairs = radius_neighbors_graph(vectors, largest, metric="cosine", mode="connectivity")
    _, groups = connected_components(pairs, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(groups.tolist()):
        members[group].append(position)
    return sorted((group for group in members.values() if len(group) > 1), key=lambda group: (-len(group), group[0]))


def checked(vectors: np.ndarray) -> np.ndarray:
    """The vectors, if they are a finite matrix.

    Raises:
        KerasVisionError: they are not.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise KerasVisionError(f"vectors of shape {vectors.shape}; give finite values (n, d), as ImageEmbedder does.")
    return vectors
