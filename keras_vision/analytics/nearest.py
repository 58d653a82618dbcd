"""The images most like each one: exact, or approximate through an index for very many."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from keras_vision.analytics.similarity import checked
from keras_vision.errors import KerasVisionError


def neighbours(
    vectors: np.ndarray, count: int = 10, queries: np.ndarray | None = None, approximate: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosine distances of the nearest images, each `(m, count)`, nearest first.

    Without `queries` they are those of each image, itself left out. Fewer images give fewer columns; identical ones
    have distance 0.

    Args:
        vectors: `(n, d)`.
        count: neighbours of each.
        queries: other vectors `(m, d)` to look for.
        approximate: use an index (HNSW graph), for hundreds of thousands of images.

    Raises:
        KerasVisionError: count below 1; or usearch, of the extra `neighbours`, is missing.
    """
    if count < 1:
        raise KerasVisionError(f"count={count}; give at least 1.")
    vectors = checked(vectors)
    own = queries is None
    asked = vectors if queries is None else checked(queries)
    wanted = min(count + own, len(vectors))
    if wanted - own < 1 or not len(asked):
        return np.zeros((len(asked), 0), int), np.zeros((len(asked), 0))
    places, apart = (_indexed if approximate else _exact)(normalize(vectors), normalize(asked), wanted)
    return _without_self(places, apart) if own else (places, apart)


def _exact(vectors: np.ndarray, asked: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    found = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(vectors)
    apart, places = found.kneighbors(asked)
    return places, apart.clip(0)


def _indexed(vectors: np.ndarray, asked: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise KerasVisionError('approximate=True needs usearch: pip install "keras-vision[neighbours]".') from error
    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    index.add(np.arange(len(vectors)), vectors.astype(np.float32))
    found = index.search(asked.astype(np.float32), count)
    shape = (len(asked), -1)
    return np.asarray(found.keys, np.int64).reshape(shape), np.asarray(found.distances, float).reshape(shape).clip(0)


def _without_self(places: np.ndarray, apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes each image out of its own list, or, where copies crowd it out, the last of the list."""
    mine = places == np.arange(len(places))[:, None]
    mine[~mine.any(1), -1] = True
    shape = (len(places), places.shape[1] - 1)
    return places[~mine].reshape(shape), apart[~mine].reshape(shape)
