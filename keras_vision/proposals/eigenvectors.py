"""Normalised cuts of an image, fast: the eigenvectors of an affinity matrix that is squared and decimated first."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import eigsh

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.affinity import intervening_contours


def normalized_cuts(
    contours: Any, count: int = 16, *, steps: int = 2, radius: float = 5.0, sigma: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest generalised eigenvectors of (D - A) v = lambda D v, A the affinity of pixels by their contours.

    The constant vector, whose eigenvalue is 0, is left out. Each step keeps every other pixel of both axes, a quarter
    of the graph, and squares the affinity: with B the columns of the kept pixels, and C the same with rows of sum 1,
    the matrix becomes C' B, and vectors come back up as C v. The vectors are whitened at the end.

    Args:
        contours: strengths from 0 to 1, `(h, w)`.
        count: vectors.
        steps: decimations; 0 solves the full problem, as slowly as the paper says.
        radius: pixels, of `intervening_contours`.
        sigma: strength at which the affinity is 1 / e.

    Returns:
        Rayleigh quotients of the vectors in the full problem, rising as the coarse eigenvalues do (equal to them if
        `steps` is 0) `(count,)`, and the vectors, of mean 0 and unit covariance `(count, h, w)`. Of eigenvectors only
        the space that they span has a meaning after whitening.

    Raises:
        KerasVisionError: contours as in `intervening_contours`; fewer pixels left than `count` + 1; settings out of
            range.

    Source: Pont-Tuset, Arbelaez, Barron, Marques and Malik, Multiscale Combinatorial Grouping, 2016, section 3.1.
    """
    if count < 1 or steps < 0:
        raise KerasVisionError(f"count={count}, steps={steps}; give at least 1 vector, and 0 steps or more.")
    shape = np.shape(contours)
    affinity = reduced = intervening_contours(contours, radius, sigma)
    grid = np.arange(reduced.shape[0]).reshape(shape)
    ways_up = []
    for _ in range(steps):
        kept = grid[::2, ::2]
        reduced, up = _decimated(reduced, kept.ravel())
        ways_up.append(up)
        grid = np.arange(kept.size).reshape(kept.shape)
    if grid.size <= count:
        raise KerasVisionError(
            f"{count} vectors of {shape} pixels, {grid.size} of them left after {steps} steps; {count + 1} are needed: "
            "ask for fewer vectors or steps."
        )
    vectors = _smallest(reduced, count)
    for up in reversed(ways_up):
        vectors = up @ vectors
    return _quotients(affinity, vectors), whitened(vectors).T.reshape(count, *shape)


def whitened(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(n, k)` of mean 0 and unit covariance, as near as can be to those given (symmetric whitening).

    Raises:
        KerasVisionError: vectors that depend on each other.
    """
    centred = vectors - vectors.mean(0)
    centred /= np.maximum(np.sqrt(np.square(centred).mean(0)), np.finfo(float).tiny)
    variances, axes = linalg.eigh(centred.T @ centred / len(centred))
    if variances[0] < 1e-10:
        raise KerasVisionError(f"{vectors.shape[1]} vectors span fewer dimensions; ask for fewer.")
    return np.asarray(centred @ (axes / np.sqrt(variances)) @ axes.T)


def _decimated(affinity: sparse.csr_array, kept: np.ndarray) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The squared affinity of the kept pixels, and the matrix that takes vectors of them back up."""
    columns = sparse.csr_array(affinity[:, kept])
    up = sparse.csr_array(sparse.diags_array(1 / columns.sum(1)) @ columns)
    return sparse.csr_array(up.T @ columns), up


def _smallest(affinity: sparse.csr_array, count: int) -> np.ndarray:
    """Generalised eigenvectors of the `count` smallest eigenvalues after 0: `(n, count)`."""
    root = 1 / np.sqrt(affinity.sum(1))
    scaled = sparse.csr_array(sparse.diags_array(root) @ affinity @ sparse.diags_array(root))
    n = len(root)
    if n <= 4 * (count + 1):  # Lanczos needs room
        vectors = linalg.eigh(scaled.toarray(), subset_by_index=(n - count - 1, n - 2))[1]
    else:
        start = np.random.default_rng(0).standard_normal(n)
        values, vectors = eigsh(scaled, count + 1, which="LA", v0=start, ncv=min(n, 4 * (count + 1)), tol=1e-6)
        vectors = vectors[:, np.argsort(values)[:-1]]
    return np.asarray(vectors[:, ::-1] * root[:, None])


def _quotients(affinity: sparse.csr_array, vectors: np.ndarray) -> np.ndarray:
    """v' (D - A) v / v' D v of each vector with its share of the constant one taken away: `(count,)`."""
    degrees = affinity.sum(1)
    vectors = vectors - (degrees @ vectors) / degrees.sum()
    within = (vectors * (affinity @ vectors)).sum(0)
    whole = (degrees[:, None] * np.square(vectors)).sum(0)
    return np.asarray(1 - within / whole)
